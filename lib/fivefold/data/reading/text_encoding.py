"""Encodings of text files: detect the encoding of a file and read the file as UTF-8."""

from __future__ import annotations

import codecs
import unicodedata
from dataclasses import dataclass
from itertools import chain

import pyarrow as pa

from fivefold.core.findings import Refused
from fivefold.core.text import listed
from fivefold.data.reading.files import Content
from fivefold.data.reading.read_log import ReadLog, unreadable
from fivefold.data.reading.scripts import ENCODINGS, LATIN, MULTIBYTE, fit

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    ((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE), "utf-16"),
)
_END = (b"",)  # after the blocks of a text: decoders then report a character that is cut
_HEAD_BYTES = 4096  # enough to recognise UTF-16 without a mark
_SAMPLE_BYTES = 1 << 15  # of lines with characters beyond ASCII
_ENOUGH_BYTES = 8  # beyond ASCII; fewer of them say nothing about the encoding
_CLOSE = 0.05  # share of words by which encodings fit about equally well
_LEAST_FIT = 0.5  # of an encoding that is taken
_ESCAPES = (b"\x1b$B", b"\x1b$@")  # begin Japanese characters in ISO-2022-JP


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
    UTF-8 with few broken characters is read with those replaced, with a warning. All else is read
    in the encoding that its words fit best (`scripts`); between equal ones charset-normalizer
    decides, and Windows-1252 comes first. A warning names the encoding, how many words fit, and
    what else they fit. Raises `Refused` for text that is empty, has NUL bytes, or is
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
    for encoding in ("utf-16-le", "utf-16-be"):
        if _is_utf_16(head[: len(head) // 2 * 2], encoding):
            return encoding
    return ""


def _is_utf_16(head: bytes, encoding: str) -> bool:
    """Return whether bytes are UTF-16 without a mark: lines of text, and no NUL character.

    In the other order of bytes a line break would be the unassigned character U+0A00.
    """
    text = head.decode(encoding, "replace")
    if "\0" in text or not any(line_break in text for line_break in "\r\n"):
        return False
    known = [unicodedata.category(character) not in {"Cn", "Co", "Cs"} for character in text]
    has_zeros = head.count(0) >= 0.02 * len(head)
    return has_zeros and sum(known) > 0.95 * len(known) and text.count("\ufffd") < 2


def _wide_text(content: Content, encoding: str, log: ReadLog) -> TextFile:
    decoder = codecs.getincrementaldecoder(encoding)()
    size = quotes = 0
    is_blank = True
    try:
        for block in chain(content.blocks(), _END):
            size += len(block)
            text = decoder.decode(block, final=not block)
            quotes += text.count('"')
            is_blank = is_blank and not text.strip("\ufeff \t\r\n")
    except UnicodeDecodeError as error:
        position = size - len(error.object) + error.start
        raise unreadable(
            "encoding-damaged",
            content.name,
            f"{error.reason}, byte {position:,}, {encoding}",
            expected="whole characters",
            action="export the file again, as UTF-8",
        ) from None
    if is_blank:
        raise _empty(content)
    log.passed("encoding", content.name, f"{encoding} text")
    return TextFile(content, encoding, quotes, codec=encoding)


def _empty(content: Content) -> Refused:
    return unreadable(
        "empty",
        content.name,
        "no content",
        expected="a header line and rows",
        action="write the table again",
    )


def _narrow_text(content: Content, encoding: str, log: ReadLog) -> TextFile:
    """Decide between ASCII, UTF-8 and encodings of one to four bytes a character."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    is_ascii = is_blank = True
    is_japanese = False
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
        is_blank = is_blank and not block.removeprefix(codecs.BOM_UTF8).strip()
        is_japanese = is_japanese or any(escape in block for escape in _ESCAPES)
        quotes += block.count(b'"')
        if not broken_line:
            try:
                decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                broken_line = line + error.object.count(b"\n", 0, error.start)
        line += block.count(b"\n")
    if is_blank:
        raise _empty(content)
    if is_ascii and is_japanese and _decodes(content, "iso2022_jp"):
        log.passed("encoding", content.name, "iso2022_jp text, by its escapes")
        return TextFile(content, "iso2022_jp", quotes, codec="iso2022_jp")
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
    sample = _sample(content)
    fits = {entry.codec: fit(sample, entry) for entry in ENCODINGS}
    best = max(fits.values())
    close = [
        codec
        for codec, share in fits.items()
        if best >= _LEAST_FIT and share >= best - _CLOSE and _decodes(content, codec)
    ]
    western = "cp1252" if _decodes(content, "cp1252") else "latin_1"
    enough = sum(byte > 0x7F for byte in sample) >= _ENOUGH_BYTES
    codec = (_choose(sample, close) if enough else "") or western
    rivals = [other for other in close if other not in {codec, "latin_1"}]
    surely = f"{fits[codec]:.0%} of its words fit" if enough else "too few letters to tell"
    if rivals and enough:
        surely += f", but they also fit {listed(rivals)}"
    log.warning(
        "encoding-guessed",
        content.name,
        f"bytes that are not UTF-8 (first in line {line:,}); read as {_shown(codec)}: {surely}",
        expected="UTF-8",
        action="look at words with accents; if they are wrong, save the file as UTF-8",
    )
    return TextFile(content, _shown(codec), quotes, codec=codec)


def _shown(codec: str) -> str:
    return "latin-1" if codec == "latin_1" else codec


def _choose(sample: bytes, close: list[str]) -> str:
    """Return one of the encodings that fit about equally well, empty if there is none.

    Text that fits an encoding of several bytes a character is of one, because little else does so
    by chance. Else Latin letters are taken if they fit, in their most common encoding. Between
    others charset-normalizer decides.
    """
    wide = [codec for codec in close if codec in MULTIBYTE]
    if not wide and any(codec in LATIN for codec in close):
        return close[0]
    close = [codec for codec in close if codec not in LATIN]
    if len(close) < 2:
        return next(iter(close), "")
    from charset_normalizer import from_bytes  # needed for few files

    matches = from_bytes(
        sample,
        steps=16,
        chunk_size=len(sample) // 16 + 1,
        cp_isolation=close,
        preemptive_behaviour=False,
        enable_fallback=False,
    )
    best = matches.best()
    return best.encoding if best and best.encoding in close else close[0]


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
