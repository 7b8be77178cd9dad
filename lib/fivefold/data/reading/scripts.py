"""Scripts: how well the words of a text fit an encoding.

Read in a wrong encoding, a text has signs inside its words, capital letters in the wrong places,
two scripts in one word, or characters that hardly anybody writes.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

_TOKEN = re.compile(r"[a-zA-Z\x80-\U0010ffff]+")
_SIGNS = "€£¥°«»„“”‘’‚…–—·•§©®™µ½¼¾²³±×÷ºª¿¡№、。・「」（），：\u00a0\u3000"
_CYRILLIC = frozenset("абвгдежзийклмнопрстуфхцчшщъыьэюяёіїєґў")
_RARE = (
    0.5  # of a word of letters that few languages use, or of Latin accents without plain letters
)
_RARE_LEADS = 0.2  # most characters outside the common ones of a multibyte encoding
_JAPANESE = ("CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "FULLWIDTH", "IDEOGRAPHIC")


@dataclass(frozen=True)
class Encoding:
    """An encoding: the scripts that it is for, and the lead bytes of common characters.

    The ranges are those of the characters in daily use: level 1 of JIS X 0208 and of GB 2312,
    the frequent ones of Big5, the syllables of KS X 1001, kana and full-width signs.
    """

    codec: str
    scripts: tuple[str, ...]
    leads: tuple[tuple[int, int], ...] = ()


ENCODINGS = (  # in the order of preference among those that fit equally well
    Encoding("cp1252", ("LATIN",)),
    Encoding("latin_1", ("LATIN",)),
    Encoding("cp1250", ("LATIN",)),
    Encoding("iso8859_2", ("LATIN",)),
    Encoding("cp1254", ("LATIN",)),
    Encoding("cp1257", ("LATIN",)),
    Encoding("cp850", ("LATIN",)),
    Encoding("mac_roman", ("LATIN",)),
    Encoding("cp1251", ("CYRILLIC",)),
    Encoding("koi8_r", ("CYRILLIC",)),
    Encoding("cp866", ("CYRILLIC",)),
    Encoding("iso8859_5", ("CYRILLIC",)),
    Encoding("mac_cyrillic", ("CYRILLIC",)),
    Encoding("cp1253", ("GREEK",)),
    Encoding("cp1255", ("HEBREW",)),
    Encoding("cp1256", ("ARABIC",)),
    Encoding("cp874", ("THAI",)),
    Encoding("cp932", _JAPANESE, ((0x81, 0x83), (0x88, 0x98))),
    Encoding("euc_jp", _JAPANESE, ((0xA1, 0xA1), (0xA3, 0xA5), (0xB0, 0xCF))),
    Encoding("gb18030", ("CJK", "FULLWIDTH"), ((0xA1, 0xA3), (0xB0, 0xD7))),
    Encoding("big5", ("CJK", "FULLWIDTH"), ((0xA1, 0xC6),)),
    Encoding("cp949", ("HANGUL", "CJK", "FULLWIDTH"), ((0xA1, 0xA3), (0xB0, 0xC8))),
)
LATIN = tuple(entry.codec for entry in ENCODINGS if entry.scripts == ("LATIN",))
MULTIBYTE = tuple(entry.codec for entry in ENCODINGS if entry.leads)


def fit(sample: bytes, encoding: Encoding) -> float:
    """Return the share of the different words beyond ASCII that fit; 1 if there is no word.

    The sample may break off within a character.
    """
    try:
        text = codecs.getincrementaldecoder(encoding.codec)().decode(sample)
    except UnicodeDecodeError:
        return 0.0
    tokens = {token for token in _TOKEN.findall(text) if not token.isascii()}
    if encoding.leads and not _has_common_leads(tokens, encoding):
        return 0.0
    weights = [weight for token in tokens if (weight := _weight(token, encoding)) is not None]
    return sum(weights) / len(weights) if weights else 1.0


def _weight(token: str, encoding: Encoding) -> float | None:
    """Return how well one word fits, from 0 to 1; None for signs only."""
    if all(character in _SIGNS for character in token):
        return None
    if encoding.leads:
        letters = "".join(character for character in token if character not in _SIGNS)
    else:
        first, last = token[0] in _SIGNS, token[-1] in _SIGNS
        letters = token[first : len(token) - last]
    if not letters:
        return 0.0
    foreign = [character for character in letters if not character.isascii()]
    if not all(character.isalpha() or character == "ー" for character in letters):
        marks = encoding.scripts == ("THAI",) or encoding.scripts == ("ARABIC",)
        if not marks or not all(map(_is_letter_or_mark, letters)):
            return 0.0
    if any(_script(character) not in encoding.scripts for character in foreign):
        return 0.0
    is_mixed = len(foreign) < len(letters)
    if is_mixed and not encoding.leads and encoding.scripts != ("LATIN",):
        return 0.0
    has_case = letters.lower() != letters.upper()
    if has_case and not (letters.islower() or letters.isupper() or letters.istitle()):
        return 0.0
    is_cyrillic = encoding.scripts == ("CYRILLIC",)
    is_rare = is_cyrillic and not _CYRILLIC.issuperset(letters.lower())
    is_accents_only = encoding.scripts == ("LATIN",) and not is_mixed and len(letters) > 1
    return _RARE if is_rare or is_accents_only else 1.0


def _has_common_leads(tokens: set[str], encoding: Encoding) -> bool:
    """Return whether nearly all characters are in daily use, by their bytes."""
    characters = {c for token in tokens for c in token if not c.isascii()}
    codes = [c.encode(encoding.codec, "ignore") for c in characters]
    codes = [code for code in codes if code]
    least_trail = 0x40 if encoding.codec in ("cp932", "big5") else 0xA1
    common = sum(
        len(code) == 2
        and code[1] >= least_trail
        and any(low <= code[0] <= high for low, high in encoding.leads)
        for code in codes
    )
    if common < (1 - _RARE_LEADS) * len(codes):
        return False
    if encoding.codec == "big5":  # two fifths of its characters have a second byte below 0x80
        return any(code[-1] < 0x80 for code in codes)
    return True


def _is_letter_or_mark(character: str) -> bool:
    return unicodedata.category(character)[0] in "LM"


@lru_cache(maxsize=4096)
def _script(character: str) -> str:
    return unicodedata.name(character, "UNKNOWN").split()[0]
