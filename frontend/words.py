"""Words: text from data, made safe for the places where Streamlit reads Markdown (labels, tables, captions)."""

from __future__ import annotations

import re
from typing import Any

UNKNOWN = "unknown"
# Emphasis, code, links, math, HTML, entities, directives, addresses that become links, and what starts a list.
_SIGNS = re.compile(r"[\\`*\[\]$~<>|&@]|:(?=\w|//)|(?<!\w)[_#]|_(?!\w)|"
                    r"^[-+](?=\s)|-(?=[->])|(?<=\d)[.)](?=\s)|(?<=www)\.")


def plain(text: object) -> str:
    r"""Text from data with Streamlit's Markdown signs escaped, for labels, captions, metrics and table cells.

    An underscore inside a word is no sign, and stays: a screen reader reads labels as they are written.

    >>> print(plain("a_b *x* _y_ [z](w) $1$ :smile: www.a.b http://c d@e"))
    a_b \*x\* \_y\_ \[z\](w) \$1\$ \:smile: www\.a.b http\://c d\@e
    >>> print(plain("- a"), plain("+ a"), plain("12. a"), plain("a -- b -> c"), plain("-5 to 1.5"), sep=" | ")
    \- a | \+ a | 12\. a | a \-- b \-\> c | -5 to 1.5
    """
    return _SIGNS.sub(r"\\\g<0>", " ".join(str(text).split()))


def shown(value: Any) -> str:
    """A plain value as text."""
    return UNKNOWN if value is None else str(value)
