"""Workbooks: one sheet of an Excel or OpenDocument file.

Cells become text as in a CSV export, so that a table reads the same from both. A formula counts
with the value that was stored with it.
"""

from __future__ import annotations

import datetime as dt
import io
import zipfile
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa

from fivefold.core.findings import Refused, errors, refuse_errors
from fivefold.core.text import error_line, listed
from fivefold.data.reading.files import MOST_EXPANDED, SMALL_EXPANDED, Content
from fivefold.data.reading.layout import filled, find_layout, note_layout
from fivefold.data.reading.normalize import TEXT
from fivefold.data.reading.read_log import ReadLog, unreadable

if TYPE_CHECKING:
    from python_calamine import CalamineWorkbook

ODS_TYPE = b"mimetypeapplication/vnd.oasis.opendocument.spreadsheet"
_FIRST_ROWS = 500  # show where the header is
_TABLE_ROWS = 1 << 16
Cells: TypeAlias = list[Any]


def read_workbook(content: Content, log: ReadLog) -> Iterator[pa.Table]:
    """Yield the rows of a sheet as tables of text.

    It is the sheet that `content.table` names, else the first visible one that holds a table; which
    one was taken is noted. Raises `Refused` for a damaged or locked file, for an unknown sheet,
    and where the sheet is no table.
    """
    from python_calamine import CalamineError, PasswordError  # needed for few files

    try:
        book = _open_workbook(content)
        name, rows = _choose_sheet(book, content, log)
    except Refused:
        raise
    except PasswordError:
        raise unreadable(
            "excel-locked",
            content.name,
            "a workbook with a password",
            expected="a workbook without one",
            action="save it without a password",
        ) from None
    except BaseException as error:
        is_panic = type(error).__name__ == "PanicException"  # of calamine, on a damaged file
        if not is_panic and not isinstance(error, (CalamineError, zipfile.BadZipFile)):
            raise
        raise unreadable(
            "excel-damaged",
            content.name,
            f"a workbook that cannot be read ({error_line(error)})",
            expected="a whole .xlsx, .xls or .ods file",
            action="open it and save it again, or save the sheet as CSV",
        ) from None
    yield from _tables(rows, f"{content.name}, sheet {name}", log)


def _open_workbook(content: Content) -> CalamineWorkbook:
    from python_calamine import CalamineWorkbook

    data = b"".join(content.blocks())
    if data.startswith(b"PK"):
        _refuse_bomb(data, content.name)
    return CalamineWorkbook.from_filelike(io.BytesIO(data))


def _refuse_bomb(data: bytes, name: str) -> None:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        expanded = sum(entry.file_size for entry in archive.infolist())
    if expanded > max(SMALL_EXPANDED, MOST_EXPANDED * len(data)):
        raise unreadable(
            "gzip-bomb",
            name,
            f"a workbook that grows more than {MOST_EXPANDED} times",
            expected=f"at most {MOST_EXPANDED} times its size",
            action="save the sheet as CSV",
        )


def _choose_sheet(
    book: CalamineWorkbook, content: Content, log: ReadLog
) -> tuple[str, list[list[str]]]:
    """Return the name and the rows of the sheet to read."""
    from python_calamine import SheetTypeEnum, SheetVisibleEnum

    names = [sheet.name for sheet in book.sheets_metadata if sheet.typ == SheetTypeEnum.WorkSheet]
    if content.table and content.table not in names:
        raise unreadable(
            "sheet-missing",
            content.name,
            f"no sheet {content.table!r}; sheets here: {listed(names, most=20)}",
            expected="the name of a sheet",
            action="pass one as --query, or as `query` of the scope",
        )
    if content.table:
        log.passed("sheet", content.name, f"the sheet {content.table!r}, as asked")
        return content.table, _rows(book, content.table)
    visible = [
        sheet.name
        for sheet in book.sheets_metadata
        if sheet.name in names and sheet.visible == SheetVisibleEnum.Visible
    ]
    filled_sheets = {name: rows for name in visible or names if (rows := _rows(book, name))}
    if not filled_sheets:
        raise unreadable(
            "empty",
            content.name,
            f"no cell in the sheets {listed(names)}" if names else "no sheet",
            expected="a header and rows in one sheet",
            action="write the table again",
        )
    is_table = (name for name, rows in filled_sheets.items() if _is_table(rows))
    taken = next(is_table, next(iter(filled_sheets)))
    others = [f"{name!r} ({len(rows):,} rows)" for name, rows in filled_sheets.items()]
    if len(others) > 1:
        log.warning(
            "sheet",
            content.name,
            f"{len(others)} sheets: {listed(others)}; took {taken!r}",
            expected="one sheet with cells",
            action="if it is another one, name it: --query SHEET, or `query` in the scope",
        )
    else:
        log.passed("sheet", content.name, f"the sheet {taken!r}")
    return taken, filled_sheets[taken]


def _is_table(rows: Sequence[Sequence[str]]) -> bool:
    """Return whether rows have two columns or more and there are two of them or more."""
    return len(rows) > 1 and len(rows[0]) > 1


def _rows(book: CalamineWorkbook, name: str) -> list[list[str]]:
    """Return the rows of a sheet as text, without those and without columns that are blank."""
    rows = book.get_sheet_by_name(name).to_python()
    columns = [_texts(column) for column in zip(*rows, strict=True)]
    columns = [column for column in columns if any(column)]
    return [list(row) for row in zip(*columns, strict=True) if any(row)]


def _texts(cells: Sequence[Any]) -> list[str]:
    """Return the cells of a column as text; days have a time only if one of them has."""
    moments = [cell for cell in cells if isinstance(cell, dt.datetime)]
    are_days = all(moment.time() == dt.time() for moment in moments)
    return [_text(cell, are_days) for cell in cells]


def _text(cell: Any, are_days: bool) -> str:
    if isinstance(cell, dt.datetime):
        return cell.date().isoformat() if are_days else cell.isoformat(" ")
    if isinstance(cell, dt.date):
        return cell.isoformat() if are_days else f"{cell.isoformat()} 00:00:00"
    if isinstance(cell, dt.timedelta):
        return repr(cell.total_seconds())
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53:
        return str(int(cell))
    return str(cell).strip()


def _tables(rows: list[list[str]], subject: str, log: ReadLog) -> Iterator[pa.Table]:
    layout = find_layout(rows[:_FIRST_ROWS])
    if layout.width < 2 or len(layout.cells) < 2:
        log.error(
            "one-column",
            subject,
            "one column only",
            expected="two named columns or more",
            action="name another sheet with --query, or write the names into one row",
        )
    else:
        note_layout(layout, rows[:_FIRST_ROWS], subject, log)
    names, below = list(layout.cells), rows[layout.header + 1 :]
    if any(filled(row[len(names) :]) for row in below) and not errors(log.findings):
        log.error(
            "header-width",
            subject,
            "cells right of the last name",
            expected=f"{len(names)} columns, as in the header",
            action="name these columns, or delete the cells",
        )
    refuse_errors(f"{subject} cannot be read", log.findings)
    schema = pa.schema([(str(n), TEXT) for n in range(len(names))])
    yield schema.empty_table().rename_columns(names)
    for start in range(0, len(below), _TABLE_ROWS):
        columns = list(zip(*below[start : start + _TABLE_ROWS], strict=True))[: len(names)]
        yield pa.Table.from_arrays([pa.array(c, TEXT) for c in columns], names=names)
