"""Encodings of text files: detect the encoding of a file and read the file as UTF-8."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from fivefold.data.reading.files import Content
from fivefold.data.reading.read_log import ReadLog, unreadable

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    ((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE), "utf-16"),
)
_HEAD_BYTES = 4096  # enough to recognise UTF-16 without a mark
_WESTERN = ("cp1252", "latin_1")
# cp1250 and cp1254 are left out: in short words they cannot be distinguished from cp1252.
_OTHERS = ("cp1251", "koi8_r", "cp1253", "cp932", "euc_jp", "gb18030", "big5", "cp949")
_SAMPLE_BYTES = 1 << 15  # of lines with characters beyond ASCII, shown to charset-normalizer
_WORD = re.compile(r"[^\W\d_]+")
_ASCII_LETTER = re.compile(r"[A-Za-z]")
_ENOUGH_BYTES = 8  # beyond ASCII; fewer of them say nothing about the encoding


@dataclass(frozen=True)
class TextFile:
    """A text that can be read as UTF-8, again and again.

    `encoding` is the name for people, `quotes` the number of double quotes in the text. The
    bytes are decoded with `codec`, or are UTF-8 after the first `mark` bytes if that is empty.
    """

    content: Content
    encoding: str
    quotes: int
    codec: str = ""
    errors: str = "strict"
    mark: int = 0

    def open(self, skip: int = 0) -> pa.NativeFile:
        """Return the text as a file of UTF-8, without a mark and the first `skip` bytes."""
        start = self.mark + skip
        can_seek = self.content.path is None or not self.content.compression
        if can_seek and not self.codec:
            file = self.content.arrow_file()
            file.seek(start)
            return file
        blocks = io.BufferedReader(_BlockFile(self._utf8_blocks()))
        blocks.read(start)
        return pa.PythonFile(blocks, mode="r")

    def _utf8_blocks(self) -> Iterator[bytes]:
        blocks = self.content.blocks()
        if not self.codec:
            yield from blocks
            return
        for text in codecs.iterdecode(blocks, self.codec, self.errors):
            yield text.encode("utf-8", "replace")


def detect_encoding(content: Content, log: ReadLog) -> TextFile:
    """Decide on the encoding of a text, on all of its bytes, and note it.

    UTF-8 comes first, strictly; then UTF-16 and UTF-32, by their mark or by their zero bytes.
    UTF-8 with few broken characters is read with those replaced, with a warning. All else is
    Windows-1252 or Latin-1, unless charset-normalizer finds that another encoding fits better;
    a warning names the encoding. Raises `Refused` for text that is empty, has NUL bytes, or is
    damaged UTF-16.
    """
    encoding = _encoding_of_head(content.head()[:_HEAD_BYTES])
    if encoding.startswith(("utf-16", "utf-32")):
        text = _wide_text(content, encoding, log)
    else:
        text = _narrow_text(content, encoding, log)
    log.details.encoding = text.encoding
    return text


def _encoding_of_head(head: bytes) -> str:
    """Return the encoding that a mark or zero bytes show, else an empty string."""
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    if b"\0" not in head:
        return ""
    even, odd = head[::2], head[1::2]  # UTF-16 without a mark: every other byte is zero
    even_is_zero = even.count(0) > 0.4 * len(even)
    odd_is_zero = odd.count(0) > 0.4 * len(odd)
    if even_is_zero == odd_is_zero:
        return ""
    return "utf-16-le" if odd_is_zero else "utf-16-be"


def _wide_text(content: Content, encoding: str, log: ReadLog) -> TextFile:
    decoder = _StrictDecoder(encoding)
    quotes = 0
    for block in content.blocks():
        quotes += decoder.decode(block).count('"')
    decoder.decode(b"", final=True)
    if decoder.fault:
        raise unreadable(
            "encoding-damaged",
            content.name,
            f"{decoder.fault}, {encoding}",
            expected="whole characters",
            action="export the file again, as UTF-8",
        )
    log.passed("encoding", content.name, f"{encoding} text")
    return TextFile(content, encoding, quotes, codec=encoding)


def _narrow_text(content: Content, encoding: str, log: ReadLog) -> TextFile:
    """Decide between ASCII, UTF-8 and encodings of one to four bytes a character."""
    decoder = _StrictDecoder("utf-8")
    is_ascii = is_blank = True
    quotes = 0
    for block in content.blocks():
        if b"\0" in block:
            line = decoder.line + block[: block.index(b"\0")].count(b"\n")
            raise unreadable(
                "nul-bytes",
                content.name,
                f"NUL bytes, the first in line {line:,}",
                expected="text",
                action="this is a binary or damaged file: export it as CSV in UTF-8",
            )
        is_ascii = is_ascii and block.isascii()
        is_blank = is_blank and block.isspace()
        quotes += block.count(b'"')
        decoder.decode(block)
    decoder.decode(b"", final=True)
    if is_blank:
        raise unreadable(
            "empty",
            content.name,
            "no content",
            expected="a header line and rows",
            action="write the table again",
        )
    if is_ascii:
        log.passed("encoding", content.name, "ASCII text, which is also UTF-8")
        return TextFile(content, "ascii", quotes)
    if decoder.fault:
        return _guess(content, quotes, decoder.fault_line, log)
    encoding = encoding or "utf-8"
    log.passed("encoding", content.name, f"{encoding} text")
    mark = len(codecs.BOM_UTF8) if encoding == "utf-8-sig" else 0
    return TextFile(content, encoding, quotes, mark=mark)


def _guess(content: Content, quotes: int, line: int, log: ReadLog) -> TextFile:
    """Read text that is not UTF-8. `line` is the first line that is not."""
    whole = broken = 0  # characters beyond ASCII, if the text is read as UTF-8
    for text in codecs.iterdecode(content.blocks(), "utf-8", "replace"):
        replaced = text.count("\ufffd")
        broken += replaced
        whole += len(text) - len(text.encode("ascii", "ignore")) - replaced
    if whole > broken:
        log.warning(
            "encoding-damaged",
            content.name,
            f"{broken:,} broken characters in UTF-8 text, the first in line {line:,}; "
            "replaced by \ufffd",
            expected="whole characters",
            action="export the file again, as UTF-8",
        )
        return TextFile(content, "utf-8", quotes, codec="utf-8-sig", errors="replace")
    western = "cp1252" if _decodes(content, "cp1252") else "latin-1"
    encoding = _other_encoding(content) or western
    log.warning(
        "encoding-guessed",
        content.name,
        f"bytes that are not UTF-8 (first in line {line:,}); read as {encoding}",
        expected="UTF-8",
        action="look at words with accents; if they are wrong, save the file as UTF-8",
    )
    return TextFile(content, encoding, quotes, codec=encoding)


def _other_encoding(content: Content) -> str:
    """Return the encoding that fits better than the Western ones, else an empty string."""
    from charset_normalizer import from_bytes  # needed for few files

    sample = _sample(content)
    if sum(byte > 0x7F for byte in sample) < _ENOUGH_BYTES:
        return ""
    matches = from_bytes(
        sample,
        steps=16,
        chunk_size=len(sample) // 16 + 1,
        cp_isolation=[*_WESTERN, *_OTHERS],
        preemptive_behaviour=False,
        enable_fallback=False,
    )
    best = matches.best()
    if best is None:
        return ""
    for match in matches:
        names = {match.encoding, *match.could_be_from_charset}
        if names & set(_WESTERN) and match.chaos <= best.chaos:
            return ""
    is_likely = _has_words_of_another_script(sample, best.encoding)
    return best.encoding if is_likely and _decodes(content, best.encoding) else ""


def _has_words_of_another_script(sample: bytes, encoding: str) -> bool:
    """Return whether most words beyond ASCII hold no ASCII letter, which Western words do.

    A single letter of one byte proves nothing: it may be a Western sign such as the euro.
    """
    words = _WORD.findall(sample.decode(encoding, "ignore"))
    words = [word for word in words if not word.isascii()]
    others = 0
    for word in words:
        is_long = len(word.encode(encoding, "ignore")) > 1
        if is_long and not _ASCII_LETTER.search(word):
            others += 1
    return 2 * others > len(words)


def _sample(content: Content) -> bytes:
    """Return the first lines with characters beyond ASCII."""
    sample = rest = b""
    for block in content.blocks():
        *lines, rest = (rest + block).splitlines(keepends=True)
        sample += b"".join(line for line in lines if not line.isascii())
        if len(sample) + len(rest) > _SAMPLE_BYTES:
            break
    return (sample + rest)[:_SAMPLE_BYTES]


def _decodes(content: Content, encoding: str) -> bool:
    try:
        for _ in codecs.iterdecode(content.blocks(), encoding):
            pass
    except UnicodeDecodeError:
        return False
    return True


class _StrictDecoder:
    """Decodes block after block up to the first fault; `line` is the one that comes next."""

    def __init__(self, encoding: str):
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._size = 0
        self.line = 1
        self.fault = ""
        self.fault_line = 0

    def decode(self, block: bytes, final: bool = False) -> str:
        """Return the text of a block; nothing after a fault."""
        self._size += len(block)
        self.line += block.count(b"\n")
        if self.fault:
            return ""
        try:
            return self._decoder.decode(block, final)
        except UnicodeDecodeError as error:
            rest = error.object[error.start :]  # up to the end of the block
            self.fault = f"{error.reason}, byte {self._size - len(rest):,}"
            self.fault_line = self.line - rest.count(b"\n")
            return ""


class _BlockFile(io.RawIOBase):
    """Blocks of bytes, none of them empty, as a file."""

    def __init__(self, blocks: Iterator[bytes]):
        self._blocks = blocks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._rest = self._rest or memoryview(next(self._blocks, b""))
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size
