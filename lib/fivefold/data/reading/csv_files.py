"""CSV and other delimited text: detect delimiter and header, and read the rows as text.

Rows are counted from 1, the header and the lines above it included and blank lines not. Nothing is
repaired: a file whose rows differ in width from its header is refused with the numbers of those
rows.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv

from fivefold.core.findings import errors, refuse_errors
from fivefold.core.text import listed
from fivefold.data.reading.files import Content
from fivefold.data.reading.layout import Layout, find_layout, note_layout
from fivefold.data.reading.read_log import ReadLog, unreadable
from fivefold.data.reading.swallowed_rows import SwallowedRows, note_swallowed
from fivefold.data.reading.text_encoding import TextFile, detect_encoding

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
STREAM_BLOCK_BYTES = 1 << 20  # Arrow reads some 32 blocks ahead
MAX_ROW_BYTES = 1 << 24  # also the block of a table that is read as a whole
MOST_REPEATED = 100  # names, of which each is told
_SAMPLE_BYTES = 1 << 18
_SAMPLE_ROWS = 500
_EXCEL_HINT = re.compile(rb"\s*\"?sep=.\"?\r?\n", re.I)  # Excel's own line on the delimiter
_EXCEL_HINT_BYTES = 4096
_INVISIBLE = "\ufeff\u200b\u200c\u200d\u2060"  # around a name: byte order mark, joiners, zero space
_DECIMAL = re.compile(r"[+-]?\d+\.\d+")
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?")


def read_csv(content: Content, log: ReadLog) -> Iterator[pa.Table]:
    """Yield the rows of a delimited text; all cells are text, none is missing yet.

    Raises `Refused`, naming all known errors at once, where the bytes are no text, there is no
    header or no row, names are duplicate, or rows are of another width than the header.
    """
    text = detect_encoding(content, log)
    head = text.open().read(_SAMPLE_BYTES + _EXCEL_HINT_BYTES)
    hint = _EXCEL_HINT.match(head)
    start = hint.end() if hint else 0
    top = _detect_top(head[start:], content.name, log)
    refuse_errors(f"{content.name} cannot be read", log.findings)
    log.details.delimiter = top.delimiter
    names = _header_names(list(top.layout.cells), log)
    rows = _Rows(text, start + top.bytes, top)
    for table in rows.tables():
        if not errors(log.findings):
            yield table.select(range(len(names))).rename_columns(names)
    rows.note_problems(log)
    refuse_errors(f"{content.name} cannot be read", log.findings)


@dataclass(frozen=True)
class _Top:
    """The delimiter, the layout of the first rows, and the bytes up to the end of the header."""

    delimiter: str
    layout: Layout
    bytes: int


@dataclass(frozen=True)
class _Split:
    """The first rows of a text that are not blank, and where each ends, in characters."""

    rows: list[list[str]]
    ends: list[int]


def _detect_top(text: bytes, subject: str, log: ReadLog) -> _Top:
    """Return what the first rows show; errors go to `log`.

    The csv module splits the first rows at each delimiter, so that quoted delimiters and line
    breaks do not count. The best one gives most rows the same width, then has fewest lines above
    the header, then most fields.
    """
    nothing = _Top(",", Layout(0, 0, ()), 0)
    sample = text[:_SAMPLE_BYTES].decode("utf-8", "ignore")
    control = sum(1 for character in sample if character < " " and character not in "\t\n\r\f\x1a")
    if control > len(sample) / 100:
        log.error(
            "not-a-table",
            subject,
            "bytes that are no text",
            expected="text with columns and rows",
            action="export the table as CSV in UTF-8",
        )
        return nothing
    is_partial = len(text) > _SAMPLE_BYTES
    layouts: dict[str, tuple[_Split, Layout]] = {}
    scores: dict[str, tuple[float, int, int]] = {}
    for delimiter in DELIMITERS:
        split = _split(sample, delimiter, is_partial)
        if not split.rows:
            continue
        layout = find_layout(split.rows)
        below = split.rows[layout.header :]
        even = sum(len(row) == layout.width for row in below) / len(below)
        if layout.width > 1 and len(layout.cells) > 1:
            layouts[delimiter] = split, layout
            scores[delimiter] = (even, -layout.header, layout.width)
    if not scores:
        _note_one_column(sample, subject, log)
        return nothing
    best = max(scores, key=lambda delimiter: scores[delimiter])
    split, layout = layouts[best]
    rivals = [
        delimiter
        for delimiter, (even, above, _) in scores.items()
        if even == 1 and above == -layout.header and delimiter != best
    ]
    if rivals:
        one, other = DELIMITERS[best], DELIMITERS[rivals[0]]
        log.warning(
            "delimiter-doubtful",
            subject,
            f"rows of equal width by {one} and by {other}; took the first",
            expected="one delimiter",
            action="look at the columns; quote fields that hold a delimiter",
        )
    log.passed("delimiter", subject, f"{DELIMITERS[best]}, {len(layout.cells)} columns")
    note_layout(layout, split.rows, subject, log)
    header, below = split.rows[layout.header], split.rows[layout.header + 1 :]
    swallowed = SwallowedRows(best, layout.width)
    swallowed.look_at_header(header, layout.header + 1, below)
    note_swallowed(swallowed, subject, log)
    _note_other_quotes(sample, best, subject, log)
    end = split.ends[layout.header]
    return _Top(best, layout, len(sample[:end].encode()))


def _note_other_quotes(sample: str, delimiter: str, subject: str, log: ReadLog) -> None:
    r"""Note quotes that are not as in CSV: after a space, and with a backslash before them.

    In ` "a, b"` and `"a \"b\", c"` the quotes would be characters as any other.
    """
    lines = sample.splitlines()[:_SAMPLE_ROWS]
    sign = re.escape(delimiter)
    after_space = re.compile(rf'{sign} +"[^"]*"(?={sign}|$)')
    escaped = re.compile(rf'(^|{sign})"[^"]*\\"[^"{sign}]')
    spaced = [number for number, line in enumerate(lines, 1) if after_space.search(line)]
    if 2 * len(spaced) > len(lines):
        log.error(
            "quotes-after-spaces",
            subject,
            f"spaces between the delimiter and a quote, the first in line {spaced[0]:,}",
            expected="quotes right after the delimiter",
            action="delete these spaces, or export the table again",
        )
    backslashes = [number for number, line in enumerate(lines, 1) if escaped.search(line)]
    if backslashes:
        log.error(
            "quotes-escaped",
            subject,
            f"a backslash before a quote inside quotes, the first in line {backslashes[0]:,}",
            expected='two quotes ("") for a quote inside quotes',
            action="export the table again with doubled quotes",
        )


def _note_one_column(sample: str, subject: str, log: ReadLog) -> None:
    first = next((line for line in sample.splitlines() if line.strip()), "")
    if first.count('"') % 2 and any(delimiter in first for delimiter in DELIMITERS):
        _note_open_quote(subject, 1, log)
        return
    widest = 1
    for delimiter in DELIMITERS:
        widths = [len(row) for row in _split(sample, delimiter, is_partial=False).rows]
        widest = max([widest, *widths])
    names = ", ".join(DELIMITERS.values())
    found = f"one column only: none of {names} stands in the first line"
    split = [line.split() for line in sample.splitlines()[:_SAMPLE_ROWS] if line.strip()][:-1]
    if widest > 1:
        found = f"a first line of one field, and up to {widest} fields below it"
    elif split and len({len(words) for words in split}) == 1 and len(split[0]) > 1:
        found = f"{len(split[0])} fields with spaces between them"
    log.error(
        "one-column",
        subject,
        found,
        expected="two named columns or more",
        action="delete lines above the header, or save the table with commas",
    )


def _split(sample: str, delimiter: str, is_partial: bool) -> _Split:
    """Return the first rows that are not blank, without the last if the sample may cut it."""
    lines = list(io.StringIO(sample, newline=""))
    line_ends = list(accumulate(map(len, lines)))
    rows: list[list[str]] = []
    ends: list[int] = []
    reader = csv.reader(lines, delimiter=delimiter)
    try:
        for row in reader:
            if row:
                rows.append(row)
                ends.append(line_ends[reader.line_num - 1])
            if len(rows) > _SAMPLE_ROWS:
                return _Split(rows, ends)
    except csv.Error:  # a field beyond the module's limit of 128 KiB: the rows above it count
        return _Split(rows, ends)
    return _Split(rows[:-1], ends[:-1]) if is_partial and len(rows) > 1 else _Split(rows, ends)


def _header_names(cells: list[str], log: ReadLog) -> list[str]:
    """Return tidy names; note an error if the first line holds numbers instead."""
    filled = [cell.strip() for cell in cells if cell.strip()]
    numbers = [name for name in filled if _NUMBER.fullmatch(name)]
    decimals = [name for name in filled if _DECIMAL.fullmatch(name)]
    positions = range(len(numbers))
    are_positions = numbers in ([str(n) for n in positions], [str(n + 1) for n in positions])
    if filled and len(numbers) == len(filled) and not are_positions:
        log.error(
            "header-missing",
            "header",
            f"a first line of numbers: {listed(filled)}",
            expected="column names",
            action="write a line with the column names above the rows",
        )
    elif decimals:
        log.warning(
            "header-doubtful",
            "header",
            f"numbers as names: {listed(decimals)}",
            expected="column names",
            action="if the first line is a row, write the column names above it",
        )
    return tidy_names(cells, log)


def tidy_names(cells: Sequence[str], log: ReadLog) -> list[str]:
    """Return the names, stripped; empty ones become unnamed_<position>, duplicates are errors."""
    stripped = [cell.strip(_INVISIBLE).strip().strip(_INVISIBLE) for cell in cells]
    names = [name or f"unnamed_{n}" for n, name in enumerate(stripped, 1)]
    unnamed = [name for name, cell in zip(names, stripped, strict=True) if not cell]
    if unnamed:
        log.warning(
            "header-empty",
            "header",
            f"columns without a name; called {listed(unnamed)}",
            expected="a name for each column",
            action="if it is a written row number, drop the column",
        )
    repeated = [name for name, count in Counter(names).items() if count > 1]
    for name in repeated[:MOST_REPEATED]:
        positions = [str(n) for n, other in enumerate(names, 1) if other == name]
        log.error(
            "duplicate-columns",
            name,
            f"the name {name!r} in columns {', '.join(positions)}",
            expected="each name once",
            action="rename or delete all but one",
        )
    changed = sum(a != b for a, b in zip(cells, stripped, strict=True))
    if changed and not errors(log.findings):
        log.passed("header-white-space", "header", f"white space around {changed} names; removed")
    return names


def _note_open_quote(subject: str, row: int, log: ReadLog) -> None:
    log.error(
        "quote-open",
        subject,
        f"a quote that never closes, in row {row:,}; it takes in all lines below",
        expected="quotes in pairs",
        action="close or double the quote",
    )


class _Rows:
    """The rows below a header, and what is wrong with them once all have been read."""

    def __init__(self, text: TextFile, start: int, top: _Top):
        self._text = text
        self._start = start
        self._top = top
        self._above = top.layout.header + 1  # rows, with the header
        self._block = MAX_ROW_BYTES if text.content.whole else STREAM_BLOCK_BYTES
        self._count = 0  # rows below the header
        self._last = pa.table({})  # the last rows that were read
        self._wrong = _WrongRows()
        self._swallowed = SwallowedRows(top.delimiter, top.layout.width)
        self._nameless = 0  # the first row with cells right of the last name
        self._headers: list[int] = []  # rows that are the header again

    def tables(self) -> Iterator[pa.Table]:
        """Yield the rows of the right width below the header."""
        try:
            yield from self._new_tables()
        except pa.ArrowInvalid as error:
            if not self._count and "Empty CSV file" in str(error):
                return
            if self._block == MAX_ROW_BYTES:  # a row is longer than a block
                raise unreadable(
                    "row-too-long",
                    self._text.content.name,
                    str(error),
                    expected=f"rows below {MAX_ROW_BYTES >> 20} MB",
                    action="close the quote left open",
                ) from None
            self._block = MAX_ROW_BYTES
            yield from self.tables()

    def note_problems(self, log: ReadLog) -> None:
        """Note rows of another width, a missing row, or a quote that takes in other rows."""
        subject = self._text.content.name
        if self._wrong.count:
            self._note_wrong_rows(log)
        elif not self._count and any("\n" in name for name in self._top.layout.cells):
            _note_open_quote(subject, self._above, log)
        elif not self._count:
            log.error(
                "no-rows",
                subject,
                "a header and no rows",
                expected="rows below the header",
                action="write the rows",
            )
        elif self._text.quotes % 2 and self._last_row_has_line_break():
            _note_open_quote(subject, self._above + self._count, log)
        else:
            note_swallowed(self._swallowed, subject, log)
        if self._headers:
            log.error(
                "header-repeated",
                subject,
                f"the header again in row {listed([f'{row:,}' for row in self._headers])}",
                expected="one header, in the first row",
                action="delete these rows; files that were put together have them",
            )
        if self._nameless:
            log.error(
                "header-width",
                subject,
                f"a cell right of the last name, in row {self._nameless:,}",
                expected=f"{len(self._top.layout.cells)} fields, as in the header",
                action="name the column, or delete the cell",
            )

    def _new_tables(self) -> Iterator[pa.Table]:
        """Yield the rows that were not given yet."""
        self._wrong = _WrongRows()
        seen = 0
        for batch in self._batches(use_threads=True):
            table = pa.Table.from_batches([batch]).slice(self._count - seen)
            seen += batch.num_rows
            first = self._above + self._count + 1
            self._count = max(self._count, seen)
            if table.num_rows:
                self._last = table
                if self._text.quotes:
                    self._swallowed.look(table, first)
                self._find_nameless(table, first)
                self._find_headers(table, first)
                yield table

    def _find_nameless(self, table: pa.Table, first: int) -> None:
        """Keep the number of the first row with a cell right of the last name."""
        for column in table.columns[len(self._top.layout.cells) :]:
            position = pc.index(pc.not_equal(pc.utf8_trim_whitespace(column), ""), True).as_py()
            if position >= 0 and not self._nameless:
                self._nameless = first + position

    def _find_headers(self, table: pa.Table, first: int) -> None:
        """Keep the numbers of rows that are the header again, as in files put together."""
        names = self._top.layout.cells
        is_header = pc.equal(pc.utf8_trim_whitespace(table.column(0)), names[0].strip())
        if names[0].strip() and pc.any(is_header).as_py():
            for row in pc.indices_nonzero(is_header).to_pylist():
                cells = [column[row].as_py().strip() for column in table.columns[: len(names)]]
                if cells == [name.strip() for name in names]:
                    self._headers.append(first + row)

    def _batches(self, use_threads: bool) -> Iterator[pa.RecordBatch]:
        """Yield the rows of the right width as columns of text."""
        names = [f"f{n}" for n in range(self._top.layout.width)]
        reading = arrow_csv.ReadOptions(
            column_names=names, use_threads=use_threads, block_size=self._block
        )
        parsing = arrow_csv.ParseOptions(
            delimiter=self._top.delimiter,
            newlines_in_values=self._text.quotes > 0,
            invalid_row_handler=self._wrong.skip,
        )
        types = dict.fromkeys(names, pa.large_string())
        converting = arrow_csv.ConvertOptions(column_types=types, strings_can_be_null=False)
        file = self._text.open(self._start)
        yield from arrow_csv.open_csv(file, reading, parsing, converting)

    def _note_wrong_rows(self, log: ReadLog) -> None:
        self._wrong = _WrongRows()
        for _ in self._batches(use_threads=False):  # only then does Arrow number the rows
            pass
        rows = [
            f"{row.number + self._above if row.number else '?'} ({row.actual_columns})"
            for row in self._wrong.first
        ]
        found = f"{self._wrong.count:,} rows of another width; row (fields): {', '.join(rows)}"
        action = "quote fields that hold the delimiter, and delete lines that are no rows"
        if row := self._wrong.open_quote:
            number = row.number + self._above if row.number else 0
            last = number + row.text.count("\n")
            found += f"; the quote in row {number:,} closes in row {last:,} only"
            action = "close the quote that runs over several lines"
        log.error(
            "row-width",
            self._text.content.name,
            found,
            expected=f"{self._top.layout.width} fields in every row, as in the header",
            action=action,
        )

    def _last_row_has_line_break(self) -> bool:
        cells = self._last.slice(self._last.num_rows - 1).to_pylist()[0].values()
        return any("\n" in cell for cell in cells)


class _WrongRows:
    """Rows of another width: how many, the first few, and the first that holds an open quote."""

    def __init__(self) -> None:
        self.count = 0
        self.first: list[Any] = []  # InvalidRow of pyarrow
        self.open_quote: Any = None

    def skip(self, row: Any) -> str:
        """Count a row that pyarrow skips; pyarrow calls this."""
        self.count += 1
        if self.open_quote is None and '"' in row.text and "\n" in row.text.strip():
            self.open_quote = row
        if len(self.first) < 5:
            self.first.append(row)
        return "skip"
