"""Text from data, made safe for the places where Streamlit reads Markdown."""

from __future__ import annotations

import re
from typing import Any

UNKNOWN = "unknown"
JOINER = "\u2060"  # invisible, without width
# emphasis, code, references, math, HTML, entities, directives, arrows, and what starts a list
_SIGNS = re.compile(
    r"[\\`*\[\]$~<>|&]|:(?=\w)|(?<!\w)[_#]|_(?!\w)|^[-+](?=\s)|-(?=[->])|(?<=\d)[.)](?=\s)"
)
# an address becomes a link even behind a backslash
_LINKS = re.compile(r"(?i)(?<=:)(?=//)|(?<=www)(?=\.)|(?<=@)")


def plain(text: object) -> str:
    r"""Return text with Streamlit's Markdown signs escaped, for labels, captions and table cells.

    An underscore inside a word is no sign, and stays: a screen reader reads labels as they are
    written. Addresses get an invisible joiner, so that they do not become links.

    >>> print(plain("a_b *x* _y_ [z](w) $1$ :smile:"))
    a_b \*x\* \_y\_ \[z\](w) \$1\$ \:smile:
    >>> print(plain("http://c www.d e@f").replace(JOINER, "·"))
    http:·//c www·.d e@·f
    >>> print(plain("- a"), plain("+ a"), plain("12. a"), sep=" | ")
    \- a | \+ a | 12\. a
    >>> print(plain("a -- b -> c"), plain("-5 to 1.5"), sep=" | ")
    a \-- b \-\> c | -5 to 1.5
    """
    one_line = " ".join(str(text).split())
    return _LINKS.sub(JOINER, _SIGNS.sub(r"\\\g<0>", one_line))


def shown(value: Any) -> str:
    """Return a plain value as text; None is "unknown"."""
    return UNKNOWN if value is None else str(value)


def percent(share: float | None) -> str:
    """Return a share as percentage, "–" for None."""
    return "–" if share is None else f"{share:.1%}"
