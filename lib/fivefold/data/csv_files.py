"""CSV: from the bytes of a delimited text file to a table of text, with delimiter and encoding detected.

Rows are counted from 1, the header included, blank lines not. Nothing is repaired: a file whose rows disagree
with its header is refused with the row numbers.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.csv as arrow_csv

from fivefold.core.findings import ERROR, PASSED, WARNING, Finding, Refused, errors, refuse_errors

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAMPLE_BYTES, _SAMPLE_ROWS = 1 << 18, 500
_BLOCK_BYTES = 1 << 24  # one row must fit into a block
_EXCEL = re.compile(rb"\s*\"?sep=.\"?\r?\n", re.I)
_DECIMAL = re.compile(r"[+-]?\d+\.\d+")
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?")


def parse(content: bytes, subject: str) -> tuple[pa.Table, list[Finding], dict[str, Any]]:
    """The table of a delimited text (all cells text, none missing yet), findings, and {encoding, delimiter}.

    Raises `Refused`, naming all known errors at once, where the bytes are no text, hold no header and rows,
    have duplicate names or rows of another width than the header.
    """
    text, encoding, found = decode(content, subject)
    if told := _EXCEL.match(text):  # Excel's own hint for the delimiter; we look for ourselves
        text = text[told.end() :]
    delimiter, header = _detect(text, subject, found)
    refuse_errors(f"{subject} cannot be read", found)
    names = _header(header, found)
    table = _rows(text, delimiter, len(header), subject, found)
    refuse_errors(f"{subject} cannot be read", found)
    return table.rename_columns(names), found, {"encoding": encoding, "delimiter": delimiter}


def decode(content: bytes, subject: str) -> tuple[bytes, str, list[Finding]]:
    """The content as UTF-8 bytes without mark, the encoding it came in, and the finding that says so.

    UTF-8, UTF-16 and UTF-32 are recognised; otherwise the text is taken for Windows-1252 or Latin-1, with a
    warning: any bytes can be read so. UTF-8 with few broken characters is read with those replaced, with a
    warning.
    """
    if not content.strip():
        raise refused(
            "empty", subject, "no content", "a header line and rows", "write the table again"
        )
    encoding = next((name for mark, name in _BOMS if content.startswith(mark)), "")
    if not encoding and b"\0" in content[:4096]:  # UTF-16 without mark: every other byte is zero
        even, odd = content[:4096:2], content[1:4096:2]
        many = even.count(0) > 0.4 * len(even), odd.count(0) > 0.4 * len(odd)
        encoding = {(False, True): "utf-16-le", (True, False): "utf-16-be"}.get(many, "")
    if not encoding and b"\0" in content:
        line = content.count(b"\n", 0, content.index(b"\0")) + 1
        raise refused(
            "nul-bytes",
            subject,
            f"NUL bytes, the first in line {line:,}",
            "text",
            "this is a binary or damaged file: export it as CSV in UTF-8",
        )
    if not encoding and content.isascii():
        return (
            content,
            "ascii",
            [
                Finding(
                    code="encoding",
                    severity=PASSED,
                    subject=subject,
                    found="ASCII text, which is also UTF-8",
                )
            ],
        )
    try:
        text = content.decode(encoding or "utf-8")
    except UnicodeDecodeError as broken:
        if encoding.startswith(("utf-16", "utf-32")):
            raise refused(
                "encoding-damaged",
                subject,
                f"{broken.reason}, byte {broken.start:,}, {encoding}",
                "whole characters",
                "export the file again, as UTF-8",
            ) from None
        return _guess(content, subject, broken.start)
    label = encoding or "utf-8"
    raw = content if label == "utf-8" else text.removeprefix("\ufeff").encode("utf-8", "replace")
    return (
        raw,
        label,
        [Finding(code="encoding", severity=PASSED, subject=subject, found=f"{label} text")],
    )


def _guess(content: bytes, subject: str, at: int) -> tuple[bytes, str, list[Finding]]:
    """Text that is not UTF-8: damaged UTF-8 where most non-ASCII characters are whole, else one byte each."""
    line = content.count(b"\n", 0, at) + 1
    text = content.decode("utf-8", "replace")
    broken = text.count("\ufffd")
    whole = sum(1 for character in text if character > "\x7f") - broken
    if whole > broken:
        return (
            text.removeprefix("\ufeff").encode(),
            "utf-8",
            [
                Finding(
                    code="encoding-damaged",
                    severity=WARNING,
                    subject=subject,
                    found=f"{broken:,} broken characters in UTF-8 text, the first in "
                    f"line {line:,}; replaced by \ufffd",
                    expected="whole characters",
                    action="export the file again, as UTF-8",
                )
            ],
        )
    try:
        text, encoding = content.decode("cp1252"), "cp1252"
    except UnicodeDecodeError:
        text, encoding = content.decode("latin-1"), "latin-1"
    return (
        text.encode(),
        encoding,
        [
            Finding(
                code="encoding-guessed",
                severity=WARNING,
                subject=subject,
                found=f"bytes that are not UTF-8 (first in line {line:,}); read as {encoding}",
                expected="UTF-8",
                action="look at words with accents; if they are wrong, save the file as UTF-8",
            )
        ],
    )


def _detect(text: bytes, subject: str, found: list[Finding]) -> tuple[str, list[str]]:
    """The delimiter and the header's cells; errors go to `found`.

    On the first rows, each delimiter is scored by the share of rows as wide as the header, then by width.
    The csv module does the splitting, so quoted delimiters and line breaks count for nothing.
    """
    sample = text[:_SAMPLE_BYTES].decode("utf-8", "ignore")
    control = sum(1 for c in sample if c < " " and c not in "\t\n\r\f\x1a")
    if control > len(sample) / 100:
        found.append(
            Finding(
                code="not-a-table",
                severity=ERROR,
                subject=subject,
                found="bytes that are no text",
                expected="a table as CSV, Parquet or Feather",
                action="export the table as CSV in UTF-8",
            )
        )
        return ",", []
    scores = {}
    for delimiter in DELIMITERS:
        rows = _split(sample, delimiter, partial=len(text) > _SAMPLE_BYTES)
        if rows and len(rows[0]) > 1:
            even = sum(len(row) == len(rows[0]) for row in rows) / len(rows)
            scores[delimiter] = (even, len(rows[0]), rows[0])
    if not scores:
        wide = max(len(row) for d in DELIMITERS for row in _split(sample, d, partial=False) or [[]])
        seen = (
            f"a first line of one field, and up to {wide} fields below it"
            if wide > 1
            else f"one column only: none of {', '.join(DELIMITERS.values())} stands in the first line"
        )
        found.append(
            Finding(
                code="one-column",
                severity=ERROR,
                subject=subject,
                found=seen,
                expected="two named columns or more",
                action="delete lines above the header, or save the table with commas",
            )
        )
        return ",", []
    best = max(scores, key=lambda d: scores[d][:2])
    ties = [d for d in scores if d != best and scores[d][0] == scores[best][0]]
    if ties and scores[best][0] == 1:
        both = f"rows of equal width by {DELIMITERS[best]} and by {DELIMITERS[ties[0]]}; took the first"
        found.append(
            Finding(
                code="delimiter-doubtful",
                severity=WARNING,
                subject=subject,
                found=both,
                expected="one delimiter",
                action="look at the columns; quote fields that hold a delimiter",
            )
        )
    found.append(
        Finding(
            code="delimiter",
            severity=PASSED,
            subject=subject,
            found=f"{DELIMITERS[best]}, {scores[best][1]} columns",
        )
    )
    return best, scores[best][2]


def _split(sample: str, delimiter: str, *, partial: bool) -> list[list[str]]:
    """The first rows of a sample that are not blank, without the last where the sample may cut it."""
    rows: list[list[str]] = []
    try:
        for row in csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter):
            if row:
                rows.append(row)
            if len(rows) > _SAMPLE_ROWS:
                return rows
    except csv.Error:  # a field beyond the module's limit of 128 KiB: judge by the rows above it
        return rows
    return rows[:-1] if partial and len(rows) > 1 else rows


def _header(cells: list[str], found: list[Finding]) -> list[str]:
    """`tidy_names`, and an error where the first line holds numbers: the header is missing then."""
    filled = [cell.strip() for cell in cells if cell.strip()]
    numeric = [name for name in filled if _NUMBER.fullmatch(name)]
    counted = any(numeric == [str(n + start) for n in range(len(numeric))] for start in (0, 1))
    if filled and len(numeric) == len(filled) and not counted:
        found.append(
            Finding(
                code="header-missing",
                severity=ERROR,
                subject="header",
                found=f"a first line of numbers: {_few(filled)}",
                expected="column names",
                action="write a line with the column names above the rows",
            )
        )
    elif decimals := [name for name in filled if _DECIMAL.fullmatch(name)]:
        found.append(
            Finding(
                code="header-doubtful",
                severity=WARNING,
                subject="header",
                found=f"numbers as names: {_few(decimals)}",
                expected="column names",
                action="if the first line is a row, write the column names above it",
            )
        )
    return tidy_names(cells, found)


def tidy_names(cells: list[str], found: list[Finding]) -> list[str]:
    """Names, stripped; empty ones become unnamed_<position>, with a warning; duplicates are errors."""
    stripped = [cell.strip().strip("\ufeff") for cell in cells]
    if renamed := [n for n, name in enumerate(stripped, 1) if not name]:
        called = _few([f"unnamed_{n}" for n in renamed])
        found.append(
            Finding(
                code="header-empty",
                severity=WARNING,
                subject="header",
                found=f"columns without a name; called {called}",
                expected="a name for each column",
                action="if it is a written row number, drop the column",
            )
        )
    names = [name or f"unnamed_{n}" for n, name in enumerate(stripped, 1)]
    found += duplicates(names)
    if (changed := sum(a != b for a, b in zip(cells, stripped, strict=True))) and not errors(found):
        found.append(
            Finding(
                code="header-white-space",
                severity=PASSED,
                subject="header",
                found=f"white space around {changed} names; removed",
            )
        )
    return names


def duplicates(names: list[str]) -> list[Finding]:
    """An error for each name that stands more than once, with its positions."""
    places = {
        name: [str(n) for n, other in enumerate(names, 1) if other == name]
        for name, count in Counter(names).items()
        if count > 1
    }
    return [
        Finding(
            code="duplicate-columns",
            severity=ERROR,
            subject=name,
            found=f"the name {name!r} in columns {', '.join(at)}",
            expected="each name once",
            action="rename or delete all but one",
        )
        for name, at in places.items()
    ]


def refused(code: str, subject: str, found: str, expected: str, action: str) -> Refused:
    """The one error that stops the reading of a source."""
    return Refused(
        f"{subject} cannot be read",
        [
            Finding(
                code=code,
                severity=ERROR,
                subject=subject,
                found=found,
                expected=expected,
                action=action,
            )
        ],
    )


def _few(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def _rows(text: bytes, delimiter: str, width: int, subject: str, found: list[Finding]) -> pa.Table:
    """All rows below the header as text columns f0, f1, ...; errors go to `found`."""
    table, wrong = _read(text, delimiter, width, subject, threads=True)
    if wrong:  # row numbers are known only without threads
        table, wrong = _read(text, delimiter, width, subject, threads=False)
        first = ", ".join(f"{r.number or '?'} ({r.actual_columns})" for r in wrong[:5])
        open_quote = any('"' in r.text and "\n" in r.text for r in wrong)
        found.append(
            Finding(
                code="row-width",
                severity=ERROR,
                subject=subject,
                found=f"{len(wrong):,} rows of another width; row (fields): {first}",
                expected=f"{width} fields in every row, as in the header",
                action="close the quote that runs over several lines"
                if open_quote
                else "quote fields that hold the delimiter, and delete lines that are no rows",
            )
        )
    elif table.num_rows < 2:
        found.append(
            Finding(
                code="no-rows",
                severity=ERROR,
                subject=subject,
                found="a header and no rows",
                expected="rows below the header",
                action="write the rows",
            )
        )
    elif text.count(b'"') % 2:
        last = table.slice(table.num_rows - 1).to_pylist()[0]
        if any("\n" in cell for cell in last.values()):
            found.append(
                Finding(
                    code="quote-open",
                    severity=ERROR,
                    subject=subject,
                    found=f"a quote that never closes, in row {table.num_rows:,}",
                    expected="quotes in pairs",
                    action="close or double the quote",
                )
            )
    return table.slice(1)


def _read(
    text: bytes, delimiter: str, width: int, subject: str, *, threads: bool
) -> tuple[pa.Table, list[Any]]:
    """The rows of the right width, header included, and pyarrow's `InvalidRow` for each other."""
    wrong: list[Any] = []

    def skip(row: Any) -> str:
        wrong.append(row)
        return "skip"

    types = {f"f{n}": pa.large_string() for n in range(width)}
    read = arrow_csv.ReadOptions(
        autogenerate_column_names=True, use_threads=threads, block_size=_BLOCK_BYTES
    )
    split = arrow_csv.ParseOptions(
        delimiter=delimiter, newlines_in_values=b'"' in text, invalid_row_handler=skip
    )
    convert = arrow_csv.ConvertOptions(column_types=types, strings_can_be_null=False)
    try:
        return arrow_csv.read_csv(pa.BufferReader(text), read, split, convert), wrong
    except pa.ArrowInvalid as broken:
        limit = f"rows below {_BLOCK_BYTES >> 20} MB"
        raise refused(
            "row-too-long", subject, str(broken), limit, "close the quote left open"
        ) from None
