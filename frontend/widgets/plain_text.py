"""Words: text from data, made safe for the places where Streamlit reads Markdown (labels, tables, captions)."""

from __future__ import annotations

import re
from typing import Any

UNKNOWN = "unknown"
JOINER = "\u2060"  # takes no room and shows nothing
# Emphasis, code, references, math, HTML, entities, directives, arrows, and what starts a list.
_SIGNS = re.compile(
    r"[\\`*\[\]$~<>|&]|:(?=\w)|(?<!\w)[_#]|_(?!\w)|^[-+](?=\s)|-(?=[->])|(?<=\d)[.)](?=\s)"
)
_LINKS = re.compile(
    r"(?i)(?<=:)(?=//)|(?<=www)(?=\.)|(?<=@)"
)  # becomes a link even behind a backslash


def plain(text: object) -> str:
    r"""Text from data with Streamlit's Markdown signs escaped, for labels, captions, metrics and table cells.

    An underscore inside a word is no sign, and stays: a screen reader reads labels as they are written. Addresses get
    an invisible joiner, so that they do not become links.

    >>> print(plain("a_b *x* _y_ [z](w) $1$ :smile:"), plain("http://c www.d e@f").replace(JOINER, "·"))
    a_b \*x\* \_y\_ \[z\](w) \$1\$ \:smile: http:·//c www·.d e@·f
    >>> print(plain("- a"), plain("+ a"), plain("12. a"), plain("a -- b -> c"), plain("-5 to 1.5"), sep=" | ")
    \- a | \+ a | 12\. a | a \-- b \-\> c | -5 to 1.5
    """
    return _LINKS.sub(JOINER, _SIGNS.sub(r"\\\g<0>", " ".join(str(text).split())))


def shown(value: Any) -> str:
    """A plain value as text."""
    return UNKNOWN if value is None else str(value)
