"""Words: text from data, made safe for the places where Streamlit reads Markdown (labels, tables, captions)."""

from __future__ import annotations

import re
from typing import Any

UNKNOWN = "unknown"


def plain(text: object) -> str:
    """Text from data with Streamlit's Markdown signs escaped, for labels and captions.

    An underscore inside a word is no sign, and stays: a screen reader reads labels as they are written.

    >>> plain("a_b *x* _y_ [z](w) $1$ :smile:")
    'a_b \\\\*x\\\\* \\\\_y\\\\_ \\\\[z\\\\](w) \\\\$1\\\\$ \\\\:smile:'
    """
    line = " ".join(str(text).split())
    return re.sub(r"[\\`*\[\]$~<>|]|:(?=\w)|(?<!\w)[_#]|_(?!\w)", r"\\\g<0>", line)


def shown(value: Any) -> str:
    """A plain value as text."""
    return UNKNOWN if value is None else str(value)
