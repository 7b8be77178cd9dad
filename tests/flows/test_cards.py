"""Cards hold what the dicts say, and no text from data reaches Markdown, which executes HTML."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from cards import evaluation as evaluation_card
from cards import live as live_card
from cards import parts as card_parts
from cards import train as cards
from metaflow.cards import Markdown, Table, ValueBox, VegaChart

from fivefold.core.findings import Finding
from fivefold.core.scope import Scope
from fivefold.data.coerce import coerce_table
from fivefold.data.infer import infer_schema
from fivefold.model.metadata import Metadata
from fivefold.profiling.comparison import compare
from fivefold.profiling.summary import summarise
from fivefold.training.candidate import Candidate
from fivefold.training.ensemble import Ensemble
from fivefold.training.leaderboard import Leaderboard
from fivefold.training.search import Progress
from tests.charts.test_charts import NASTY, board, evaluation, summary  # noqa: F401


class Card:
    """What `current.card` offers a live card."""

    def __init__(self):
        self.parts, self.refreshed = [], 0

    def extend(self, parts):
        self.parts += parts

    def append(self, part):
        self.parts.append(part)

    def clear(self):
        self.parts = []

    def refresh(self):
        self.refreshed += 1


def flat(parts) -> list:
    """All components, those in table cells included."""
    inner = [
        cell for part in parts if isinstance(part, Table) for row in part._data for cell in row
    ]
    return [*parts, *(cell for cell in inner if not isinstance(cell, str))]


def cells(parts) -> list[str]:
    return [
        cell
        for part in parts
        if isinstance(part, Table)
        for row in part._data
        for cell in row
        if isinstance(cell, str)
    ]


def check(parts) -> None:
    """Every component renders to JSON without an error, and Markdown holds no text from data."""
    for part in flat(parts):
        text = json.dumps(part.render())
        assert "Traceback" not in text
        assert "RENDER FAIL" not in text.upper()
        if isinstance(part, Markdown):
            assert "<" not in part._text
            assert NASTY not in part._text
    for part in parts:
        if isinstance(part, Table):
            assert len({len(row) for row in part._data}) == 1
            assert not part._headers or len(part._headers) == len(part._data[0])
            for row in part._data:  # Metaflow shows an inner table as [object Object]
                assert not [cell for cell in row if isinstance(cell, (Table, dict, list))]


@pytest.fixture
def nasty(summary):  # noqa: F811
    return summary | {
        "scope": summary["scope"]
        | {"title": NASTY, "question": NASTY, "positive_phrase": "will <b>leave</b>"},
        "source": {
            "source": NASTY,
            "md5": "0a1b",
            "rows": 400,
            "details": {NASTY: NASTY},
            "revision": {"git_commit": None},
        },
        "findings": [
            Finding(
                code="a", severity=s, subject=NASTY, found=NASTY, expected=NASTY, action=NASTY
            ).to_dict()
            for s in ("passed", "warning", "error", "not_applicable")
        ],
        "notes": [NASTY],
    }


def test_eda_card_is_safe_and_complete(nasty):
    changes = {
        "since": NASTY,
        "changes": [
            {
                "subject": NASTY,
                "what": "new levels",
                "before": NASTY,
                "now": NASTY,
                "notable": True,
                "why": NASTY,
            }
        ],
    }
    parts = cards.eda_components(nasty, changes)
    check(parts)
    headings = [
        part._text for part in parts if isinstance(part, Markdown) and part._text.startswith("#")
    ]
    assert headings == [
        "# Data report",
        "## Findings",
        "## What changed",
        "## Association with the target",
        "## Over time",
        "## Columns",
        "## Missing cells",
        "## Correlations of numbers",
        "## Outliers",
        "## Source",
    ]
    assert {"0a1b", NASTY} <= set(cells(parts))
    assert (
        len([p for p in flat(parts) if isinstance(p, VegaChart)]) == 5 + 2 * 8
    )  # eight columns have values to draw


def test_findings_stand_errors_first_and_the_rest_folded(nasty):
    first, folded = card_parts.finding_tables(nasty["findings"])
    assert [row[0].replace("\u00a0", " ") for row in first._data] == ["✖ error", "▲ warning"]
    assert [row[0].replace("\u00a0", " ") for row in folded._data] == [
        "✔ passed (1)",
        "– not checked (1)",
    ]


def test_long_texts_fit_the_boxes():
    title = "x" * 5000
    scope = Scope(target="y", title=title, question=title)
    frame = pd.DataFrame({title: [1.0, 2.0, 3.0] * 5, "k": [title, "b", None] * 5})
    schema = infer_schema(frame, scope, ("no", "yes"))
    result = summarise(
        coerce_table(frame, schema, used_only=False)[0],
        np.array([0, 1, -1] * 5),
        schema,
        scope,
        [],
        {"source": title},
    )
    parts = cards.eda_components(result, {"since": title, "changes": compare(result, result)})
    check(parts)
    assert max(map(len, cells(parts))) <= 2000


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"a": [float("nan")] * 3}),
        pd.DataFrame({"a": [1.0]}),
        pd.DataFrame({"a": pd.Series([], dtype="float64")}),
    ],
)
@pytest.mark.parametrize("kind", ["numeric", "categorical", "date", "text", "constant"])
def test_degenerate_tables_have_a_card(frame, kind):
    scope = Scope(target="y", kinds={"a": kind})
    schema = infer_schema(frame, scope, ("no", "yes"))
    result = summarise(
        coerce_table(frame, schema, used_only=False)[0], np.ones(len(frame)), schema, scope, [], {}
    )
    check(cards.eda_components(result))


BLEND = {
    "weights": {"xgboost": 0.75, "adaboost": 0.25},
    "auc_mean": 0.91,
    "auc_std": 0.01,
    "fold_scores": [0.9, 0.92],
    "gain": 0.0012,
    "gain_low": -0.0003,
    "gain_high": 0.0027,
    "served": "blend",
    "why": NASTY,
    "bag": None,
}


def test_leaderboard_card():
    parts = cards.leaderboard_components(
        Leaderboard.from_dicts(board()), Ensemble.from_dict(BLEND), []
    )
    check(parts)
    boxes = {p._title: p._value for p in flat(parts) if isinstance(p, ValueBox)}
    assert (boxes["Winner"], boxes["As good"], boxes["Failed"]) == ("XGBoost", "1", "1")
    assert "0.4 (not distinguishable)" in cells(parts)
    assert NASTY in cells(parts)  # the failed arm's error, as text
    assert "+0.0012 (-0.0003 to +0.0027)" in cells(parts)
    assert "XGBoost 75%, AdaBoost 25%" in cells(parts)


def metadata(stored: dict) -> Metadata:
    """The metadata of a bundle of which only some is stored."""
    return Metadata.from_dict({**stored, "evaluation": evaluation()})


def test_evaluation_card():
    stored = {
        "algorithm": "xgboost",
        "params": {"depth": 3},
        "rounds": 90,
        "calibration": {"method": "isotonic"},
        "phrases": ["will stay", NASTY],
        "scope": {"title": NASTY, "target": "y", "capacity": 0.25},
        "provenance": {"pathspec": "TrainFlow/1", "versions": {"numpy": "2"}},
    }
    parts = evaluation_card.components(metadata(stored))
    check(parts)
    boxes = {p._title: p._value for p in flat(parts) if isinstance(p, ValueBox)}
    assert (boxes["ROC AUC"], boxes["Held-out rows"], boxes["Threshold"]) == (
        "0.8600",
        "500",
        "0.300",
    )
    assert {"TrainFlow/1", "versions: numpy", "too few rows to evaluate"} <= set(cells(parts))
    check(evaluation_card.components(metadata({})))


def test_an_evaluation_card_of_several_models_lists_each_instead_of_one_set_of_parameters():
    member = {
        "algorithm": "xgboost",
        "weight": 0.5,
        "params": {"depth": 3},
        "rounds": 90,
        "rows_fitted": 1000,
    }
    one, two = (
        evaluation_card.components(metadata({"params": {"depth": 3}, "members": [member] * n}))
        for n in (1, 2)
    )
    assert "parameters" in cells(one)
    assert "parameters" not in cells(two)
    assert cells(two).count("1,000") == 2


def test_an_evaluation_card_says_that_what_is_served_was_fitted_once_more():
    result = [
        [
            p._text
            for p in flat(evaluation_card.components(metadata(about)))
            if isinstance(p, Markdown)
        ]
        for about in ({}, {"refit": {"rows": 12_500}})
    ]
    assert not any("fitted once" in words for words in result[0])
    assert any(
        "fitted once more with the same settings on 12,500 labelled rows, "
        "the held-out ones among them" in words
        for words in result[1]
    )


def test_live_card_follows_and_finishes(monkeypatch):
    monkeypatch.setattr(live_card, "REDRAW", 0.0)
    card = Card()
    live = live_card.Live(card, "xgboost")
    for trial, auc in enumerate([0.8, 0.7]):
        for fold in (1, 2):
            live.report(Progress(trial, 2, fold, 2, auc, 0.8 if trial else None))
    assert card.refreshed == 4
    assert live._bar.render()["value"] == 100
    assert live._status.render()["value"] == "0.8000"
    assert [p["best"] for p in live._chart.render()["spec"]["data"]["values"]] == [0.8, 0.8]
    check(card.parts)
    live.finish(Candidate.from_dict(board()[0]))
    check(card.parts)
    assert "3 s of search" in [p._subtitle for p in flat(card.parts) if isinstance(p, ValueBox)]


def test_a_search_card_lists_each_setting_that_is_averaged():
    settings = [
        {"number": 2, "params": {"depth": 3, "kind": NASTY}, "rounds": 90},
        {"number": 0, "params": {"depth": 5}, "rounds": None},
    ]
    parts = cards.search_components(Candidate.from_dict(board()[0] | {"settings": settings}))
    check(parts)
    rows = parts[-1]._data
    assert [row[:3] for row in rows] == [
        ["3", "0.8300", "90"],
        ["1", "0.8100", "–"],
    ]  # counted from 1, as in the chart
    assert "depth" in rows[1][3]


def test_live_card_draws_at_most_every_ten_seconds(monkeypatch):
    card, seconds = Card(), [0.0, 4.0, 9.0, 11.0, 15.0, 22.0]
    monkeypatch.setattr(live_card.time, "monotonic", lambda: seconds[0])
    live = live_card.Live(card, "xgboost")
    drawn = []
    for trial in range(5):
        seconds.pop(0)
        live.report(Progress(trial, 10_000, 1, 1, 0.8, None))
        drawn.append(card.refreshed)
    assert drawn == [0, 0, 1, 1, 2]


def test_a_broken_card_never_stops_a_search(capsys, monkeypatch):
    monkeypatch.setattr(live_card, "REDRAW", 0.0)

    class Broken(Card):
        def refresh(self):
            raise OSError("disk full")

    live = live_card.Live(Broken(), "xgboost")
    for trial in range(3):
        live.report(Progress(trial, 3, 1, 1, 0.8, None))
    live.finish(Candidate.from_dict(board()[0]))
    assert capsys.readouterr().out.count("The live card stopped: OSError: disk full\n") == 1


@pytest.mark.parametrize(
    "text",
    [NASTY, "a`b`c", "a\n\n<img src=x onerror=alert(1)>", "", "``", "](javascript:alert(1))"],
)
def test_code_is_one_closed_span(text):
    span = card_parts.code(text)
    assert span[0] == span[-1] == "`"
    assert span.count("`") == 2
    assert len(span) > 2
    assert "<" not in span
    assert "\n" not in span
