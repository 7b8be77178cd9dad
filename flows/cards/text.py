"""Card texts: numbers, shares and names as short lines for table cells and value boxes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

GAP = "\u00a0"  # keeps a number and its unit on one line


def code(text: object) -> str:
    """Return text from data as a Markdown code span.

    The result is one line without backticks and without angle brackets of HTML.

    >>> code("a`b <script>")
    '`ab ‹script›`'
    """
    line = " ".join(str(text).replace("`", "").split()).replace("<", "‹").replace(">", "›")
    return f"`{line or '(empty)'}`"


def params_text(params: Mapping[str, Any]) -> str:
    texts = []
    for name, value in params.items():
        texts.append(f"{name} {number_text(value) if isinstance(value, float) else value}")
    return line_of(", ".join(texts), 300) or "defaults"


def interval_text(interval: Mapping[str, Any] | None) -> str:
    if not interval:
        return "–"
    ends = f"{interval['low']:.3f}{GAP}to{GAP}{interval['high']:.3f}"
    return f"{interval['value']:.3f} ({ends})"


def share_text(share: Mapping[str, Any]) -> str:
    if share["rate"] is None:
        return "–"
    return f"{percent(share['rate'])} ({percent(share['low'])} to {percent(share['high'])})"


def auc_text(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}%"


def number_text(value: float | None, digits: int = 4) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if 10**digits <= abs(value) < 1e15 else f"{value:,.{digits}g}"


def line_of(value: object, most: int = 80) -> str:
    """Return a value as one line of at most `most` characters, for a table cell or a value box."""
    line = " ".join(str(value).split())
    return line if len(line) <= most else line[: most - 1] + "…"
