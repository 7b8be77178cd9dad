"""What is served: tests of a challenger, labels from the journal, decisions and rollback."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from scipy.stats import binom

from fivefold.core import settings
from fivefold.core.clock import utc_now
from fivefold.core.findings import ERROR, Finding, Refused, verdict
from fivefold.core.parquet import to_parquet
from fivefold.core.roc_auc import auc_interval
from fivefold.core.schema import NOW
from fivefold.core.scope import Scope
from fivefold.data.coerce import coerce_table
from fivefold.data.infer import infer_schema
from fivefold.data.splits import Assignment, Split, learnt_from, split_rows
from fivefold.journal import database, promotions
from fivefold.journal import labels as journal_labels
from fivefold.lifecycle import decisions, monitor_steps, promotion, promotion_mirror, publish
from fivefold.lifecycle.challenge import Challenge, challenge
from fivefold.lifecycle.floor import floor_findings, new_doubts
from fivefold.lifecycle.report import WindowReport
from fivefold.model.bundle import Bundle, from_bytes, reference, sha256
from fivefold.model.evaluation import Baseline, Evaluation
from fivefold.model.explain import background
from fivefold.model.metadata import Metadata, Outcomes, Provenance, Refit
from fivefold.model.threshold import Threshold
from fivefold.serving import steps as score_stages
from fivefold.serving.local_server import SmokeResult, smoke
from fivefold.tracking import client
from fivefold.training import closing, labelled_rows
from fivefold.training import steps as stages
from fivefold.training.labelled_rows import ASIDE, ASIDE_OLD, BASE, LEARNT
from tests.support.models import changed
from tests.support.promotions import decide
from tests.support.running import ROOT, open_run
from tests.support.tables import labels, mixed
from tests.support.training import candidate, fit_final

# --- the proof -----------------------------------------------------------------------------------


def world(rows: int, seed: int, strength: float = 1.5) -> dict[str, np.ndarray]:
    """Labels, and calibrated probabilities of models that know one, two or all of three causes."""
    rng = np.random.default_rng(seed)
    a, b, c = (
        rng.normal(size=rows),
        rng.choice([-strength, strength], rows),
        rng.choice([-strength, strength], rows),
    )
    y = (rng.random(rows) < expit(a + b + c)).astype(int)
    hidden = np.array([-strength, strength])
    first = expit(a[:, None, None] + hidden[:, None] + hidden).mean(axis=(1, 2))
    return {
        "y": y,
        "one": first,
        "two": expit(a + b + hidden[:, None]).mean(axis=0),
        "other two": expit(a + c + hidden[:, None]).mean(axis=0),
        "all": expit(a + b + c),
        "origin": np.where(np.arange(rows) % 3 == 0, "recent", "held-out"),
    }


def judged(
    told: dict[str, np.ndarray],
    champion: str | np.ndarray,
    challenger: str | np.ndarray,
    segments: pd.DataFrame | None = None,
    **more: Any,
) -> Challenge:
    scores = [told[x] if isinstance(x, str) else x for x in (champion, challenger)]
    if segments is None:
        segments = pd.DataFrame(index=range(len(told["y"])))
    actual = challenge(told["y"], *scores, told["origin"], segments, **more)
    stored = json.loads(json.dumps(actual.to_dict(), allow_nan=False))  # it goes into the journal
    assert Challenge.from_dict(stored) == actual
    return actual


def codes(found: Challenge, severity: str = "warning") -> set[str]:
    return {f.code for f in found.findings if f.severity == severity}


def test_a_better_model_is_proven_better():
    actual = judged(world(1500, 0), "one", "two")
    assert actual.promote
    assert actual.why.startswith("Proven better: gain in ROC AUC +0.")
    assert {s.name: s.rows for s in actual.strata} == {"held-out": 1000, "recent": 500}
    assert 0 < actual.gain.low < actual.gain.value < actual.gain.high
    assert codes(actual) == set()
    assert not judged(world(1500, 0), "two", "one").promote


def test_the_same_scores_are_no_proof():
    result = world(600, 1)
    for scores in ("two", np.full(600, 0.3)):
        actual = judged(result, scores, scores)
        assert (actual.promote, actual.gain.value, codes(actual)) == (
            False,
            0.0,
            {"challenge-gain"},
        )


@pytest.mark.parametrize("origins", [1, 2])
def test_of_equal_models_no_more_than_the_stated_share_is_promoted(origins):
    """Two models know equally much, of different causes: each promotion is an error of the test."""
    trials, won = 200, 0
    for seed in range(trials):
        result = world(360, 1000 * origins + seed)
        result["origin"] = result["origin"] if origins == 2 else np.full(360, "held-out")
        won += judged(result, "two", "other two").promote
    assert won <= binom.ppf(0.999, trials, 0.025)


def test_the_margin_must_be_exceeded_by_the_lower_bound():
    result = world(1500, 0)
    low = judged(result, "one", "two").gain.low
    assert judged(result, "one", "two", margin=low - 1e-6).promote
    assert not judged(result, "one", "two", margin=low + 1e-6).promote


def test_worse_on_recent_rows_is_not_outweighed_by_the_others():
    result, recent = world(6000, 2), np.arange(6000) % 3 == 0
    noisy = expit(
        np.log(result["two"] / (1 - result["two"])) + np.random.default_rng(0).normal(0, 0.7, 6000)
    )
    actual = judged(result, "two", np.where(recent, noisy, result["all"]))
    assert actual.gain.low > 0
    assert not actual.promote
    assert "challenge-auc" in codes(actual)
    assert "recent: worse by ROC AUC -" in actual.why


@pytest.mark.parametrize(("noise", "promoted"), [(0.45, True), (1.5, False)])
def test_in_a_changed_world_a_little_may_be_lost_on_rows_of_the_old_table(noise, promoted):
    result, recent = world(9000, 2), np.arange(9000) % 3 == 0
    noisy = expit(
        np.log(result["two"] / (1 - result["two"]))
        + np.random.default_rng(0).normal(0, noise, 9000)
    )
    actual = judged(
        result,
        np.where(recent, result["one"], result["two"]),
        np.where(recent, result["two"], noisy),
    )
    old = next(s for s in actual.strata if s.name == "held-out")
    assert old.gain.high < 0
    assert (actual.promote, "challenge-auc" in codes(actual)) == (promoted, not promoted)


def test_worse_in_a_protected_segment_is_not_outweighed():
    result = world(4000, 3)
    few = np.arange(4000) % 7 == 1
    segments = pd.DataFrame(
        {"gender": np.where(few, "f", "m"), "rare": np.where(np.arange(4000) < 20, "x", None)}
    )
    actual = judged(result, "two", np.where(few, result["one"], result["all"]), segments=segments)
    assert (actual.promote, codes(actual)) == (False, {"challenge-segment"})
    assert "gender = f: worse by" in actual.why
    assert [f.subject for f in actual.findings if f.severity == "not_applicable"] == ["rare = x"]
    assert judged(result, "two", "all", segments=segments).promote


def test_better_ranks_with_wrong_probabilities_do_not_promote():
    result = world(2000, 4)
    actual = judged(result, "one", result["two"] ** 3)
    assert actual.gain.low > 0
    assert (actual.promote, codes(actual)) == (False, {"challenge-calibration"})
    assert "calibration: worse" in actual.why


def test_labels_that_were_tampered_with_promote_nobody():
    """Of the recent labels 30% are wrong. The challenger is a noisy champion or follows them."""
    won = []
    for seed in range(60):
        result, rng = world(900, 500 + seed), np.random.default_rng(seed)
        recent = result["origin"] == "recent"
        wrong = recent & (rng.random(900) < 0.3)
        result["y"] = np.where(wrong, 1 - result["y"], result["y"])
        odds = np.log(result["two"] / (1 - result["two"]))
        won.append(judged(result, "two", expit(odds + rng.normal(0, 0.7, 900))).promote)
        follows = expit(
            odds * np.where(recent, 1, 0.3)
            + np.where(recent, 0.5, 0) * (2 * result["y"] - 1)
            + rng.normal(0, 1, 900)
        )
        won.append(judged(result, "two", follows).promote)
    assert sum(won) == 0


@pytest.mark.parametrize(("rows", "positives"), [(0, 0), (100, 29), (100, 71), (5000, 10)])
def test_too_few_rows_prove_nothing(rows, positives):
    y = np.array([1] * positives + [0] * (rows - positives))
    scores = np.full(rows, 0.5), y * 0.8 + 0.1
    no_segments = pd.DataFrame(index=range(rows))
    actual = challenge(y, *scores, np.full(rows, "held-out"), no_segments)
    assert not actual.promote
    assert (
        actual.why
        == f"Not proven: {positives} positive and {rows - positives} negative rows are too few."
    )
    assert codes(actual, "not_applicable") == {"challenge-gain"}


def test_a_stratum_with_too_few_rows_is_left_out():
    result = world(1500, 0)
    result["origin"] = np.where(np.arange(1500) < 40, "recent", "held-out")
    actual = judged(result, "one", "two")
    assert [s.name for s in actual.strata] == ["held-out"]
    assert actual.rows == 1460
    assert actual.promote


# --- harvested labels ----------------------------------------------------------------------------

BASE_TABLE = pd.DataFrame(
    {
        "n": [1, 2, 3],
        "f": [1.5, np.nan, 2.5],
        "flag": [True, False, True],
        "day": pd.to_datetime(["2020-01-01", "2020-02-01", "2020-03-01"]),
        "member": pd.Series(["yes", "no", None], dtype="str"),
        "bit": [0, 1, 1],
        "price": pd.Series(["1,5", "1.200,0", "7,0"], dtype="str"),
        "word": pd.Series(["a", "b", None], dtype="str"),
        "maybe": pd.array([True, None, False], dtype="boolean"),
        "zoned": pd.to_datetime(["2020-01-01"] * 3).tz_localize("Europe/Berlin"),
    }
)
GOOD = {
    "n": 4,
    "f": 0.5,
    "flag": False,
    "day": "2021-01-01",
    "member": "no",
    "bit": 0,
    "price": "2,5",
    "word": "c",
    "maybe": True,
    "zoned": "2021-01-01T12:00:00+00:00",
}


def joined(*changes: dict[str, Any]) -> pd.DataFrame:
    """The base table with harvested rows under it, and through Parquet, as a run does it."""
    cells = pd.DataFrame([{**GOOD, **change} for change in changes])
    result = labelled_rows.join(BASE_TABLE, labelled_rows.as_typed(cells, BASE_TABLE))
    to_parquet(result)
    assert list(result.columns) == list(BASE_TABLE.columns)
    return result


def test_harvested_cells_take_the_types_of_the_table():
    result = joined({}, {})
    assert result["n"].tolist() == [1, 2, 3, 4, 4]
    assert {k: str(v) for k, v in result.dtypes.items()} == {
        "n": "int64",
        "f": "float64",
        "flag": "boolean",
        "day": "datetime64[us]",
        "member": "str",
        "bit": "int64",
        "price": "str",
        "word": "str",
        "maybe": "boolean",
        "zoned": "datetime64[us, Europe/Berlin]",
    }
    assert result["zoned"].iloc[3] == pd.Timestamp("2021-01-01 13:00", tz="Europe/Berlin")


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [
        ("member", [True, "NO", 1, None, "perhaps"], ["yes", "no", "yes", None, None]),
        ("flag", ["yes", 0, "FALSE", None, 2], [True, False, False, None, None]),
        ("bit", [True, "no", 1.0], [1, 0, 1]),
        ("maybe", ["n", True, "x"], [False, True, None]),
        ("price", [12.345, 7, "3,5", None], ["12,345", "7", "3,5", None]),
        ("n", ["5", 6.0, " 7 "], [5, 6, 7]),
        ("n", ["$5", 5.5], [5, 5.5]),
        ("n", [None, 10**30], [None, 1e30]),
        ("f", ["1e3", None], [1000, None]),
        ("word", [3.0, True, 2.5], ["3", "True", "2.5"]),
        (
            "day",
            ["2021-05-01T02:00:00+02:00", "2021-05-01", "2021-05-01T00:00:00Z", None],
            [pd.Timestamp("2021-05-01")] * 3 + [None],
        ),
        ("n", ["five"], ["five"]),
        ("day", ["soon"], ["soon"]),
    ],
)
def test_harvested_cells_are_read_as_serving_read_them(name, given, kept):
    actual = joined(*({name: value} for value in given))[name].tolist()[3:]
    assert [None if pd.isna(x) else x for x in actual] == kept


def test_a_column_that_became_text_is_text_in_both_parts():
    result = joined({"n": "five", "flag": "no", "day": "soon"})
    assert result["n"].tolist() == ["1", "2", "3", "five"]
    assert result["day"].tolist()[:1] == ["2020-01-01 00:00:00"]
    assert joined({"maybe": None})["maybe"].isna().tolist() == [False, True, False, True]


def test_the_kinds_of_a_table_do_not_change_with_what_clients_write():
    frame, scope = mixed(300).drop(columns="left"), Scope(target="left")
    cells = pd.DataFrame(
        [
            {
                "amount": "12.5",
                "age": 40.0,
                "region": "east",
                "shop": "shop 01",
                "member": True,
                "since": "2020-01-01T00:00:00Z",
                "note": "late",
                "noise": None,
            },
            {"amount": 7, "age": "41", "member": "Y", "since": "2020-01-01"},
        ]
    )
    result = labelled_rows.join(
        frame, labelled_rows.as_typed(cells.reindex(columns=frame.columns), frame)
    )
    before, after = infer_schema(frame, scope), infer_schema(result, scope)
    assert [c.kind for c in after.columns] == [c.kind for c in before.columns]
    assert after["member"].levels == before["member"].levels


def test_about_three_of_ten_are_set_aside_and_always_the_same():
    at = pd.Timestamp("2026-01-01") + pd.to_timedelta(np.arange(5000) % 100, unit="D")
    actual = pd.DataFrame({"id": [str(n) for n in range(5000)], "at": at})

    def origins(base, rows):
        return labelled_rows.origins(base, rows["id"], rows["at"])

    origin = origins(7, actual)
    assert (origin[:7] == BASE).all()
    aside = origin[7:] >= ASIDE
    assert binom.ppf(0.001, 5000, 0.3) <= aside.sum() <= binom.ppf(0.999, 5000, 0.3)
    assert set(origin[7:][~aside]) == {LEARNT}
    assert (
        (origin[7:] == ASIDE_OLD) == (aside & (np.arange(5000) % 100 < 9))
    ).all()  # 90 days before the newest
    shuffled = actual.sample(frac=1, random_state=0)
    assert dict(zip(shuffled["id"], origins(0, shuffled), strict=True)) == dict(
        zip(actual["id"], origin[7:], strict=True)
    )
    later = pd.concat([actual, pd.DataFrame({"id": ["new"], "at": [pd.Timestamp("2030-01-01")]})])
    assert (
        (origins(0, later)[:-1] >= ASIDE) == aside
    ).all()  # never learnt from, however old they get


def test_what_a_prediction_is_about_decides_on_which_side_it_is():
    rows = [
        {"who": 7, "id": "a", "x": 1.0},
        {"who": 7.0, "id": "b", "x": 2},
        {"who": None, "id": "b", "x": 3.5},
        {"who": None, "id": None, "x": 3.5},
        {"id": None, "x": 3.5, "who": None},
    ]
    scope = Scope(target="y", group_column="who", id_columns=("id",))
    assert [labelled_rows.case_key(row, scope) for row in rows] == [
        '["7"]',
        '["7"]',
        '["b"]',
        '{"x": "3.5"}',
        '{"x": "3.5"}',
    ]
    frame = pd.DataFrame(rows)
    assert labelled_rows.case_codes(frame, scope).tolist() == [0, 0, -1, -1, -1]
    ids = Scope(target="y", group_column="none", id_columns=("id",))
    assert labelled_rows.case_codes(frame, ids).tolist() == [0, 1, 1, -1, -1]
    assert (labelled_rows.case_codes(frame, Scope(target="y")) == -1).all()


def test_visits_of_one_case_are_never_both_learnt_from_and_set_aside():
    scope = Scope(target="y", id_columns=("who",))
    visits = pd.Series(
        [labelled_rows.case_key({"who": n % 300, "x": n}, scope) for n in range(3000)]
    )
    at = pd.Series(pd.Timestamp("2026-01-01") + pd.to_timedelta(np.arange(3000) % 60, unit="D"))
    aside = labelled_rows.origins(0, visits, at) >= ASIDE
    assert pd.Series(aside).groupby(visits).nunique().max() == 1
    assert 0.2 < aside.mean() < 0.4


def placed(fold_ids: list[int], origin: list[int], groups: list[int] | None = None) -> list[int]:
    result = labelled_rows.assign_feedback(
        np.array(fold_ids, dtype="int8"),
        np.array(origin, dtype="int8"),
        np.full(len(origin), -1) if groups is None else np.array(groups),
    )
    assert result[: len(fold_ids)].tolist() == fold_ids
    assert result.dtype == "int16"
    assert all(
        p == Assignment.HOLDOUT
        for p, o in zip(result, origin, strict=True)
        if o in (ASIDE, ASIDE_OLD)
    )
    return result[len(fold_ids) :].tolist()


def test_rows_to_learn_from_are_dealt_to_the_folds_and_those_aside_are_held_out():
    assert placed(
        [0, 1, 2, Assignment.HOLDOUT, Assignment.UNLABELLED],
        [BASE] * 5 + [LEARNT, ASIDE, LEARNT, LEARNT, ASIDE_OLD],
    ) == [0, Assignment.HOLDOUT, 2, 0, Assignment.HOLDOUT]
    assert placed([0, 1], [BASE] * 2) == []


def test_where_folds_follow_time_new_rows_come_to_the_last():
    assert placed(
        [Assignment.ALWAYS_TRAIN, 0, 1, Assignment.HOLDOUT], [BASE] * 4 + [LEARNT, ASIDE, LEARNT]
    ) == [
        1,
        Assignment.HOLDOUT,
        1,
    ]


def test_in_time_a_known_group_is_learnt_from_later_but_does_not_score_the_last_model():
    early, last = int(Assignment.ALWAYS_TRAIN), 1
    fold_ids = [early, 0, last, learnt_from(-1, last), Assignment.HOLDOUT, Assignment.LEFT_OUT]
    groups = [0, 1, 2, 2, 3, 3]
    origin = [BASE] * 6 + [LEARNT] * 5
    rows = placed(fold_ids, origin, [*groups, 0, 1, 3, 9, 9])
    unscored = learnt_from(last, last)
    assert rows == [unscored, unscored, Assignment.HOLDOUT, last, last]
    parts = Split(np.array(fold_ids + rows))
    assert [train.tolist() for train, _ in parts.folds()] == [[0, 3], [0, 1]]
    assert parts.training_rows.tolist() == [0, 1, 2, 3, 6, 7, 9, 10]


def test_groups_stay_together():
    origin = [BASE] * 5 + [LEARNT] * 6
    assert placed(
        [0, 1, 2, Assignment.HOLDOUT, Assignment.UNLABELLED],
        origin,
        [0, 1, 2, 3, 1, 1, 3, 2, 1, 9, 9],
    ) == [
        1,
        Assignment.HOLDOUT,
        2,
        1,
        1,
        1,
    ]
    assert placed([0, 1], [BASE] * 2 + [LEARNT] * 4, [-1, -1, -1, -1, -1, -1]) == [
        0,
        1,
        0,
        1,
    ]  # no group at all
    left_out = labelled_rows.assign_feedback(
        np.array([0, 1, Assignment.HOLDOUT]),
        np.array([BASE] * 3 + [ASIDE, ASIDE_OLD, ASIDE]),
        np.array([0, 1, 2, 0, 2, 3]),
    )  # the first one is about a case that the table teaches
    assert left_out[3:].tolist() == [
        Assignment.UNLABELLED,
        Assignment.HOLDOUT,
        Assignment.HOLDOUT,
    ]
    assert placed([0, 1], [BASE] * 2 + [ASIDE, LEARNT], [0, 1, 5, 5]) == [
        Assignment.HOLDOUT,
        Assignment.HOLDOUT,
    ]


def test_rows_are_unseen_by_their_values_whatever_the_types():
    frame = mixed(40)
    schema = infer_schema(frame, Scope(target="left"), ("no", "yes"))
    texts = frame.astype({"age": "str", "amount": "str", "since": "str"})
    texts.loc[len(texts)] = {**texts.iloc[0], "age": "unknown", "amount": "n/a"}
    assert not labelled_rows.unseen(texts.iloc[:40], frame, schema).any()
    assert labelled_rows.unseen(texts, frame, schema).tolist() == [False] * 40 + [True]
    changed = frame.assign(age=frame["age"] + np.arange(40) % 2, left="no")
    assert labelled_rows.unseen(changed, frame, schema).tolist() == [False, True] * 20


# --- judging runs --------------------------------------------------------------------------------

ROWS = 1600


class Run:
    """A run as `fivefold.tracking.client` gives it, with what `lifecycle.promotion` reads."""

    def __init__(
        self,
        number: int,
        table: pd.DataFrame,
        y: np.ndarray,
        fold_ids: np.ndarray,
        learnt: np.ndarray,
        origin: Any = None,
    ):
        scope = Scope(
            target="left", positive="yes", protected_columns=("region",), max_latency_ms=50.0
        )
        training = np.flatnonzero(fold_ids >= 0)
        schema = infer_schema(table.iloc[training].reset_index(drop=True), scope, ("no", "yes"))
        typed = coerce_table(table, schema)[0].iloc[training].reset_index(drop=True)
        model = fit_final(
            candidate("logistic_regression", params={"C": 1.0}),
            typed,
            learnt[training],
            schema,
            seeds=1,
        )
        self.pathspec, auc = f"TrainFlow/{number}", {"value": 0.8, "low": 0.7, "high": 0.9}
        bundle = Bundle(
            model,
            schema,
            Metadata(
                algorithm="logistic_regression",
                threshold=Threshold(0.3 + number / 100),
                outcomes=Outcomes("stays", "leaves"),
                scope=scope,
                provenance=Provenance(self.pathspec, rows=ROWS),
                evaluation=Evaluation(auc=auc),
                background=background(typed, schema, 0),
            ),
        )
        bundle = changed(bundle, reference=reference(typed, schema, bundle.probability(typed)))
        blob = bundle.to_bytes()
        self.held = {
            "start": {"table": to_parquet(table), "origin": origin},
            "validate": {"labels": {"y": y}},
            "split": {"place": fold_ids, "contract": schema.to_json()},
            "evaluate": {
                "bundle": blob,
                "bundle_sha256": sha256(blob),
                "example": [{"amount": 1.0}],
            },
        }

    def __getitem__(self, step: str) -> Any:
        return SimpleNamespace(
            task={name: SimpleNamespace(data=value) for name, value in self.held[step].items()}
        )


@pytest.fixture(scope="module")
def arms() -> dict[str, Run]:
    """1 and 4: a model that learnt from labels, one third wrong; 2 and 3: one that did not."""
    table, rng = mixed(ROWS, 7), np.random.default_rng(0)
    y, fold_ids = labels(table), split_rows(labels(table), 3, 0)
    wrong = np.where(rng.random(ROWS) < 0.42, 1 - y, y)
    return {
        "1": Run(1, table, y, fold_ids, wrong),
        "2": Run(2, table, y, fold_ids, y),
        "3": Run(3, table, y, fold_ids, y),
    }


@pytest.fixture
def stage(arms, tmp_path, monkeypatch):
    """(journal, the smoke test's answer, to be changed); run 1 is served."""
    answer = {"ok": True, "why": "the server answers as the model", "latency_ms": 4.0}
    engine = database.open_journal(f"sqlite:///{tmp_path}/journal.db")
    monkeypatch.setattr(client, "find_run", lambda run: arms[run.rpartition("/")[2]])
    monkeypatch.setattr(promotion, "smoke", lambda *_: SmokeResult(**answer))
    monkeypatch.setattr(
        Bundle,
        "score",
        lambda self, frame: (
            real(self, frame) if len(frame.columns) > 1 else frame.assign(probability=0.5)
        ),
    )
    promotion.promote(engine, "1", "Ann", "to begin with")
    return engine, answer


real = Bundle.score


def served(engine: Any) -> str:
    held = promotions.champion(engine, "left")
    return held.model if held else ""


def test_a_challenger_that_is_better_is_promoted_with_its_numbers(stage):
    engine, _ = stage
    line = promotion.challenge_champion(engine, "2", ROOT)
    assert (line.action, line.who, served(engine)) == ("promoted", "fivefold", "TrainFlow/2")
    result = line.numbers
    assert (result["champion"], result["challenger"], result["left_out"], result["latency_ms"]) == (
        "TrainFlow/1",
        "TrainFlow/2",
        0,
        4.0,
    )
    assert result["rows"] == ROWS / 5
    assert {f["code"] for f in result["findings"]} >= {
        "challenge-gain",
        "challenge-auc",
        "challenge-calibration",
        "challenge-segment",
        "challenge-smoke",
        "challenge-latency",
    }
    assert line.threshold == 0.32


def judged_of(run: Run) -> Bundle:
    return client.evaluated_bundle(run, from_bytes(*client.bundle_bytes(run)))


def test_a_served_model_that_saw_the_held_out_rows_is_represented_by_the_evaluated_one(stage, arms):
    """Runs 6 and 7 are as 1 and 2, but what they serve has learnt the held-out labels by heart."""
    engine, _ = stage
    table = mixed(ROWS, 7)
    y, fold_ids = labels(table), arms["1"].held["split"]["place"]
    for number, twin in (("6", "1"), ("7", "2")):
        arms[number] = Run(
            int(number), table, y, np.where(fold_ids == Assignment.HOLDOUT, 0, fold_ids), y
        )
        held, judged = arms[number].held, arms[twin].held["evaluate"]
        assert judged_of(arms[number]).metadata.provenance.pathspec == f"TrainFlow/{number}"
        held["split"]["place"] = fold_ids
        by_heart = from_bytes(held["evaluate"]["bundle"])
        by_heart = changed(by_heart, refit=Refit(ROWS, judged["bundle_sha256"]))
        held["evaluate"] |= {
            "bundle": (blob := by_heart.to_bytes()),
            "bundle_sha256": sha256(blob),
            "judged": judged["bundle"],
        }
        assert judged_of(arms[number]).metadata.provenance.pathspec == f"TrainFlow/{twin}"
    plain = promotion.challenge_champion(engine, "2", ROOT).numbers
    promotion.promote(engine, "6", "Ann", "")
    line = promotion.challenge_champion(engine, "7", ROOT)
    assert (line.action, line.numbers["gain"]["value"], line.numbers["strata"]) == (
        "promoted",
        plain["gain"]["value"],
        plain["strata"],
    )
    assert [n["look"]["number"] for n in (plain, line.numbers)] == [1, 2]
    assert served(engine) == "TrainFlow/7"
    arms["7"].held["evaluate"]["judged"] = arms["6"].held["evaluate"]["judged"]
    with pytest.raises(Refused, match="sha256"):
        judged_of(arms["7"])
    del arms["7"].held["evaluate"]["judged"]
    with pytest.raises(
        Refused, match=r"judged-missing \[TrainFlow/7\].*no readable artifact judged"
    ):
        promotion.challenge_champion(engine, "6", ROOT)


def test_the_old_model_and_an_equal_one_are_kept_back(stage):
    engine, _ = stage
    assert promotion.challenge_champion(engine, "1", ROOT).why == "this model is served already"
    promotion.promote(engine, "2", "Ann", "")
    for number in ("1", "3"):
        line = promotion.challenge_champion(engine, number, ROOT)
        assert (line.action, line.replaces, served(engine)) == ("kept", None, "TrainFlow/2")
        assert line.why.startswith("Not promoted: ROC AUC: not proven better")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            {"ok": False, "why": "the server did not start: boom"},
            "Not promoted: the server did not start: boom",
        ),
        ({"latency_ms": 80.0}, "Not promoted: 80.0 ms a row"),
    ],
)
def test_a_model_that_does_not_answer_well_is_kept_back(stage, change, why):
    engine, answer = stage
    answer.update(change)
    line = promotion.challenge_champion(engine, "2", ROOT)
    assert (line.action, served(engine)) == ("kept", "TrainFlow/1")
    assert line.why.startswith(why)
    assert "Proven better" in line.why


def test_a_person_may_have_to_say_yes(stage):
    engine, _ = stage
    with pytest.raises(Refused, match=r"nothing-waits \[left\]"):
        decisions.decide(engine, "left", True, "Ann")
    assert (
        promotion.challenge_champion(engine, "2", ROOT, require_approval=True).action == "waiting"
    )
    assert served(engine) == "TrainFlow/1"
    assert promotions.waiting(engine, "left").model == "TrainFlow/2"
    line = decisions.decide(engine, "left", False, "Ann", "not on a Friday")
    assert (line.action, line.why, line.who) == ("declined", "not on a Friday", "Ann")
    assert promotions.waiting(engine, "left") is None
    promotion.challenge_champion(engine, "2", ROOT, require_approval=True)
    line = decisions.decide(engine, "left", True, "Ann")
    assert (line.action, served(engine), line.numbers["champion"]) == (
        "promoted",
        "TrainFlow/2",
        "TrainFlow/1",
    )
    with pytest.raises(Refused, match="nothing-waits"):
        decisions.decide(engine, "left", True, "Ann")


def test_a_decision_about_a_champion_that_is_gone_changes_nothing(stage, monkeypatch):
    engine, _ = stage
    waits = promotion.challenge_champion(engine, "2", ROOT, require_approval=True)
    assert waits.numbers["against"] == promotions.champion(engine, "left").seq
    decide(
        engine,
        "left",
        "TrainFlow/1",
        action=promotions.THRESHOLD,
        sha256="s",
        threshold=0.7,
        replaces=1,
    )
    copied = ("action", "sha256", "threshold", "who", "why", "numbers")
    decide(engine, "left", waits.model, **{name: getattr(waits, name) for name in copied})
    line = decisions.decide(engine, "left", True, "Ann")
    assert (line.action, served(engine)) == ("overtaken", "TrainFlow/1")
    assert "Nothing was changed" in line.why
    monkeypatch.setattr(
        promotion,
        "smoke",
        lambda *_: promotion.promote(engine, "3", "Bob", "quicker") and SmokeResult(True, "", 1),
    )
    line = promotion.challenge_champion(engine, "2", ROOT)
    assert (line.action, served(engine)) == ("overtaken", "TrainFlow/3")


def test_rows_equal_to_training_rows_of_either_model_do_not_count(stage, arms):
    """Feedback: 300 new cases, each predicted twice (one to learn from, one set aside)."""
    engine, _ = stage
    table, old = mixed(ROWS, 7), arms["1"].held
    twice, new, known = mixed(300, 8), mixed(200, 9), table[old["split"]["place"] >= 0].head(150)
    more = pd.concat([twice, twice, new, known, mixed(100, 10)])
    joined_table = pd.concat([table, more], ignore_index=True)
    origin = np.array(
        [BASE] * ROWS + [LEARNT] * 300 + [ASIDE] * 650 + [ASIDE_OLD] * 100, dtype="int8"
    )
    no_groups, y = np.full(len(origin), -1), labels(joined_table)
    fold_ids = labelled_rows.assign_feedback(old["split"]["place"], origin, no_groups)
    arms["5"] = Run(5, joined_table, y, fold_ids, y, origin)
    result = promotion.challenge_champion(engine, "5", ROOT).numbers
    assert {s["name"]: s["rows"] for s in result["strata"]} == {
        "held-out": ROWS // 5,
        "recent": 200,
    }
    assert result["left_out"] == 300 + 150  # the rows set aside long ago are no part of it


def reevaluated(run: Run, evaluation: Evaluation) -> None:
    """Give the model of a run another evaluation."""
    made = run.held["evaluate"]
    bundle = changed(from_bytes(made["bundle"], made["bundle_sha256"]), evaluation=evaluation)
    blob = bundle.to_bytes()
    run.held["evaluate"] = {**made, "bundle": blob, "bundle_sha256": sha256(blob)}


@pytest.fixture
def evaluation_of_2(arms):
    """Sets the evaluation of run 2, for one test."""
    kept = dict(arms["2"].held["evaluate"])
    yield lambda evaluation: reevaluated(arms["2"], evaluation)
    arms["2"].held["evaluate"] = kept


@pytest.mark.parametrize(
    ("evaluation", "why"),
    [
        (
            lambda: evaluated(0.45),
            "Not promoted: not proven to rank: ROC AUC 0.800, 95% interval 0.450",
        ),
        (lambda: evaluated(plain=(-0.03, 0.001)), "Not promoted: worse than the plain logistic"),
        (lambda: evaluated(0.7, doubtful("leak")), "Not promoted: paid: too good"),
    ],
)
def test_a_challenger_that_is_better_is_not_promoted_below_the_floor(
    stage, evaluation_of_2, evaluation, why
):
    engine, _ = stage
    evaluation_of_2(evaluation())
    line = promotion.challenge_champion(engine, "2", ROOT)
    assert (line.action, served(engine)) == ("kept", "TrainFlow/1")
    assert line.why.startswith(why)
    assert "Proven better" in line.why


def test_a_doubt_that_the_champion_was_promoted_in_spite_of_holds_no_challenger_back():
    known = evaluated(0.7, doubtful("leak")).findings
    assert new_doubts(evaluated(0.7, doubtful("leak")), known) == []
    new = new_doubts(evaluated(0.7, doubtful("leak"), doubtful("doubtful-triumph")), known)
    assert [f.code for f in new] == ["doubtful-triumph"]


def test_a_person_promotes_a_model_that_is_held_back_with_a_reason_and_only_so(
    stage, evaluation_of_2
):
    engine, _ = stage
    evaluation_of_2(evaluated(0.45, success("passed"), doubtful("leak")))
    told = r'leak \[paid\].*promote.py promote 2 --why "\.\.\."(.|\n)*floor-ranks \[model\]'
    with pytest.raises(Refused, match=told):
        promotion.promote(engine, "2", "Ann", "")
    assert served(engine) == "TrainFlow/1"
    line = promotion.promote(engine, "2", "Ann", "paid is known the day before")
    assert (line.action, line.why) == ("promoted", "paid is known the day before")
    assert [f["code"] for f in line.numbers["in_spite_of"]] == ["floor-ranks", "leak"]
    assert promotion.promote(engine, "1", "Ann", "").why == "promoted by hand"


def test_each_challenge_is_a_look_and_a_repeated_one_is_none(stage):
    engine, _ = stage
    lines = [promotion.challenge_champion(engine, run, ROOT) for run in ("3", "1", "3", "2")]
    looks = [line.numbers["look"]["number"] for line in lines if "look" in line.numbers]
    assert looks == [1, 2, 3]


def test_without_a_champion_there_is_nothing_to_compare_with(stage, tmp_path):
    engine = database.open_journal(f"sqlite:///{tmp_path}/other.db")
    with pytest.raises(
        Refused, match=r"nothing-promoted \[left\].*python flows/promote.py promote 2"
    ):
        promotion.challenge_champion(engine, "2", ROOT)


# --- the first model, thresholds, and the way back -----------------------------------------------


@pytest.fixture
def engine(tmp_path):
    return database.open_journal(f"sqlite:///{tmp_path}/journal.db")


SMOKED = verdict(False, "challenge-smoke", "server", found="the server answers as the model")


def evaluated(
    low: float = 0.7, *findings: Finding, plain: tuple[float, float] = (0.01, 0.4), **auc: Any
) -> Evaluation:
    """An evaluation with a ROC AUC of .8; `plain`: gain over the baseline, and its p value."""
    gain, p_value = plain
    return Evaluation(
        auc={"value": 0.8, "low": low, "high": 0.9, "se": 0.05, "method": "m", **auc},
        threshold=Threshold(0.4),
        baselines=[Baseline("plain logistic regression", 0.8 - gain, 0.7, 0.9, gain, p_value)],
        findings=findings or [success("passed")],
    )


def success(severity: str) -> Finding:
    texts = {"found": "ROC AUC 0.8", "expected": "at least 0.9"}
    return Finding(code="success-roc-auc", severity=severity, subject="model", **texts)


def doubtful(code: str) -> Finding:
    return verdict(True, code, "paid", found="too good", action="drop it")


def first(
    engine: Any, evaluation: Evaluation, wanted: float | None = None, answer: Finding = SMOKED
) -> Any:
    problem = {"target": "left", "min_roc_auc": wanted}
    model = publish.First(problem, "TrainFlow/1", "abc", evaluation.to_dict())
    return publish.first(engine, model, lambda: answer)


@pytest.mark.parametrize(
    ("wanted", "severity", "action"),
    [
        (None, "not_applicable", "promoted"),
        (0.7, "passed", "promoted"),
        (0.9, "warning", "kept"),
        (0.9, "not_applicable", "kept"),
    ],
)
def test_a_first_model_is_promoted_where_it_meets_the_scope(engine, wanted, severity, action):
    line = first(engine, evaluated(0.7, success(severity)), wanted)
    assert (line.action, line.threshold, line.numbers["roc_auc"]["value"]) == (action, 0.4, 0.8)
    assert line.why.startswith(
        "first model; ROC AUC 0.8"
        if action == "promoted"
        else "first model, kept back: ROC AUC 0.8"
    )
    again = first(engine, evaluated(0.7, success(severity)), wanted)
    assert (again.seq == line.seq) == (action == "promoted")  # the same model, from a resumed run


@pytest.mark.parametrize(
    ("evaluation", "answer", "why"),
    [
        (
            evaluated(0.42),
            SMOKED,
            "kept back: not proven to rank: ROC AUC 0.800, 95% interval 0.420",
        ),
        (evaluated(0.5), SMOKED, "0.500 to 0.900"),
        (evaluated(0.6, judged=False), SMOKED, "too few held-out rows of a class to judge by"),
        (evaluated(plain=(-0.025, 0.0005)), SMOKED, "kept back: worse than the plain logistic"),
        (evaluated(0.7, success("passed"), doubtful("leak")), SMOKED, "kept back: paid: too good"),
        (evaluated(0.7, success("passed"), doubtful("doubtful-triumph")), SMOKED, "too good"),
        (
            evaluated(),
            verdict(True, "challenge-smoke", "server", found="the server did not start"),
            "kept back: server: the server did not start",
        ),
    ],
)
def test_a_first_model_is_held_back_below_the_floor(engine, evaluation, answer, why):
    line = first(engine, evaluation, answer=answer)
    assert (line.action, line.replaces) == ("kept", None)
    assert why in line.why
    assert len(line.numbers["held_back_by"]) == 1
    assert promotions.champion(engine, "left") is None


@pytest.mark.parametrize(
    ("evaluation", "answer"),
    [
        (evaluated(0.51), SMOKED),
        (evaluated(plain=(-0.025, 0.06)), SMOKED),  # worse, but not proven so
        (evaluated(plain=(0.025, 0.0005)), SMOKED),
        (evaluated(0.7, success("passed"), verdict(False, "leak", "paid", found="known")), SMOKED),
        (evaluated(), verdict(None, "challenge-smoke", "server", found="no server here")),
    ],
)
def test_a_first_model_on_the_floor_is_promoted(engine, evaluation, answer):
    assert first(engine, evaluation, answer=answer).action == "promoted"


def test_a_model_that_is_held_back_is_not_tried_in_the_server(engine):
    def never() -> Finding:
        raise AssertionError("it starts a server")

    model = publish.First({"target": "left"}, "TrainFlow/1", "abc", evaluated(0.4).to_dict())
    assert publish.first(engine, model, never).action == "kept"


def test_noise_is_promoted_in_at_most_one_of_forty_worlds():
    """What any first model of noise was until there was a floor."""
    rng, proven = np.random.default_rng(3), 0
    for _ in range(400):
        y, q = (rng.random(80) < 0.3).astype(int), rng.random(80)
        auc = auc_interval(y, q)
        proven += not any(f.severity == "warning" for f in floor_findings(Evaluation(auc=auc)))
    assert proven <= 19  # 2.5% of 400 is 10, and three standard errors


def answered_by(model: str | None) -> WindowReport:
    return WindowReport(start=datetime(2026, 1, 1), end=datetime(2026, 1, 8), model=model)


def test_the_mirror_knows_who_is_served_from_the_journal(engine, monkeypatch, capsys):
    monkeypatch.setattr(publish, "journal_url", lambda: str(engine.url))
    put(engine, "A")
    put(engine, "B")
    assert [publish.roles({"target": "left"}, sha) for sha in "ABC"] == [[], ["champion"], []]
    assert publish.roles({"target": "right"}, "B") == []
    monkeypatch.setattr(publish, "journal_url", lambda: "nosuch://place")
    assert publish.roles({"target": "left"}, "B") == []
    assert "no alias was set" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("action", "said", "unsaid"),
    [
        ("promoted", ["Promoted: the app and the API"], ["challenge", "promote.py"]),
        ("kept", ["Not promoted: why", "promote.py promote 7"], ["challenge"]),
        ("", ["Not promoted: why", "promote.py challenge 7", "promote.py promote 7"], []),
        ("failed", ["Not promoted: why", "promote.py promote 7"], ["challenge"]),
    ],
)
def test_the_closing_text_names_commands_that_are_not_refused(action, said, unsaid):
    """A first model that was kept back has nobody to be judged against."""
    words = closing.promotion_text({"action": action, "why": "why"}, "7")
    assert all(text in words for text in said)
    assert not any(text in words for text in unsaid)


@pytest.mark.parametrize(
    ("origin", "fold_ids", "twins", "told"),
    [
        (
            [BASE, BASE, LEARNT, LEARNT],
            [0, Assignment.HOLDOUT, 1, 0],
            [0, 1, 1, 2],
            [0, Assignment.HOLDOUT, Assignment.UNLABELLED, 0],
        ),  # the table was scored
        (
            [BASE, BASE, LEARNT],
            [0, Assignment.HOLDOUT, 1],
            [0, 1, 0],
            [0, Assignment.HOLDOUT, 1],
        ),  # a twin that is learnt from anyway
        (
            [BASE, LEARNT, ASIDE, ASIDE_OLD, ASIDE],
            [0, 1, Assignment.HOLDOUT, Assignment.HOLDOUT, Assignment.HOLDOUT],
            [0, 1, 1, 0, 2],
            [0, 1, Assignment.UNLABELLED, Assignment.UNLABELLED, Assignment.HOLDOUT],
        ),
        (
            [BASE, LEARNT, ASIDE],
            [Assignment.HOLDOUT, 0, Assignment.HOLDOUT],
            [1, 1, 1],
            [Assignment.HOLDOUT, Assignment.UNLABELLED, Assignment.HOLDOUT],
        ),
        (
            [BASE, BASE, LEARNT],
            [0, Assignment.HOLDOUT, Assignment.HOLDOUT],
            [1, 2, 1],
            [0, Assignment.HOLDOUT, Assignment.UNLABELLED],
        ),
    ],
)  # held out with its group
def test_feedback_never_stands_on_both_sides_of_the_holdout(origin, fold_ids, twins, told):
    actual = labelled_rows.keep_apart(
        np.array(fold_ids, dtype="int8"), np.array(origin, dtype="int8"), np.array(twins)
    )
    assert actual.tolist() == told
    assert actual.dtype == "int16"


@pytest.mark.parametrize("coarse", [False, True])
def test_a_table_that_was_scored_itself_does_not_teach_its_held_out_rows(coarse):
    """300 cases come back as feedback; in a table of few levels equal rows are different cases."""
    table = mixed(300, 3)
    if coarse:
        table = table[["left", "region", "member"]]
    problem = Scope(target="left", positive="yes").to_dict()
    whole = pd.concat([table, table, table], ignore_index=True)
    origin = np.array([BASE] * 300 + [LEARNT] * 600, dtype="int8")
    y = labels(whole)
    schema = infer_schema(whole, Scope(target="left", positive="yes"), ("no", "yes"))
    run = SimpleNamespace(
        table=to_parquet(whole),
        problem=problem,
        labels={"y": y, "negative": "no", "positive": "yes"},
        whole=schema.to_json(),
        validating=0.0,
        folds=5,
        seed=0,
        origin=origin,
    )
    made = stages.split(run)
    fold_ids, findings = made.place, made.split_findings
    held = np.flatnonzero(fold_ids[:300] == Assignment.HOLDOUT)
    assert len(held) == 60
    assert (fold_ids[300 + held] == Assignment.UNLABELLED).all() == (not coarse)
    assert (fold_ids[300:600][fold_ids[:300] >= 0] >= 0).all()
    result = [f for f in findings if f["code"] == "feedback-twins"]
    assert [f["found"] for f in result] == (
        []
        if coarse
        else [
            "of the labelled predictions 120 repeat held-out rows of the table "
            "and are not learnt from"
        ]
    )


def kept(pathspec: str, line: dict[str, Any]) -> None:
    """A model that can still be loaded."""


def put(engine: Any, model: str, threshold: float = 0.5) -> None:
    held = promotions.champion(engine, "left")
    decide(engine, "left", model, threshold=threshold, replaces=held.seq if held else 0)


def test_scoring_takes_the_model_of_the_given_problem(engine, monkeypatch):
    put(engine, "A")
    decide(engine, "right", "B", replaces=0)
    monkeypatch.setattr(score_stages.database, "open_journal", lambda url: engine)
    monkeypatch.setattr(score_stages, "_journal_exists", lambda: True)
    assert [score_stages._promotion(False, name).model for name in ("left", "right", "")] == [
        "A",
        "B",
        "B",
    ]
    with pytest.raises(Refused, match=r"nothing-promoted \[nobody\]"):
        score_stages.choose_model("", False, "nobody")


def test_rolling_back_goes_back_step_by_step_and_then_says_so(engine, monkeypatch):
    monkeypatch.setattr(decisions, "load", kept)
    with pytest.raises(Refused, match="nothing-before"):
        decisions.roll_back(engine, "left", "Ann", "")
    for model in "ABC":
        put(engine, model)
    decisions.change_threshold(engine, "left", 0.7, "Bob", "fewer calls")
    seen = []
    for _ in range(3):
        line = decisions.roll_back(engine, "left", "Ann", "worse")
        assert (line.action, line.who, line.why, line.sha256) == (
            "rolled-back",
            "Ann",
            "worse",
            line.model,
        )
        seen.append((line.model, line.threshold))
    assert seen == [("C", 0.5), ("B", 0.5), ("A", 0.5)]
    with pytest.raises(Refused, match=r"nothing-before \[left\].*at least two promotions"):
        decisions.roll_back(engine, "left", "Ann", "")
    assert len(promotions.history(engine, "left")) == 7


def test_what_cannot_be_loaded_any_more_is_not_gone_back_to(engine, monkeypatch):
    def gone(pathspec, line):
        raise Refused(
            "No run",
            [
                Finding(
                    code="run-missing",
                    severity=ERROR,
                    subject=pathspec,
                    found="no such run",
                    expected="one",
                    action="restore it",
                )
            ],
        )

    monkeypatch.setattr(decisions, "load", gone)
    put(engine, "A")
    put(engine, "B")
    with pytest.raises(Refused, match=r"run-missing \[A\]"):
        decisions.roll_back(engine, "left", "Ann", "worse")
    held = promotions.champion(engine, "left")
    assert (held.model, len(promotions.history(engine, "left"))) == ("B", 2)
    decide(
        engine,
        "left",
        "C",
        action=promotions.WAITING,
        who="Ann",
        why="better",
        numbers={"against": held.seq},
    )
    with pytest.raises(Refused, match=r"run-missing \[C\]"):
        decisions.decide(engine, "left", True, "Ann")
    assert promotions.champion(engine, "left").model == "B"


def test_a_removed_run_stops_no_other_tag(monkeypatch):
    tags = {"A": {"champion"}, "C": set()}

    def find(run_id):
        if run_id == "B":
            raise Refused(
                "No run",
                [
                    Finding(
                        code="run-missing",
                        severity=ERROR,
                        subject=run_id,
                        found="no such run",
                        expected="one",
                        action="restore it",
                    )
                ],
            )
        return SimpleNamespace(
            user_tags=tags[run_id],
            replace_tags=lambda old, new: tags.update(
                {run_id: (tags[run_id] - set(old)) | set(new)}
            ),
        )

    monkeypatch.setattr(client, "find_run", find)
    assert promotion_mirror.tag({"champion": "C", "challenger": None}, {"A", "B", "C"}) == ""
    assert tags == {"A": set(), "C": {"champion"}}
    assert "run-missing" in promotion_mirror.tag(
        {"champion": "B", "challenger": None}, {"A", "B", "C"}
    )
    assert tags["C"] == set()
    assert "run-missing" in promotion_mirror._set_aliases(
        {"champion": "B", "challenger": None}, "sqlite:///nowhere.db"
    )


def test_the_line_in_force_at_a_time(engine):
    for day, model in ((1, "A"), (3, "B")):
        held = promotions.champion(engine, "left")
        decide(engine, "left", model, replaces=held.seq if held else 0, now=datetime(2026, 3, day))
    result = [promotions.champion(engine, "left", datetime(2026, 3, day)) for day in (2, 3, 4)]
    assert [line.model for line in result] == ["A", "B", "B"]
    assert promotions.champion(engine, "left", datetime(2026, 2, 1)) is None


def test_retention_goes_on_when_nobody_asks_any_more(engine, monkeypatch):
    asked = []
    monkeypatch.setattr(monitor_steps.client, "find_run", lambda model: asked.append(model))
    monkeypatch.setattr(monitor_steps.client, "read", lambda *_: {"retention_days": 30})
    assert monitor_steps._retention_days(engine, "left", [answered_by(None)]) is None
    put(engine, "A")
    assert monitor_steps._retention_days(engine, "left", [answered_by(None)]) == 30
    assert (
        monitor_steps._retention_days(engine, "left", [answered_by("B"), answered_by(None)]) == 30
    )
    assert asked == ["A", "B"]


def test_a_key_of_pseudonyms_is_whole_or_refused(monkeypatch, tmp_path):
    monkeypatch.delenv("FIVEFOLD_PSEUDONYM_KEY", raising=False)
    monkeypatch.setattr(settings, "_runs_folder", lambda: tmp_path)
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: settings.pseudonym_key(), range(50)))
    assert len(keys) == 1
    assert len(keys.pop()) == 64
    assert [path.name for path in tmp_path.iterdir()] == ["journal.key"]
    assert (tmp_path / "journal.key").stat().st_mode & 0o777 == 0o600
    (tmp_path / "journal.key").write_bytes(
        b""
    )  # a kill between making and writing, as it once could be
    with pytest.raises(Refused, match=r"pseudonym-key.*found 0 bytes"):
        settings.pseudonym_key()


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), float("inf")])
def test_thresholds_that_are_none(engine, value):
    with pytest.raises(Refused, match=r"threshold \[left\].*found nothing served"):
        decisions.change_threshold(engine, "left", value, "Ann", "")
    put(engine, "A")
    with pytest.raises(Refused, match=r"threshold \[left\].*found the threshold"):
        decisions.change_threshold(engine, "left", value, "Ann", "")
    line = decisions.change_threshold(engine, "left", 1.0, "Ann", "nobody")
    assert (line.threshold, line.numbers, line.model) == (1.0, {"before": 0.5}, "A")


# --- the whole way -------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_smoke_test_asks_the_real_server_and_leaves_the_spool_alone(
    tiny, store, monkeypatch, tmp_path
):
    run = open_run(
        store, tiny[0].id
    )  # another test may have turned Metaflow's client to another store
    waits = store / "journal-spool" / "1-smoke.jsonl"
    waits.parent.mkdir(exist_ok=True)
    waits.write_text('["predictions", {"at": "2026-01-01T00:00:00"}]\n')
    for name, value in (
        ("METAFLOW_DATASTORE_SYSROOT_LOCAL", str(store)),
        ("http_proxy", "http://127.0.0.1:1"),
        ("FIVEFOLD_API_KEYS", "x"),
    ):
        monkeypatch.setenv(name, value)
    try:
        rows = run["evaluate"].task["example"].data
        expected = (
            from_bytes(*client.bundle_bytes(run)).score(pd.DataFrame(rows))["probability"].tolist()
        )
        result = smoke(run.pathspec, rows, expected, ROOT)
        assert (result.ok, result.why) == (True, "the server answers as the model")
        assert 0 < result.latency_ms < 1000
        assert waits.exists()
    finally:
        waits.unlink()
    wrong = smoke("TrainFlow/1", rows, expected, ROOT)
    assert not wrong.ok
    assert wrong.why.startswith("the server did not start: ")
    assert "run-missing" in wrong.why


def test_labelled_predictions_come_back_as_rows(engine):
    at = utc_now()
    line = {
        "at": at,
        "problem": "left",
        "model": "TrainFlow/1",
        "sha256": "s",
        "source": "api",
        "entity": None,
        "probability": 0.5,
        "decision": "x",
        "threshold": 0.5,
        "warnings": "",
        "latency_ms": None,
    }
    base = mixed(50)
    cells = [
        {
            "amount": 3.5,
            "age": 33,
            "region": "east",
            "shop": "shop 03",
            "member": True,
            "since": "2020-01-01",
            "note": "late again",
            "noise": 0.1,
            "extra": 1,
        },
        {"amount": None, "age": "44", "member": "no"},
        {"age": 55},
    ]
    database.write(
        engine, [{**line, "id": f"p{n}", "inputs": json.dumps(x)} for n, x in enumerate(cells)]
    )
    journal_labels.add_labels(
        engine,
        "left",
        [
            journal_labels.Label(prediction_id="p0", label=1),
            journal_labels.Label(prediction_id="p1", label=0),
        ],
        source="api",
        who="Ann",
    )
    url = str(engine.url)
    feedback = labelled_rows.with_labelled(base, Scope(target="left", positive="yes"), url)
    table, result, origin = feedback.frame, feedback.facts, feedback.origin
    assert (len(table), result["rows"], feedback.findings, origin.tolist()[:50]) == (
        52,
        2,
        [],
        [BASE] * 50,
    )
    new = table.tail(2)
    assert new["left"].tolist() == ["yes", "no"]
    assert new["age"].tolist() == [33, 44]
    assert new["member"].tolist() == ["yes", "no"]
    assert (new[NOW] == pd.Timestamp(at.date())).all()
    types = table.drop(columns=NOW).dtypes.to_dict()
    assert types == base.dtypes.to_dict() | {"age": np.dtype("int64")}
    other = Scope(target="left", positive="yes", title="another")
    nothing = labelled_rows.with_labelled(base, other, url)
    codes = [f.code for f in nothing.findings]
    assert (nothing.facts["rows"], codes, len(nothing.origin)) == (0, ["feedback-none"], 50)
