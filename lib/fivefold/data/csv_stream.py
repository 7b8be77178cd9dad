"""CSV streams: a delimited text file of any size as tables of texts, with what `fivefold.data.csv_files` would detect in the whole.

Nothing is held but a block. The encoding is decided on all bytes, delimiter and header on the first 256 KiB of text as
`fivefold.data.csv_files.parse` does, and Arrow finds the ends of rows, so that a quoted line break cuts nothing.
"""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as arrow_csv

from fivefold.core.findings import PASSED, WARNING, Finding, refuse_errors
from fivefold.data import csv_files, files
from fivefold.data.csv_files import refused

BLOCK = 1 << 20  # bytes read at a time
_BLOCK = 1 << 20  # bytes of a block; Arrow reads some 32 of them ahead
_NOT_CP1252 = (b"\x81", b"\x8d", b"\x8f", b"\x90", b"\x9d")


def delimited(path: Path, found: list[Finding]) -> Iterator[pa.Table]:
    """Tables of texts, none missing yet; delimiter and header as `fivefold.data.csv_files.parse` tells them."""
    codec, errors = _coding(path, found)
    head = io.BufferedReader(_Text(path, codec, errors)).read(csv_files._SAMPLE_BYTES + 4096)
    told = csv_files._EXCEL.match(head)  # Excel's own hint for the delimiter; we look for ourselves
    skip = told.end() if told else 0
    delimiter, header = csv_files._detect(head[skip:], path.name, found)
    refuse_errors(f"{path.name} cannot be read", found)
    names = csv_files._header(header, found)
    refuse_errors(f"{path.name} cannot be read", found)
    return _tables(lambda: _Text(path, codec, errors, skip), delimiter, names, path.name)


def _tables(
    opened: Callable[[], _Text], delimiter: str, names: list[str], subject: str
) -> Iterator[pa.Table]:
    """The rows below the header. Raises `Refused` at the end where rows are of another width, or a quote stays open."""
    done, last, wrong = 0, None, _Wrong()  # rows with the header
    for block in (_BLOCK, csv_files._BLOCK_BYTES):
        text, wrong, seen = opened(), _Wrong(), 0
        try:
            for batch in _batches(text, delimiter, len(names), wrong, block):
                new = pa.Table.from_batches([batch]).slice(
                    max(done, 1) - seen
                )  # the header, and what was given
                seen += batch.num_rows
                if seen > done:
                    done = seen
                    last = new.slice(new.num_rows - 1) if new.num_rows else last
                    yield new.rename_columns(names)
            break
        except (
            pa.ArrowInvalid
        ) as broken:  # a row that is longer than a block: once more with larger ones
            if block == csv_files._BLOCK_BYTES:
                raise refused(
                    "row-too-long",
                    subject,
                    str(broken),
                    f"rows below {block >> 20} MB",
                    "close the quote left open",
                ) from None
    if wrong.rows:
        first = ", ".join(f"{row.number or '?'} ({row.actual_columns})" for row in wrong.first)
        raise refused(
            "row-width",
            subject,
            f"{wrong.rows:,} rows of another width; row (fields): {first}",
            f"{len(names)} fields in every row, as in the header",
            "close the quote that runs over several lines"
            if wrong.open_quote
            else "quote fields that hold the delimiter, and delete lines that are no rows",
        )
    if done < 2:
        raise refused(
            "no-rows", subject, "a header and no rows", "rows below the header", "write the rows"
        )
    if (
        text.quotes % 2
        and last is not None
        and any("\n" in cell for cell in last.to_pylist()[0].values())
    ):
        raise refused(
            "quote-open",
            subject,
            f"a quote that never closes, in row {done:,}",
            "quotes in pairs",
            "close or double the quote",
        )


def _batches(
    text: _Text, delimiter: str, width: int, wrong: _Wrong, block: int
) -> Iterator[pa.RecordBatch]:
    """All rows of the right width, header included, as text columns."""
    read = arrow_csv.ReadOptions(
        autogenerate_column_names=True, use_threads=False, block_size=block
    )
    split = arrow_csv.ParseOptions(
        delimiter=delimiter, newlines_in_values=True, invalid_row_handler=wrong.skip
    )
    convert = arrow_csv.ConvertOptions(
        column_types={f"f{n}": pa.large_string() for n in range(width)}, strings_can_be_null=False
    )
    yield from arrow_csv.open_csv(
        pa.PythonFile(io.BufferedReader(text), mode="r"), read, split, convert
    )


class _Wrong:
    """Rows of another width: how many, the first few, and whether one looks like a quote that was left open."""

    def __init__(self) -> None:
        self.rows, self.first, self.open_quote = 0, list[Any](), False

    def skip(self, row: Any) -> str:
        self.rows, self.open_quote = (
            self.rows + 1,
            self.open_quote or ('"' in row.text and "\n" in row.text),
        )
        if len(self.first) < 5:
            self.first.append(row)
        return "skip"


class _Text(io.RawIOBase):
    """The text of a file as UTF-8 without a mark, to be read as a stream; `quotes` counts the quotes read so far."""

    def __init__(self, path: Path, codec: str, errors: str, skip: int = 0):
        self._blocks, self._left, self.quotes = _utf8(path, codec, errors, skip), memoryview(b""), 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._left, self.quotes = memoryview(block), self.quotes + block.count(b'"')
        size = min(len(buffer), len(self._left))
        buffer[:size], self._left = self._left[:size], self._left[size:]
        return size


def _raw(path: Path) -> Iterator[bytes]:
    """The bytes of a file, unpacked where it is in gzip, block by block."""
    with path.open("rb") as plain:
        packed = plain.read(2) == b"\x1f\x8b"
        plain.seek(0)
        file: Any = gzip.GzipFile(fileobj=plain) if packed else plain
        most, size = max(files.SMALL_EXPANDED, files.MOST_EXPANDED * path.stat().st_size), 0
        try:
            while block := file.read(BLOCK):
                size += len(block)
                if size > most:
                    raise refused(
                        "gzip-bomb",
                        path.name,
                        f"a gzip file that grows more than {files.MOST_EXPANDED} times",
                        f"at most {files.MOST_EXPANDED} times its size",
                        "unpack it yourself and give the file inside",
                    )
                yield block
        except (EOFError, zlib.error, gzip.BadGzipFile) as broken:
            raise refused(
                "gzip-damaged",
                path.name,
                f"a gzip file that breaks off or is damaged ({broken})",
                "a whole gzip file",
                "copy or download it again",
            ) from None


def _utf8(path: Path, codec: str, errors: str, skip: int) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(codec)(errors) if codec else None
    for block in _raw(path):
        text = decoder.decode(block).encode("utf-8", "replace") if decoder else block
        text, skip = text[skip:], max(0, skip - len(text))
        if text:
            yield text
    if decoder and (rest := decoder.decode(b"", final=True)):
        yield rest.encode("utf-8", "replace")


def _coding(path: Path, found: list[Finding]) -> tuple[str, str]:
    """(codec, "strict" or "replace") that make UTF-8 of a file; codec "" where it is that already.

    Decides as `fivefold.data.csv_files.decode`. Raises `Refused` for NUL bytes and for damaged UTF-16 and UTF-32.
    """
    head, subject, lines, plain = next(_raw(path))[:4096], path.name, 0, True
    codec = next((name for mark, name in csv_files._BOMS if head.startswith(mark)), "")
    if not codec and b"\0" in head:  # UTF-16 without mark: every other byte is zero
        even, odd = head[::2], head[1::2]
        many = even.count(0) > 0.4 * len(even), odd.count(0) > 0.4 * len(odd)
        codec = {(False, True): "utf-16-le", (True, False): "utf-16-be"}.get(many, "")
    for block in () if codec else _raw(path):
        if b"\0" in block:
            line = lines + block.count(b"\n", 0, block.index(b"\0")) + 1
            raise refused(
                "nul-bytes",
                subject,
                f"NUL bytes, the first in line {line:,}",
                "text",
                "this is a binary or damaged file: export it as CSV in UTF-8",
            )
        lines, plain = lines + block.count(b"\n"), plain and block.isascii()
    if plain and not codec:
        found.append(
            Finding(
                code="encoding",
                severity=PASSED,
                subject=subject,
                found="ASCII text, which is also UTF-8",
            )
        )
        return "", "strict"
    fault = _first_fault(path, codec or "utf-8")
    if not fault:
        found.append(
            Finding(
                code="encoding", severity=PASSED, subject=subject, found=f"{codec or 'utf-8'} text"
            )
        )
        return codec, "strict"
    if codec.startswith(("utf-16", "utf-32")):
        raise refused(
            "encoding-damaged",
            subject,
            f"{fault[1]}, {codec}",
            "whole characters",
            "export the file again, as UTF-8",
        )
    return _guess(path, fault[0], found)


def _first_fault(path: Path, codec: str) -> tuple[int, str] | None:
    """(line, what is wrong) where a file first breaks its encoding."""
    decoder, lines = codecs.getincrementaldecoder(codec)(), 0
    blocks = _raw(path)
    while True:
        block = next(blocks, b"")
        try:
            decoder.decode(block, final=not block)
        except UnicodeDecodeError as fault:
            line = lines + block.count(b"\n", 0, fault.start) + 1
            return line, f"{fault.reason}, near line {line:,}"
        if not block:
            return None
        lines += block.count(b"\n")


def _guess(path: Path, line: int, found: list[Finding]) -> tuple[str, str]:
    """Text that is not UTF-8: damaged UTF-8 where most non-ASCII characters are whole, else one byte each."""
    decoder, broken, whole, latin = codecs.getincrementaldecoder("utf-8")("replace"), 0, 0, False
    for block in _raw(path):
        if not block.isascii() or decoder.getstate()[0]:
            text = decoder.decode(block)
            gone = text.count("\ufffd")
            broken, whole = (
                broken + gone,
                whole + len(text) - len(text.encode("ascii", "ignore")) - gone,
            )
            latin = latin or any(byte in block for byte in _NOT_CP1252)
    broken += len(decoder.decode(b"", final=True))
    if whole > broken:
        found.append(
            Finding(
                code="encoding-damaged",
                severity=WARNING,
                subject=path.name,
                found=f"{broken:,} broken characters in UTF-8 text, the "
                f"first in line {line:,}; replaced by \ufffd",
                expected="whole characters",
                action="export the file again, as UTF-8",
            )
        )
        return "utf-8-sig", "replace"
    codec = "latin-1" if latin else "cp1252"
    found.append(
        Finding(
            code="encoding-guessed",
            severity=WARNING,
            subject=path.name,
            found=f"bytes that are not UTF-8 (first in line {line:,}); read as {codec}",
            expected="UTF-8",
            action="look at words with accents; if they are wrong, save the file as UTF-8",
        )
    )
    return codec, "strict"
