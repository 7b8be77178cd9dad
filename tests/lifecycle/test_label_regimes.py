"""Who gets a label, and when: with a perfect model and a calm world, no regime asks for a new one.

Each regime is a stream of weekly windows. The monitor looks at each window when it ends and three
times more, a week apart, as `flows/monitor.py` does.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from fivefold.core.roc_auc import auc_interval
from fivefold.lifecycle.report import WindowReport, retrain_due
from fivefold.lifecycle.window import Past, Reference, evaluate_window, typed_inputs
from fivefold.model.bundle import Bundle
from fivefold.model.evaluation import Evaluation, Importance
from fivefold.model.label_sample import COMPLETE, RANDOM, UNJUDGED, WEIGHTED
from tests.support.models import bundle_of, changed

START, WEEK = datetime(2026, 3, 2), timedelta(days=7)
WEEKS, ROWS, LOOKS, THRESHOLD = 4, 900, 4, 0.4
Regime = Callable[[pd.DataFrame, np.random.Generator], pd.DataFrame]


def world(rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x, z = rng.normal(0, 1, (2, rows)).round(3)
    return pd.DataFrame({"x": x, "z": z, "kind": rng.choice(["a", "b", "c"], rows)})


def chance(rows: pd.DataFrame) -> np.ndarray:
    x, z = (rows[name].to_numpy(dtype=float) for name in ("x", "z"))
    return 1 / (1 + np.exp(1.2 - 1.5 * x - 0.7 * z))


@pytest.fixture(scope="module")
def reference() -> Reference:
    base, held_out = world(4000, 1), world(4000, 2)
    scores = chance(held_out)
    y = np.random.default_rng(3).random(4000) < scores
    bundle = changed(
        bundle_of(base, chance, threshold=THRESHOLD),
        evaluation=Evaluation(
            auc=auc_interval(y.astype(int), scores),
            importance=[Importance("x", 0.2, 0.0), Importance("z", 0.1, 0.0)],
        ),
    )
    typed = typed_inputs(pd.Series([json.dumps(r) for r in base.to_dict("records")]), bundle)
    return Reference(bundle=bundle, typed=typed, scores=scores)


def of_scope(reference: Reference, **keys: float) -> Reference:
    """The reference of a model whose scope has these keys."""
    bundle: Bundle = reference.bundle
    return replace(reference, bundle=changed(bundle, scope=replace(bundle.metadata.scope, **keys)))


@dataclass(frozen=True)
class Played:
    """All reports of a world, in the order in which they were made."""

    reports: list[WindowReport]
    retrain: bool

    @property
    def asking(self) -> int:
        return sum(report.bad for report in self.reports)

    def verdicts(self, age: int) -> set[str]:
        """Verdicts on the windows of which `age` weeks have passed."""
        return {r.labels.verdict for r in self.reports[age::LOOKS] if r.labels is not None}


def play(
    reference: Reference,
    regime: Regime,
    truth: Callable[[pd.DataFrame], np.ndarray] = chance,
    only_events: bool = False,
    seed: int = 0,
) -> Played:
    """Play a world: `regime` gives each case a label (perhaps NaN), a delay in days, and acted."""
    rng = np.random.default_rng(seed)
    rows = world(WEEKS * ROWS, 100 + seed)
    at = START + pd.to_timedelta(np.sort(rng.uniform(0, 7 * WEEKS, len(rows))), unit="D")
    cases = pd.DataFrame({"at": at.as_unit("us"), "probability": chance(rows)})
    cases["y"] = (rng.random(len(rows)) < truth(rows)) * 1.0
    cases["control"] = rng.random(len(rows)) < (reference.bundle.metadata.scope.control_share or 0)
    labels = regime(cases, rng)
    delay = pd.to_timedelta(labels["delay"].to_numpy(), unit="D")
    cases = cases.assign(
        id=[str(n) for n in range(len(rows))],
        model="TrainFlow/1",
        inputs=[json.dumps(r) for r in rows.to_dict("records")],
        threshold=THRESHOLD,
        warnings="",
        latency_ms=4.0,
        label=labels["label"].to_numpy(),
        labelled_at=(at + delay).as_unit("us"),
        acted=labels["acted"].to_numpy(),
    )
    reports = []
    for week in range(WEEKS):
        start, end = START + week * WEEK, START + (week + 1) * WEEK
        for look in range(LOOKS):
            now = end + look * WEEK
            known = cases[cases["at"] < now]
            late = known["label"].isna() | (known["labelled_at"] > now)
            known = known.assign(
                label=known["label"].mask(late),
                labelled_at=known["labelled_at"].mask(late),
                acted=known["acted"] & ~late,
            )
            frame = known[(known["at"] >= start) & (known["at"] < end)].reset_index(drop=True)
            past = Past(predictions=known, only_events=only_events)
            window = WindowReport(start=start, end=end)
            reports.append(evaluate_window(window, frame, None, past, now, lambda _: reference))
    last = reports[LOOKS - 1 :: LOOKS]
    return Played(reports, retrain_due(last, START + 2 * WEEKS * WEEK).retrain)


def labels_of(
    cases: pd.DataFrame,
    rng: np.random.Generator,
    who: np.ndarray,
    days: tuple[float, float] = (1, 6),
) -> pd.DataFrame:
    """Labels of the cases `who`, so many days after their prediction."""
    label = np.where(who, cases["y"], np.nan)
    delay = rng.uniform(*days, len(cases))
    return pd.DataFrame({"label": label, "delay": delay, "acted": False})


def at_random(cases: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    return labels_of(cases, rng, rng.random(len(cases)) < 0.5)


def only_flagged(cases: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    return labels_of(cases, rng, cases["probability"].to_numpy() >= THRESHOLD)


def only_others(cases: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    return labels_of(cases, rng, cases["probability"].to_numpy() < THRESHOLD)


def positives_first(cases: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    labels = labels_of(cases, rng, rng.random(len(cases)) < 0.9)
    late = rng.uniform(16, 26, len(cases))
    return labels.assign(delay=np.where(cases["y"] == 1, labels["delay"], late))


def acted_upon(cases: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Each flagged case that is not a control is acted upon, and its event never happens."""
    acted = (cases["probability"] >= THRESHOLD).to_numpy() & ~cases["control"].to_numpy()
    labels = labels_of(cases, rng, np.ones(len(cases), dtype=bool))
    return labels.assign(label=np.where(acted, 0.0, labels["label"]), acted=acted)


def acted_unsaid(cases: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """The same, but nobody says so."""
    return acted_upon(cases, rng).assign(acted=False)


def mostly_flagged(cases: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    share = np.where(cases["probability"] >= THRESHOLD, 0.9, 0.3)
    return labels_of(cases, rng, rng.random(len(cases)) < share)


def events(cases: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    return labels_of(cases, rng, cases["y"].to_numpy() == 1)


def reversed_world(rows: pd.DataFrame) -> np.ndarray:
    return 1 - chance(rows)


def test_random_labels_are_judged_as_they_are(reference):
    calm = play(reference, at_random)
    assert calm.asking <= 1
    assert not calm.retrain
    assert calm.verdicts(3) == {RANDOM}
    assert all(report.judged_on_labels for report in calm.reports[3::LOOKS])


@pytest.mark.parametrize(
    ("regime", "why"),
    [
        (only_flagged, "none of [0-9,]+ cases that are not flagged has a label"),
        (only_others, "none of [0-9,]+ flagged cases has a label"),
        (acted_upon, "none of [0-9,]+ flagged cases has a label, without those that were acted"),
    ],
)
def test_chosen_labels_without_overlap_are_not_judged(reference, regime, why):
    calm = play(reference, regime)
    assert calm.asking == 0
    assert not calm.retrain
    assert calm.verdicts(3) == {UNJUDGED}
    report = calm.reports[-1]
    (finding,) = (f for f in report.findings if f.code == "performance-realised")
    assert finding.severity == "not_applicable"
    assert pd.Series([finding.found]).str.contains(why).all(), finding.found


def test_positives_known_first_are_not_judged_until_all_labels_are_in(reference):
    calm = play(reference, positives_first)
    assert calm.asking == 0
    assert not calm.retrain
    texts = {r.labels.why for r in calm.reports if r.labels and not r.labels.judged}
    assert any("positives are known first" in text for text in texts)


def test_past_the_horizon_late_negatives_are_judged(reference):
    known = of_scope(reference, horizon_days=27)
    calm = play(known, positives_first)
    assert calm.asking == 0
    first_look = calm.reports[0]
    assert first_look.labels.why == "younger than the horizon of 27 days"
    short = of_scope(reference, horizon_days=14)  # shorter than the labels take
    assert play(short, positives_first).asking == 0


def test_a_horizon_of_two_weeks_judges_windows_of_three_and_finds_a_change(reference):
    known = of_scope(reference, horizon_days=14)
    calm = play(known, at_random)
    assert calm.asking <= 1
    assert calm.verdicts(0) == {UNJUDGED}
    assert calm.verdicts(2) == {RANDOM}
    turned = play(known, at_random, truth=reversed_world)
    assert turned.retrain
    assert {bool(r.label_reasons) for r in turned.reports[2::LOOKS]} == {True}
    assert not any(r.label_reasons for r in turned.reports[0::LOOKS])


def test_where_only_events_are_reported_silence_past_the_horizon_is_a_negative(reference):
    known = of_scope(reference, horizon_days=14)
    calm = play(known, events, only_events=True)
    assert calm.asking <= 1
    assert calm.verdicts(3) == {COMPLETE}
    assert all(report.judged_on_labels for report in calm.reports[3::LOOKS])
    assert play(known, events, reversed_world, only_events=True).retrain
    assert play(reference, events).asking == 0  # without a horizon silence says nothing


def test_labels_that_are_chosen_by_score_are_weighted_and_still_find_a_change(reference):
    calm = play(reference, mostly_flagged)
    assert calm.asking <= 1
    assert not calm.retrain
    assert calm.verdicts(3) == {WEIGHTED}
    sample = calm.reports[-1].labels
    assert 0.3 * sample.labelled < sample.effective < sample.labelled
    assert "score" in sample.differ
    realised = calm.reports[-1].realised
    assert realised.positive_rate.value == pytest.approx(0.31, abs=0.05)
    assert play(reference, mostly_flagged, reversed_world).retrain


@pytest.mark.parametrize("regime", [acted_upon, acted_unsaid])
def test_with_a_control_share_acting_on_a_flag_does_no_harm_and_a_change_is_found(
    reference, regime
):
    known = of_scope(reference, control_share=0.15)
    calm = play(known, regime)
    assert calm.asking <= 1
    assert not calm.retrain
    assert all(report.judged_on_labels for report in calm.reports[3::LOOKS])
    assert calm.reports[-1].labels.acted == 0
    assert play(known, regime, reversed_world).retrain


def test_a_change_is_found_by_random_labels(reference):
    turned = play(reference, at_random, reversed_world)
    assert turned.retrain
    assert turned.asking >= WEEKS * 3
