"""Run cards: Metaflow's cards of a run as HTML that asks nothing of the network, also while they are being drawn.

A live card's HTML shows how it began; what came after lies beside it as data, which Metaflow's own viewer feeds to
the page by `window.metaflow_card_update`. Embedded cards get the newest data in the same way.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from fivefold.tracking.client import CARDS

_POLICY = (
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; form-action 'none'; base-uri 'none'; "
    "img-src data:; font-src data:; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline' 'unsafe-eval'\">"
)  # Vega compiles its expressions
_IMPORT = re.compile(
    r"""@import\s*(?:url\()?["']https?://[^"']*["']\)?;?|<link[^>]+href=["']https?://[^>]*>"""
)


def card_html(run: Any, name: str) -> str | None:
    """The card as HTML, with the newest data: "eda", "leaderboard", "evaluation", or an algorithm's, of its arm.

    None where there is none yet, or none that can be read.
    """
    steps = {card: step for step, card in CARDS.items()}
    try:
        task = run[steps[name]].task if name in steps else dict(arms(run))[name]
        card = _card(task, name if name in steps else "arm")
        html, newest = card.get(), card.get_data() or {}
    except Exception:  # the client raises many kinds for what is not there, half written or damaged
        return None
    going = str(newest.get("reload_token")).startswith("runtime")  # else the HTML is the last word
    return _contained(html, newest.get("data") if going else None)


def arms(run: Any) -> Iterator[tuple[str, Any]]:
    """(algorithm, newest task) of each arm that has begun, in the flow's order."""
    try:
        names = run["split"].task["arms"].data
        tasks = {
            _index(task): task for task in sorted(run["tune"], key=lambda task: task.created_at)
        }
    except Exception:  # the step has not begun, or its artifacts cannot be read
        return
    yield from ((name, tasks[index]) for index, name in enumerate(names) if index in tasks)


def _index(task: Any) -> int:
    """A task's place in its foreach, from its metadata: `Task.index` is an artifact, which a running task has not."""
    return int(task.metadata_dict["foreach-execution-path"].rsplit(":", 1)[1])


def drawn_at(task: Any) -> datetime | None:
    """When the task's live card was last drawn; None where it has none or is done."""
    try:
        token = str((_card(task, "arm").get_data() or {}).get("reload_token"))
        return datetime.fromtimestamp(float(token.removeprefix("runtime-")), UTC)
    except Exception:  # no card, no data yet, or the token "final"
        return None


def _card(task: Any, name: str) -> Any:
    from metaflow.cards import get_cards

    return get_cards(task, id=name)[0]


def _contained(html: str, data: dict[str, Any] | None) -> str:
    """The page without references to other hosts, forbidden to reach any, and brought up to `data`."""
    html = _IMPORT.sub("", html).replace("<head>", f"<head>{_POLICY}", 1)
    if not data:
        return html
    written = json.dumps(data).replace(
        "<", "\\u003c"
    )  # inside a script element no text may close it
    update = f"<script>window.addEventListener('load', () => window.metaflow_card_update?.({written}))</script>"
    head, end, tail = html.rpartition("</body>")
    return head + update + end + tail
