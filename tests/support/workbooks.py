"""Workbooks as bytes, written by hand: .xlsx, .ods and the old .xls, of one table a sheet."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

Sheets = Mapping[str, Sequence[Sequence[object]]]
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_REL = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_OASIS = "urn:oasis:names:tc:opendocument:xmlns:"


def _zipped(files: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    return buffer.getvalue()


def xlsx(sheets: Sheets, hidden: Sequence[str] = (), date_columns: Sequence[int] = ()) -> bytes:
    """Return an Excel workbook; numbers in `date_columns` are days since 1899-12-30."""

    def cell(value: object, position: int) -> str:
        if value is None:
            return "<c/>"
        if isinstance(value, bool):
            return f'<c t="b"><v>{int(value)}</v></c>'
        if isinstance(value, (int, float)):
            style = ' s="1"' if position in date_columns else ""
            return f"<c{style}><v>{value!r}</v></c>"
        if str(value).startswith("#"):
            return f'<c t="e"><v>{value}</v></c>'
        return f'<c t="inlineStr"><is><t xml:space="preserve">{escape(str(value))}</t></is></c>'

    files = {
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types"/>',
        "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="r" '
        f'Type="{_REL}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/styles.xml": f'<styleSheet xmlns="{_MAIN}"><cellXfs><xf numFmtId="0"/>'
        '<xf numFmtId="14"/></cellXfs></styleSheet>',
    }
    entries, links = "", ""
    for n, (name, rows) in enumerate(sheets.items(), 1):
        state = ' state="hidden"' if name in hidden else ""
        entries += f'<sheet name="{escape(name)}" sheetId="{n}"{state} r:id="r{n}"/>'
        links += f'<Relationship Id="r{n}" Type="{_REL}/worksheet" Target="worksheets/s{n}.xml"/>'
        written = (
            "".join(cell(value, position) for position, value in enumerate(row)) for row in rows
        )
        body = "".join(f"<row>{row}</row>" for row in written)
        files[f"xl/worksheets/s{n}.xml"] = (
            f'<worksheet xmlns="{_MAIN}"><sheetData>{body}</sheetData></worksheet>'
        )
    files["xl/workbook.xml"] = (
        f'<workbook xmlns="{_MAIN}" xmlns:r="{_REL}"><sheets>{entries}</sheets></workbook>'
    )
    files["xl/_rels/workbook.xml.rels"] = (
        f'<Relationships xmlns="{_PACKAGE}/relationships">{links}<Relationship Id="s" '
        f'Type="{_REL}/styles" Target="styles.xml"/></Relationships>'
    )
    return _zipped(files)


def ods(sheets: Sheets) -> bytes:
    """Return an OpenDocument spreadsheet."""

    def cell(value: object) -> str:
        if value is None:
            return "<table:table-cell/>"
        if isinstance(value, (int, float)):
            return f'<table:table-cell office:value-type="float" office:value="{value!r}"/>'
        return (
            '<table:table-cell office:value-type="string"><text:p>'
            f"{escape(str(value))}</text:p></table:table-cell>"
        )

    tables = ""
    for name, rows in sheets.items():
        body = "".join(
            f"<table:table-row>{''.join(map(cell, row))}</table:table-row>" for row in rows
        )
        tables += f'<table:table table:name="{escape(name)}">{body}</table:table>'
    content = (
        f'<office:document-content xmlns:office="{_OASIS}office:1.0" '
        f'xmlns:table="{_OASIS}table:1.0" xmlns:text="{_OASIS}text:1.0"><office:body>'
        f"<office:spreadsheet>{tables}</office:spreadsheet></office:body>"
        "</office:document-content>"
    )
    kind = "application/vnd.oasis.opendocument.spreadsheet"
    manifest = (
        f'<manifest:manifest xmlns:manifest="{_OASIS}manifest:1.0"><manifest:file-entry '
        f'manifest:full-path="/" manifest:media-type="{kind}"/></manifest:manifest>'
    )
    return _zipped({"mimetype": kind, "META-INF/manifest.xml": manifest, "content.xml": content})


def xls(rows: Sequence[Sequence[object]], name: str = "Sheet1") -> bytes:
    """Return an old Excel workbook of one sheet: BIFF8 records in an OLE2 file ([MS-XLS])."""

    def record(kind: int, data: bytes) -> bytes:
        return struct.pack("<HH", kind, len(data)) + data

    def text(value: str) -> bytes:
        return struct.pack("<HB", len(value), 1) + value.encode("utf-16-le")

    def cell(row: int, column: int, value: object) -> bytes:
        place = struct.pack("<HHH", row, column, 0)
        if isinstance(value, (int, float)):
            return record(0x0203, place + struct.pack("<d", value))
        return record(0x0204, place + text(str(value)))

    version = struct.pack("<HHHHII", 0x0600, 0, 0x0DBB, 0x07CC, 0, 6)
    begin = record(0x0809, version[:2] + b"\x05\x00" + version[4:])
    sheet_name = bytes([len(name), 1]) + name.encode("utf-16-le")
    start = len(begin) + 4 + 6 + len(sheet_name) + 4
    book = begin + record(0x0085, struct.pack("<IBB", start, 0, 0) + sheet_name) + record(0x0A, b"")
    book += record(0x0809, version[:2] + b"\x10\x00" + version[4:])
    for n, row in enumerate(rows):
        book += b"".join(cell(n, m, value) for m, value in enumerate(row) if value is not None)
    book += record(0x0A, b"")
    book = book.ljust(max(4096, -(-len(book) // 512) * 512), b"\0")
    return _ole(book)


def _ole(stream: bytes) -> bytes:
    """Return an OLE2 file with one stream, "Workbook": its sectors follow two of tables."""
    sectors = len(stream) // 512
    assert sectors < 120  # one sector of the table of sectors
    chain = [0xFFFFFFFD, 0xFFFFFFFE, *range(3, sectors + 2), 0xFFFFFFFE]
    table = struct.pack("<128I", *chain, *[0xFFFFFFFF] * (128 - len(chain)))

    def entry(name: str, kind: int, child: int, start: int, size: int) -> bytes:
        raw = name.encode("utf-16-le").ljust(64, b"\0")
        length = 2 * len(name) + 2 if name else 0
        links = struct.pack("<HBBIII", length, kind, 1, 0xFFFFFFFF, 0xFFFFFFFF, child)
        return raw + links + bytes(36) + struct.pack("<IQ", start, size)

    folder = entry("Root Entry", 5, 1, 0xFFFFFFFE, 0)
    folder += entry("Workbook", 2, 0xFFFFFFFF, 2, len(stream))
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16)
    header += struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + bytes(6)
    header += struct.pack("<IIIIIIIII", 0, 1, 1, 0, 4096, 0xFFFFFFFE, 0, 0xFFFFFFFE, 0)
    header += struct.pack("<109I", 0, *[0xFFFFFFFF] * 108)
    return header + table + folder.ljust(512, b"\0") + stream
