"""Labels, promotions and records: the label of a case, the served model, the record of a row."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from fivefold.core.schema import Column, Schema
from fivefold.core.scope import Scope
from fivefold.journal import labels as journal_labels
from fivefold.journal import promotions
from fivefold.journal.database import open_journal, read_predictions, write
from fivefold.journal.labels import Label, add_labels, counts, match_unknown
from fivefold.journal.promotions import (
    DECLINED,
    KEPT,
    OVERTAKEN,
    PROMOTED,
    ROLLED_BACK,
    THRESHOLD,
    WAITING,
    Decision,
    Promotion,
    append,
    champion,
    history,
    newest_problem,
    rollback_target,
    waiting,
)
from fivefold.journal.tables import LABELS, as_json
from fivefold.model.bundle import Assessment, Bundle
from fivefold.model.metadata import Metadata
from fivefold.serving.journal_rows import (
    MAX_INPUTS,
    Recorder,
    entity_of,
    pseudonym,
)
from fivefold.serving.served_model import ServedModel
from tests.journal import test_database as base
from tests.support.models import bundle_of, changed

server, url, journal = base.server, base.url, base.journal
T0, line = base.T0, base.line


def seconds(n: float) -> datetime:
    return T0 + timedelta(seconds=n)


def give(
    engine: sa.Engine,
    *labels: dict[str, Any],
    problem: str = "p",
    now: datetime = T0 + timedelta(days=1),
) -> dict[str, int]:
    """The outcomes that were told, without those of which there were none."""
    given = [Label(**label) for label in labels]
    result = add_labels(engine, problem, given, source="api", who="ann", now=now)
    return {name: n for name, n in result.items() if n}


def of(n: int, label: int) -> dict[str, Any]:
    return {"prediction_id": line(n)["id"], "label": label}


def truth(engine: sa.Engine, problem: str = "p") -> dict[int, int]:
    """{number of the prediction: the label that counts}."""
    actual = read_predictions(engine, problem).dropna(subset="label")
    return {
        int(number[-6:], 16): int(label)
        for number, label in zip(actual["id"], actual["label"], strict=True)
    }


# Labels


def test_outcomes_of_labels_by_id(journal: sa.Engine) -> None:
    write(journal, [line(n) for n in range(4)])
    assert give(journal, of(1, 1), of(2, 0), of(9, 1)) == {"accepted": 2, "unknown": 1}
    assert give(journal, of(1, 1), of(2, 1)) == {"duplicate": 1, "corrected": 1}
    assert give(journal, of(2, 1)) == {"duplicate": 1}
    assert give(journal) == {}
    assert truth(journal) == {1: 1, 2: 1}
    assert counts(journal, "p") == {
        "accepted": 2,
        "corrected": 1,
        "duplicate": 2,
        "unknown": 1,
        "late": 0,
    }


def test_the_order_within_a_call_is_the_order_of_time(
    journal: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(journal, [line(n) for n in range(4)])
    several = [of(1, 1), of(2, 0), {"entity": '["1"]', "label": 0}, of(1, 0), of(2, 1), of(1, 1)]
    assert give(journal, *several) == {"accepted": 2, "corrected": 3, "duplicate": 1}
    assert truth(journal) == {1: 1, 2: 1}
    monkeypatch.setattr(journal_labels, "LOT", 2)  # lots are judged one after the other
    assert give(journal, *[{**x, "label": 1 - x["label"]} for x in several]) == {
        "corrected": 4,
        "duplicate": 2,
    }
    assert truth(journal) == {1: 0, 2: 0}


def test_a_label_by_entity_belongs_to_the_newest_prediction_then(journal: sa.Engine) -> None:
    write(journal, [line(n, entity='["41"]') for n in (10, 20, 30)])
    by = {"entity": '["41"]'}
    assert give(journal, {**by, "label": 1, "observed_at": seconds(29.9)}) == {"accepted": 1}
    assert truth(journal) == {20: 1}
    assert give(
        journal, {**by, "label": 0, "observed_at": seconds(9)}, {"entity": '["42"]', "label": 1}
    ) == {"unknown": 2}
    assert give(
        journal,
        {
            **by,
            "label": 1,
            "observed_at": seconds(10).replace(tzinfo=UTC).astimezone(timezone(timedelta(hours=9))),
        },
        {**by, "label": 0, "observed_at": pd.NaT},
    ) == {"accepted": 2}
    assert truth(journal) == {10: 1, 20: 1, 30: 0}
    assert give(journal, {**by, "label": 1}, now=seconds(25)) == {
        "duplicate": 1
    }  # of 20, the newest then


def test_labels_that_come_before_their_prediction(journal: sa.Engine) -> None:
    """A prediction may wait in the spool while its label is already here."""
    assert give(
        journal, of(1, 0), {"entity": '["2"]', "label": 1, "observed_at": seconds(5)}, of(1, 1)
    ) == {"unknown": 3}
    assert match_unknown(journal, "p") == 0
    write(journal, [line(1), line(2), line(3, problem="other")])
    assert match_unknown(journal, "other") == 0
    assert match_unknown(journal, "p") == 2
    assert truth(journal) == {1: 1, 2: 1}
    assert match_unknown(journal, "p") == 0
    assert counts(journal, "p") == {
        "accepted": 2,
        "corrected": 1,
        "duplicate": 0,
        "unknown": 0,
        "late": 0,
    }
    give(journal, of(4, 1))
    write(journal, [line(4)])
    assert give(journal, of(4, 0)) == {"corrected": 1}  # what waited was settled first
    assert truth(journal)[4] == 0


def test_a_label_does_not_belong_to_a_prediction_made_after_it_was_given(
    journal: sa.Engine,
) -> None:
    assert give(journal, {"entity": '["7"]', "label": 1}, now=seconds(5)) == {"unknown": 1}
    write(journal, [line(7)])
    assert match_unknown(journal, "p", now=seconds(1000)) == 0
    assert truth(journal) == {}


def test_late_labels_count_and_a_label_that_waited_is_not_late(journal: sa.Engine) -> None:
    write(journal, [line(1), line(2)])
    give(journal, of(3, 1), now=T0 + timedelta(days=2))
    assert give(journal, of(1, 1), of(2, 1), of(9, 1), now=seconds(1.5) + timedelta(days=180)) == {
        "accepted": 2,
        "unknown": 1,
        "late": 1,
    }
    assert truth(journal) == {1: 1, 2: 1}
    write(journal, [line(3)])
    assert match_unknown(journal, "p", now=T0 + timedelta(days=400)) == 1
    assert counts(journal, "p")["late"] == 1


def test_labels_of_one_problem_do_not_reach_another(journal: sa.Engine) -> None:
    write(journal, [line(1, entity='["1"]'), line(2, entity='["1"]', problem="other")])
    assert give(journal, of(2, 1), {"entity": '["1"]', "label": 0}) == {"unknown": 1, "accepted": 1}
    assert give(journal, of(1, 1), problem="other") == {"unknown": 1}
    assert (truth(journal), truth(journal, "other")) == ({1: 0}, {})
    assert give(journal, of(2, 1), problem="other") == {"accepted": 1}
    assert counts(journal, "none") == dict.fromkeys((*journal_labels.OUTCOMES, "late"), 0)


@pytest.mark.parametrize("wrong", [2, -1, 0.7, None, "yes", float("nan")])
def test_a_label_that_is_none_is_refused_with_all_others(tmp_path: Any, wrong: Any) -> None:
    journal = open_journal(f"sqlite:///{tmp_path}/j.db")
    write(journal, [line(1)])
    with pytest.raises(ValueError, match=f"expected a label of 0 or 1, found {wrong!r}"):
        give(journal, of(1, 1), {**of(1, 1), "label": wrong})
    assert sum(counts(journal, "p").values()) == 0
    assert give(journal, {**of(1, 1), "label": np.int64(1)}, {**of(1, 0), "label": True}) == {
        "accepted": 1,
        "duplicate": 1,
    }


def test_processes_that_label_at_once_agree(journal: sa.Engine, url: str) -> None:
    write(journal, [line(n) for n in range(50)])
    result = base.at_once(4, lambda _: give(open_journal(url), *[of(n, 1) for n in range(50)]))
    assert sorted(result, key=str) == [{"accepted": 50}, *[{"duplicate": 50}] * 3]
    assert counts(journal, "p")["accepted"] == 50


def test_thousands_of_waiting_labels_are_settled_in_little_time(journal: sa.Engine) -> None:
    give(
        journal,
        *[of(n, n % 2) for n in range(6000)],
        *[{"entity": f'["{n}"]', "label": 1} for n in range(6000, 9000)],
    )
    write(journal, [line(n) for n in range(9000)])
    began = base.time.perf_counter()
    assert match_unknown(journal, "p") == 9000
    assert base.time.perf_counter() - began < 10
    with journal.connect() as connection:
        assert (
            connection.execute(sa.select(sa.func.count(LABELS.c.prediction_id.distinct()))).scalar()
            == 9000
        )


# Promotions


def in_force(engine: sa.Engine, problem: str) -> int:
    held = champion(engine, problem)
    return held.seq if held else 0


def promote(
    engine: sa.Engine,
    model: str,
    action: str = PROMOTED,
    threshold: float = 0.5,
    replaces: int | None = None,
    problem: str = "p",
    **numbers: Any,
) -> Promotion:
    """A line that replaces the one in force, where its action replaces any."""
    if replaces is None and action in promotions.EFFECTIVE:
        replaces = in_force(engine, problem)
    return append(
        engine,
        problem,
        Decision(
            action=action,
            model=model,
            sha256=model * 64,
            threshold=threshold,
            who="ann",
            why="better.",
            numbers=numbers,
            replaces=replaces,
        ),
    )


def test_lines_are_added_and_never_changed(journal: sa.Engine) -> None:
    assert (
        champion(journal, "p"),
        newest_problem(journal),
        history(journal, "p"),
        waiting(journal, "p"),
    ) == (None, None, [], None)
    first = promote(
        journal,
        "A",
        auc=np.float64(0.75),
        rows=np.int64(3),
        share=np.float32(0.5),
        gap=float("nan"),
    )
    assert replace(champion(journal, "p"), numbers={}) == replace(first, numbers={})
    assert {k: v for k, v in first.numbers.items() if k != "gap"} == {
        "auc": 0.75,
        "rows": 3,
        "share": 0.5,
    }
    promote(journal, "B", KEPT)
    second = promote(journal, "A", THRESHOLD, 0.7)
    promote(journal, "C", problem="other")
    assert [(x.model, x.action, x.replaces) for x in history(journal, "p")] == [
        ("A", THRESHOLD, first.seq),
        ("B", KEPT, None),
        ("A", PROMOTED, 0),
    ]
    assert newest_problem(journal) == "other"
    assert champion(journal, "p") == second


@pytest.mark.parametrize(
    ("action", "replaces"),
    [(PROMOTED, None), (ROLLED_BACK, None), (THRESHOLD, None), (KEPT, 0), ("deleted", None)],
)
def test_lines_that_make_no_sense(tmp_path: Any, action: str, replaces: int | None) -> None:
    journal = open_journal(f"sqlite:///{tmp_path}/j.db")
    with pytest.raises(
        ValueError,
        match="expected an effective action with replaces or another without, "
        f"found '{action}', {replaces}",
    ):
        append(
            journal,
            "p",
            Decision(
                action=action,
                model="A",
                sha256="",
                threshold=0.5,
                who="",
                why="",
                replaces=replaces,
            ),
        )
    assert history(journal, "p") == []


def test_a_decision_about_another_state_changes_nothing(journal: sa.Engine) -> None:
    first = promote(journal, "A")
    stray = promote(journal, "X", WAITING), promote(journal, "Y", problem="other")
    for replaces in (0, 999, -1, *(x.seq for x in stray)):
        result = promote(journal, "B", replaces=replaces)
        assert (result.action, result.replaces) == (OVERTAKEN, None)
        assert result.why.endswith(
            "better. Nothing was changed: "
            "another model or threshold was put in force in the meantime."
        )
    assert champion(journal, "p") == first
    assert promote(journal, "B", replaces=first.seq).action == PROMOTED
    assert promote(journal, "C", replaces=first.seq).action == OVERTAKEN


def test_of_several_at_once_one_takes_effect(journal: sa.Engine, url: str) -> None:
    for _ in range(3):
        held = in_force(journal, "p")
        result = base.at_once(
            5, lambda n, held=held: promote(open_journal(url), "ABCDE"[n], replaces=held)
        )
        assert sorted(x.action for x in result) == [OVERTAKEN] * 4 + [PROMOTED]
        won = next(x for x in result if x.action == PROMOTED)
        assert champion(journal, "p") == won
        assert won.replaces == held
    assert len(history(journal, "p")) == 15


@pytest.mark.parametrize(
    "story",
    [
        "A | None",
        "A B C | B A None",
        "A A:.7 | A None",
        "A A:.7 A:.9 B | A:.9 A:.7 A None",
        "A B < C | A None",
        "A B C < D | B A None",
        "A B B | A None",
        "A B A | B A None",
        "A B < A | None",
        "A B < A:.6 < B | A None",
        "A B C < < D E < | A None",
    ],
)
def test_rolling_back_again_and_again(journal: sa.Engine, story: str) -> None:
    """Letters are promoted (with a threshold: set), "<" undoes; after "|": what each undo gives."""

    def undo() -> str:
        back = rollback_target(journal, champion(journal, "p"))
        if back is None:
            return "None"
        promote(journal, back.model, ROLLED_BACK, back.threshold, returns_to=back.seq)
        return back.model + (
            f":{back.threshold:g}".replace("0.", ".") if back.threshold != 0.5 else ""
        )

    steps, _, expected = story.partition(" | ")
    for step in steps.split():
        promote(journal, "K", KEPT)
        promote(journal, "O", problem="other")
        model, _, threshold = step.partition(":")
        if step == "<":
            undo()
        else:
            promote(journal, model, THRESHOLD if threshold else PROMOTED, float(threshold or 0.5))
    assert [undo() for _ in expected.split()] == expected.split()


def test_what_waits_for_a_person(journal: sa.Engine) -> None:
    promote(journal, "A")
    assert waiting(journal, "p") is None
    promote(journal, "B", WAITING)
    promote(journal, "C", WAITING)
    promote(journal, "D", KEPT)
    assert waiting(journal, "p").model == "C"
    assert waiting(journal, "other") is None
    promote(journal, "C", DECLINED)
    assert waiting(journal, "p") is None
    promote(journal, "E", WAITING)
    promote(journal, "E")
    assert waiting(journal, "p") is None


# Records


SCOPE = Scope(id_columns=("customer", "shop"), pseudonymised_columns=("customer",))


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ((41, "a"), '["41","a"]'),
        ((41.0, " a "), '["41","a"]'),
        (("41", "a"), '["41","a"]'),
        ((np.int64(41), "a"), '["41","a"]'),
        ((np.float32(41), "a"), '["41","a"]'),
        ((True, "a"), '["True","a"]'),
        ((2**70, 1e20), f'["{2**70}","{10**20}"]'),
        ((41.5, 'é"'), '["41.5","é\\""]'),
        ((0, 0.0), '["0","0"]'),
        ((pd.Timestamp("2026-01-01"), "a"), '["2026-01-01T00:00:00","a"]'),
        ((None, "a"), None),
        ((float("nan"), "a"), None),
        ((np.float32("nan"), "a"), None),
        ((pd.NA, "a"), None),
        ((pd.NaT, "a"), None),
        ((41, ""), None),
        ((41, "  "), None),
        ((float("inf"), "a"), None),
    ],
)
def test_entities(cells: tuple[Any, ...], expected: str | None) -> None:
    row = dict(zip(SCOPE.id_columns, cells, strict=True))
    assert entity_of(row, Scope(id_columns=SCOPE.id_columns), b"k") == expected
    hidden = entity_of(row, SCOPE, b"k")
    if expected is None:
        assert hidden is None
    else:
        assert json.loads(hidden) == [
            pseudonym(json.loads(expected)[0], b"k"),
            json.loads(expected)[1],
        ]
    assert entity_of(row, Scope(), b"k") is None
    assert entity_of({"customer": 41}, SCOPE, b"k") is None


def inputs_and_entity(
    row: dict[str, Any], scope: Scope, columns: list[str], key: bytes
) -> tuple[str, str | None]:
    """What the journal keeps of a scored row, where the model has text columns of these names."""
    schema = Schema(tuple(Column(name, "text") for name in columns), "left", "no", "yes")
    model = ServedModel(Bundle(None, schema, Metadata(scope=scope)), "sha", "TrainFlow/1")
    scores = {"probability": 0.5, "decision": "stays", "error": "", "warnings": ""}
    assessment = Assessment(pd.DataFrame([scores]), [])
    (kept,) = Recorder(model, "api", key).rows([row], assessment, ["1"], T0).predictions
    return kept["inputs"], kept["entity"]


def test_pseudonyms_are_stable_and_differ_by_key() -> None:
    result = {
        inputs_and_entity({"customer": value, "shop": "a"}, SCOPE, ["customer", "shop"], b"k")
        for value in (41, 41.0, "41", " 41 ")
    }
    assert len(result) == 1
    inputs, entity = result.pop()
    name = pseudonym("41", b"k")
    assert (json.loads(inputs), json.loads(entity)) == (
        {"customer": name, "shop": "a"},
        [name, "a"],
    )
    assert name != pseudonym("41", b"other") != pseudonym("42", b"other")
    assert pseudonym("half \ud83d", b"k")
    assert inputs_and_entity({"customer": None}, SCOPE, ["customer"], b"k") == (
        '{"customer":null}',
        None,
    )


def test_cells_become_plain_json() -> None:
    row = {
        "a": np.float32("nan"),
        "b": np.float32(0.5),
        "c": np.bool_(True),
        "d": float("-inf"),
        "e": pd.Timestamp("2026-01-01"),
        "f": 'a\x00"é',
        "g": np.datetime64("2026-01-01"),
        "h": pd.NA,
        "i": 2**70,
        "unknown": 1,
    }
    inputs, _ = inputs_and_entity(
        row, Scope(), ["a", "b", "c", "d", "e", "f", "g", "h", "i", "absent"], b"k"
    )
    assert json.loads(inputs, parse_constant=pytest.fail) == {
        "a": None,
        "b": 0.5,
        "c": True,
        "d": None,
        "e": "2026-01-01T00:00:00",
        "f": 'a\x00"é',
        "g": "2026-01-01",
        "h": None,
        "i": 2**70,
    }
    assert (
        as_json({"n": np.int64(2), "at": datetime(2026, 1, 1)})
        == '{"n":2,"at":"2026-01-01 00:00:00"}'
    )


def test_records_of_scored_rows_go_through_the_journal(journal: sa.Engine) -> None:
    """Neither inputs nor entity nor warnings nor reasons tell what the scope pseudonymises."""
    frame = pd.DataFrame({"age": [20.0, 30, 40, 50] * 5, "name": ["Ann", "Bo", "Cy", "Di"] * 5})
    bundle = bundle_of(
        frame,
        lambda rows: rows["age"] / 100,
        0.6,
        id_columns=("customer",),
        title="P",
        pseudonymised_columns=("customer", "name", "age"),
    )
    rows = [
        {"customer": 1, "age": 60, "name": "Eve; age: secret", "password": "x"},
        {"customer": 2.0, "age": "s3cret" * 1000, "name": "Bo"},
        {"customer": None, "age": 40.0, "name": "Bo"},
    ]
    table = pd.DataFrame([{k: row[k] for k in ("age", "name")} for row in rows])
    assessment = bundle.assess(table)
    scores = assessment.scores
    assert "Eve" in scores["warnings"][0]
    assert "s3cret" in scores["error"][1]
    recorder = Recorder(ServedModel(bundle, "f" * 64, "TrainFlow/1"), "api", b"k")
    good, bad = recorder.rows(rows, assessment, ["1", "2", "3"], T0, 2.5)
    write(journal, good, bad)
    actual = read_predictions(journal, "p")
    assert actual["decision"].tolist() == ["will leave", "will stay"]
    assert actual["threshold"].tolist() == [0.6, 0.6]
    assert actual["entity"].fillna("").tolist() == [f'["{pseudonym(1, b"k")}"]', ""]
    assert set(json.loads(actual["inputs"][0])) == {"age", "name", "customer"}
    assert actual["warnings"][0].count("unusual or unreadable") == 2
    refused = base.read_rejects(journal, "p")
    assert refused["reason"].tolist() == ["age: unusual or unreadable"]
    everything = actual.to_csv() + refused.to_csv()
    assert not any(secret in everything for secret in ("Eve", "Bo", "secret", "s3cret", "password"))
    bundle = changed(bundle, scope=replace(bundle.metadata.scope, pseudonymised_columns=()))
    recorder = Recorder(ServedModel(bundle, "f" * 64, "TrainFlow/1"), "batch", b"k")
    _, bad = recorder.rows(rows, assessment, ["1", "2", "3"], T0)
    assert [len(x["inputs"]) for x in bad] == [MAX_INPUTS]
    assert "s3cret" in bad[0]["reason"]


def test_a_label_may_say_that_the_case_was_acted_upon(journal: sa.Engine) -> None:
    write(journal, [line(n) for n in range(3)])

    def acted() -> dict[int, bool]:
        rows = read_predictions(journal, "p")
        return {int(i[-6:], 16): a for i, a in zip(rows["id"], rows["acted"], strict=True)}

    assert give(journal, of(1, 0) | {"acted": True}, of(2, 1)) == {"accepted": 2}
    assert acted() == {0: False, 1: True, 2: False}
    assert give(journal, of(1, 0)) == {"duplicate": 1}  # not said: it stays
    assert give(journal, of(1, 1)) == {"corrected": 1}
    assert acted()[1]
    assert give(journal, of(1, 1) | {"acted": False}) == {"corrected": 1}
    assert give(journal, of(2, 1) | {"acted": True}) == {"corrected": 1}
    assert acted() == {0: False, 1: False, 2: True}
    assert truth(journal) == {1: 1, 2: 1}


def test_only_events_until_a_first_label_is_a_negative(journal: sa.Engine) -> None:
    write(journal, [line(n) for n in range(3)])
    day = T0 + timedelta(days=1)
    assert not journal_labels.only_events(journal, "p", day)
    give(journal, of(1, 1))
    assert journal_labels.only_events(journal, "p", day)
    give(journal, of(1, 0))  # an event that was taken back
    assert journal_labels.only_events(journal, "p", day)
    give(journal, of(2, 0), now=day + timedelta(days=1))
    assert journal_labels.only_events(journal, "p", day)
    assert not journal_labels.only_events(journal, "p", day + timedelta(days=1))
