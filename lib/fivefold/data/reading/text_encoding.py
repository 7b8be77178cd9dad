"""Encodings of text files: detect the encoding of a file and read the file as UTF-8."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from itertools import chain

import pyarrow as pa

from fivefold.data.reading.files import Content
from fivefold.data.reading.read_log import ReadLog, unreadable

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    ((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE), "utf-16"),
)
_END = (b"",)  # after the blocks of a text: decoders then report a character that is cut
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
    bytes are decoded with `codec`; if that is empty, they are UTF-8.
    """

    content: Content
    encoding: str
    quotes: int
    codec: str = ""
    errors: str = "strict"

    def open(self, skip: int = 0) -> pa.NativeFile:
        """Return the text as a file of UTF-8, without a mark and the first `skip` bytes."""
        file = self.content.stream()
        if self.codec:
            decoder = codecs.getincrementaldecoder(self.codec)(self.errors)
            file = pa.TransformInputStream(file, lambda block: _utf8(decoder, block))
        elif self.encoding == "utf-8-sig":
            file.read(len(codecs.BOM_UTF8))
        file.read(skip)
        return file


def detect_encoding(content: Content, log: ReadLog) -> TextFile:
    """Decide on the encoding of a text, on all of its bytes, and note it.

    UTF-8 comes first, strictly; then UTF-16 and UTF-32, by their mark or by their zero bytes.
    UTF-8 with few broken characters is read with those replaced, with a warning. All else is
    Windows-1252 or Latin-1, unless charset-normalizer finds that another encoding fits better;
    a warning names the encoding. Raises `Refused` for text that is empty, has NUL bytes, or is
    damaged UTF-16.
    """
    encoding = _encoding_of_head(content.head()[:_HEAD_BYTES])
    is_wide = encoding.startswith(("utf-16", "utf-32"))
    detect = _wide_text if is_wide else _narrow_text
    text = detect(content, encoding, log)
    log.details.encoding = text.encoding
    return text


def _utf8(decoder: codecs.IncrementalDecoder, block: bytes) -> bytes:
    """Return a block of another encoding as UTF-8; an empty block is the end of the text."""
    return decoder.decode(block, final=not block).encode("utf-8", "replace")


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
    decoder = codecs.getincrementaldecoder(encoding)()
    size = quotes = 0
    try:
        for block in chain(content.blocks(), _END):
            size += len(block)
            quotes += decoder.decode(block, final=not block).count('"')
    except UnicodeDecodeError as error:
        position = size - len(error.object) + error.start
        raise unreadable(
            "encoding-damaged",
            content.name,
            f"{error.reason}, byte {position:,}, {encoding}",
            expected="whole characters",
            action="export the file again, as UTF-8",
        ) from None
    log.passed("encoding", content.name, f"{encoding} text")
    return TextFile(content, encoding, quotes, codec=encoding)


def _narrow_text(content: Content, encoding: str, log: ReadLog) -> TextFile:
    """Decide between ASCII, UTF-8 and encodings of one to four bytes a character."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    is_ascii = is_blank = True
    quotes = 0
    line = 1
    broken_line = 0  # the first that is not UTF-8
    for block in chain(content.blocks(), _END):
        if b"\0" in block:
            line += block.count(b"\n", 0, block.index(b"\0"))
            raise unreadable(
                "nul-bytes",
                content.name,
                f"NUL bytes, the first in line {line:,}",
                expected="text",
                action="this is a binary or damaged file: export it as CSV in UTF-8",
            )
        is_ascii = is_ascii and block.isascii()
        is_blank = is_blank and not block.strip()
        quotes += block.count(b'"')
        if not broken_line:
            try:
                decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                broken_line = line + error.object.count(b"\n", 0, error.start)
        line += block.count(b"\n")
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
    if broken_line:
        return _guess(content, quotes, broken_line, log)
    encoding = encoding or "utf-8"
    log.passed("encoding", content.name, f"{encoding} text")
    return TextFile(content, encoding, quotes)


def _guess(content: Content, quotes: int, line: int, log: ReadLog) -> TextFile:
    """Read text that is not UTF-8. `line` is the first line that is not."""
    beyond_ascii = broken = 0  # characters
    for text in codecs.iterdecode(content.blocks(), "utf-8", "replace"):
        beyond_ascii += len(text) - len(text.encode("ascii", "ignore"))
        broken += text.count("\ufffd")
    if beyond_ascii > 2 * broken:
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
        is_other = set(_WESTERN).isdisjoint(match.could_be_from_charset)
        if not is_other and match.chaos <= best.chaos:
            return ""
    is_likely = _has_words_of_another_script(sample, best.encoding)
    return best.encoding if is_likely and _decodes(content, best.encoding) else ""


def _has_words_of_another_script(sample: bytes, encoding: str) -> bool:
    """Return whether most words beyond ASCII hold no ASCII letter, which Western words do.

    A single letter of one byte proves nothing: it may be a Western sign such as the euro.
    """
    words = _WORD.findall(sample.decode(encoding, "ignore"))
    words = [word for word in words if not word.isascii()]
    others = [word for word in words if not _ASCII_LETTER.search(word)]
    long = [word for word in others if len(word.encode(encoding, "ignore")) > 1]
    return 2 * len(long) > len(words)


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
