"""Layout: where the header of a table of cells stands, and what stands above it.

A row is taken for the header by what is below it: a word above a column of numbers names that
column. So lines of comment, a title and a row of groups are told from the header, and a header
that lacks a field is told from a title.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from fivefold.core.text import listed
from fivefold.data.missing_markers import MARKERS, NUMBER_MARKERS
from fivefold.data.reading.read_log import ReadLog

MOST_ABOVE = 50  # rows above a header
_BELOW = 200  # rows that show what a column holds
_NUMBERS = 0.9  # least share of cells with digits and without letters in a column of numbers
_SECOND_HEADER_ROWS = 6  # fewer say too little about what the columns hold
_RULED = re.compile(r":?[-=+]{2,}:?")
_COMMENTS = ("#", "%", "//", "--", "!")
Row = Sequence[str]


@dataclass(frozen=True)
class Layout:
    """The width of the rows, and the position of the header among them.

    `cells` are those of the header, without empty ones at its end where the rows are empty there.
    """

    header: int
    width: int
    cells: tuple[str, ...]

    @property
    def has_empty_end(self) -> bool:
        """Whether the cells right of the last name are empty, as after a trailing delimiter."""
        return self.width > len(self.cells)


def find_layout(rows: Sequence[Row]) -> Layout:
    """Return the layout of the first rows of a table, none of which is blank.

    The width is the most frequent one, that of the first row if several are. The header is the
    first row of that width, unless it is a title, a line of comment or a row of groups above one.
    """
    counts = Counter(map(len, rows))
    width = max(counts, key=lambda w: (counts[w], w == len(rows[0]), w))
    first = next(n for n, row in enumerate(rows) if len(row) == width)
    if first > MOST_ABOVE:
        return Layout(0, len(rows[0]), tuple(rows[0]))
    header = first
    while header - first < MOST_ABOVE and _is_above_header(rows[header:]):
        header += 1
    if header and _is_header_of_other_width(rows[header - 1], rows[header:]):
        header -= 1
    cells = _without_end(rows[header])
    below = [row for row in rows[header + 1 :] if len(row) == width]
    if any(filled(row[len(cells) :]) for row in below):
        cells = tuple(rows[header])
    return Layout(header, width, cells)


def note_layout(layout: Layout, rows: Sequence[Row], subject: str, log: ReadLog) -> None:
    """Note what stands above the header, and a header that does not fit the rows.

    A header of fewer or more fields than all rows is an error, as is a title above rows without
    a header.
    """
    above, header, below = (
        rows[: layout.header],
        rows[layout.header],
        rows[layout.header + 1 :],
    )
    if (len(layout.cells) != layout.width and not layout.has_empty_end) or (
        len(header) < layout.width and any(filled(r[len(layout.cells) :]) for r in below)
    ):
        _note_other_width(layout, subject, log)
    elif above and names_columns(header, below) is False:
        log.error(
            "header-missing",
            subject,
            f"{_lines(above)}, then rows of values without names: {listed(filled(header))}",
            expected="column names above the rows",
            action="write a line with the column names",
        )
    elif above:
        log.warning(
            "lines-above-header",
            subject,
            f"{_lines(above)} above the header in row {layout.header + 1}; not read",
            expected="the header in the first row",
            action=f"look at the column names: {listed(filled(header))}",
        )
    if below and filled(below[0]) and all(map(_RULED.fullmatch, filled(below[0]))):
        log.error(
            "ruled-line",
            subject,
            f"a line of {filled(below[0])[0][:3]!r} in row {layout.header + 2}",
            expected="rows below the header",
            action="delete that line of a printed table, or export the table as CSV",
        )
    elif _is_second_header(below):
        log.error(
            "header-doubtful",
            subject,
            f"words in row {layout.header + 2} ({listed(filled(below[0]))}) where all rows below "
            "hold values",
            expected="one header",
            action="delete that row (units?), or what stands above it if it is the header",
        )
    if layout.has_empty_end and below and len(below[0]) == layout.width:
        log.passed(
            "trailing-delimiter",
            subject,
            f"empty cells right of the last name, {layout.cells[-1]!r}; not read",
        )


def filled(cells: Row) -> list[str]:
    """Return the cells that are not blank, stripped."""
    return [cell.strip() for cell in cells if cell.strip()]


def is_value(cell: str) -> bool:
    """Return whether a cell has digits and no letters, as numbers, dates and times do.

    >>> is_value("-1,5"), is_value("2024-05-01"), is_value("x1"), is_value("n/a")
    (True, True, False, False)
    """
    return any(map(str.isdigit, cell)) and not any(map(str.isalpha, cell))


def value_columns(rows: Sequence[Row], width: int) -> list[int]:
    """Return the positions of the columns of values, among the rows of a width."""
    even = [row for row in rows if len(row) == width]
    return [n for n in range(width) if are_values([row[n] for row in even])]


def are_values(cells: Sequence[str]) -> bool:
    """Return whether cells are values but for a few; some of them are not missing."""
    present = [cell.strip() for cell in cells if not is_missing(cell.strip())]
    return bool(present) and sum(map(is_value, present)) >= _NUMBERS * len(present)


def names_columns(row: Row, below: Sequence[Row]) -> bool | None:
    """Return whether a row names the columns of the rows below it.

    It does if it has a word above values; it does not if it has values wherever they do. Without
    values below nothing is known: None.
    """
    columns = value_columns(below[:_BELOW], len(row))
    heads = [row[n].strip() for n in columns if not is_missing(row[n].strip())]
    if not heads or _are_counted(heads):
        return None
    return not all(map(is_value, heads))


def _is_second_header(below: Sequence[Row]) -> bool:
    """Return whether the first of some rows has words in all columns of values, two or more."""
    if len(below) < _SECOND_HEADER_ROWS:
        return False
    columns = value_columns(below[1:_BELOW], len(below[0]))
    heads = [below[0][n].strip() for n in columns]
    return len(heads) > 1 and not any(is_value(cell) or is_missing(cell) for cell in heads)


def is_missing(cell: str) -> bool:
    """Return whether a cell means missing in a column of numbers."""
    return cell in MARKERS or cell.lower() in NUMBER_MARKERS


def _is_above_header(rows: Sequence[Row]) -> bool:
    """Return whether the first of some rows stands above the header, which is below it."""
    width, upper = len(rows[0]), filled(rows[0])
    if len(upper) <= 1 and width > 2:  # a title in a row of empty cells, or nothing
        full = next((n for n, row in enumerate(rows) if 2 * len(filled(row)) > width), 0)
        return full > 0 and names_columns(rows[full], rows[full + 1 :]) is not False
    if len(rows) < 3 or len(rows[1]) != width:
        return False
    lower = set(filled(rows[1]))
    if len(lower) < width or names_columns(rows[1], rows[2:]) is not True:
        return _is_comment(rows[0]) and _is_comment(rows[1])
    return _is_comment(rows[0]) or 2 * len(set(upper)) <= width


def _is_header_of_other_width(row: Row, rows: Sequence[Row]) -> bool:
    """Return whether a row above the first of some rows is their header, short or long of fields.

    A line of one field or of comment is not. Any other line is, if the first row has no words
    above values, or if a field more or less is all that it lacks.
    """
    if len(filled(row)) < 2 or _is_comment(row):
        return False
    is_near = abs(len(row) - len(rows[0])) == 1 and not any(map(is_value, row))
    return is_near or names_columns(rows[0], rows[1:]) is not True


def _are_counted(heads: Sequence[str]) -> bool:
    """Return whether names are whole numbers of equal steps, such as years."""
    if len(heads) < 2 or not all(map(str.isdecimal, heads)):
        return False
    steps = {int(b) - int(a) for a, b in pairwise(heads)}
    return len(steps) == 1 and steps != {0}


def _is_comment(row: Row) -> bool:
    return row[0].lstrip().startswith(_COMMENTS)


def _without_end(row: Row) -> tuple[str, ...]:
    cells = list(row)
    while len(cells) > 1 and not cells[-1].strip():
        cells.pop()
    return tuple(cells)


def _lines(above: Sequence[Row]) -> str:
    texts = [" ".join(filled(row)) or "an empty row" for row in above]
    shown = listed([repr(text[:60]) for text in texts], most=3)
    return f"{len(above)} lines ({shown})" if len(above) > 1 else f"the line {shown}"


def _note_other_width(layout: Layout, subject: str, log: ReadLog) -> None:
    names, width = len(layout.cells), layout.width
    found = f"{names} names in the header ({listed(layout.cells)}), and {width} fields in the rows"
    action = (
        "name the columns of all fields, the row names too (R: write.csv, or col.names = NA), or "
        'put cells that hold the delimiter into double quotes (")'
    )
    if names > width:
        action = "delete names without a column, or add the missing field to the rows"
    log.error("header-width", subject, found, expected="a name for each field", action=action)
