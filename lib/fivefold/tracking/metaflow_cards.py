"""Metaflow cards of a run as HTML that works offline, also while the run goes on.

The HTML of a live card shows how it began. Later changes lie beside it as data, which Metaflow's
own viewer hands to the page through `window.metaflow_card_update`; `card_html` does the same.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fivefold.tracking import client

STEP_OF_CARD = {"eda": "eda", "leaderboard": "select", "evaluation": "evaluate"}
SEARCH_CARD = "arm"  # the id of the live card of an algorithm's search

_POLICY = (
    '<meta http-equiv="Content-Security-Policy" content="'
    "default-src 'none'; form-action 'none'; base-uri 'none'; "
    "img-src data:; font-src data:; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline' 'unsafe-eval'\">"
)  # Vega compiles its expressions
_UPDATE = (
    "<script>window.addEventListener('load', () => window.metaflow_card_update?.({data}))</script>"
)
_IMPORT = re.compile(
    r"""@import\s*(?:url\()?["']https?://[^"']*["']\)?;?|<link[^>]+href=["']https?://[^>]*>"""
)


def report_cards(run: Any) -> dict[str, str]:
    """Return {name: HTML} of the report cards; a card that could not be drawn is left out."""
    return {name: card.get() for name, card in _report_cards(run).items()}


def report_paths(run: Any, root: Path) -> dict[str, str]:
    """Return {name: local file} of the report cards, or the address in a remote datastore."""
    paths = {}
    for name, card in _report_cards(run).items():
        local = root / ".metaflow" / "mf.cards" / card.path
        paths[name] = str(local if local.exists() else card.path)
    return paths


def card_html(run: Any, name: str) -> str | None:
    """Return a report card or the card of an algorithm's search, with its newest data.

    None where there is no such card yet, or where it cannot be read.
    """
    try:
        if name in STEP_OF_CARD:
            card = _card(run[STEP_OF_CARD[name]].task, name)
        else:
            card = _card(searches(run)[name], SEARCH_CARD)
        html, newest = card.get(), card.get_data() or {}
    except Exception:  # the client raises many kinds for what is missing, half written or damaged
        return None
    is_live = str(newest.get("reload_token")).startswith("runtime")
    return _self_contained(html, newest.get("data") if is_live else None)


def searches(run: Any) -> dict[str, Any]:
    """Return {algorithm: newest task} of the searches that have begun, in the flow's order."""
    try:
        algorithms = client.require(run, "arms")
        tasks = sorted(run["tune"], key=lambda task: task.created_at)
        task_of = {_foreach_index(task): task for task in tasks}
    except Exception:  # the step has not begun, or its artifacts cannot be read
        return {}
    return {name: task_of[index] for index, name in enumerate(algorithms) if index in task_of}


def drawn_at(task: Any) -> datetime | None:
    """Return when the live card of a search was last drawn; None without one or when done."""
    try:
        newest = _card(task, SEARCH_CARD).get_data() or {}
        token = str(newest.get("reload_token"))
        return datetime.fromtimestamp(float(token.removeprefix("runtime-")), UTC)
    except Exception:  # no card, no data yet, or the token "final"
        return None


def _report_cards(run: Any) -> dict[str, Any]:
    cards = {}
    for name, step in STEP_OF_CARD.items():
        try:
            cards[name] = _card(run[step].task, name)
        except Exception:  # noqa: S112
            continue
    return cards


def _card(task: Any, name: str) -> Any:
    import metaflow.cards

    metaflow_cards: Any = metaflow.cards
    return metaflow_cards.get_cards(task, id=name)[0]


def _foreach_index(task: Any) -> int:
    """Return a task's number in its foreach; `Task.index` is missing while the task runs."""
    return int(task.metadata_dict["foreach-execution-path"].rsplit(":", 1)[1])


def _self_contained(html: str, data: dict[str, Any] | None) -> str:
    """Return the page without links to other hosts, forbidden to reach any, updated to `data`."""
    html = _IMPORT.sub("", html).replace("<head>", f"<head>{_POLICY}", 1)
    if not data:
        return html
    # inside a script element no text may close it
    written = json.dumps(data).replace("<", "\\u003c")
    head, end, tail = html.rpartition("</body>")
    return head + _UPDATE.replace("{data}", written) + end + tail
