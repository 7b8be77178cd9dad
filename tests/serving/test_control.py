"""The control share: drawn by a hash of the case, told in each answer, kept in the journal."""

from __future__ import annotations

from datetime import datetime

import pandas as pd
import pytest

from fivefold.core.findings import Refused
from fivefold.core.scope import Scope
from fivefold.serving import batch, json_rows
from fivefold.serving.journal_rows import Recorder, left_alone, left_alone_of_table
from fivefold.serving.labels import read_labels
from fivefold.serving.served_model import ServedModel
from tests.support.models import bundle_of

FRAME = pd.DataFrame({"who": [f"C{n}" for n in range(400)], "x": [n / 400 for n in range(400)]})
IDS = [f"p{n}" for n in range(400)]


def test_the_share_is_drawn_by_the_case_and_stays_with_it():
    scope = Scope(target="left", control_share=0.2, id_columns=("who",))
    rows = FRAME.to_dict("records")
    drawn = left_alone(rows, IDS, scope)
    assert sum(drawn) == pytest.approx(80, abs=25)
    assert left_alone(rows, [f"q{n}" for n in range(400)], scope) == drawn
    assert left_alone_of_table(FRAME, IDS, scope) == drawn
    assert left_alone([{}] * 400, IDS, scope) != left_alone([{}] * 400, IDS[::-1], scope)
    other = Scope(target="other", control_share=0.2, id_columns=("who",))
    assert left_alone(rows, IDS, other) != drawn
    assert left_alone(rows, IDS, Scope(target="left")) == [False] * 400


def test_it_is_told_in_answers_tables_and_the_journal():
    bundle = bundle_of(FRAME, lambda rows: rows["x"].to_numpy(float), control_share=0.2)
    scored = batch.score_batch(bundle, FRAME, "key")
    control = scored.rows[batch.CONTROL].tolist()
    assert 0 < sum(control) < 200
    recorder = Recorder(ServedModel(bundle, "", "TrainFlow/1"), "api", b"")
    rows = recorder.table(FRAME, scored.assessment, scored.ids, datetime(2026, 1, 1))
    assert [row["control"] for row in rows.predictions] == control
    answers = json_rows.answers(*scored.assessment, scored.ids, control)
    assert [answer["control"] for answer in answers] == control
    assert "control" not in json_rows.answers(*scored.assessment, scored.ids)[0]
    plain = bundle_of(FRAME, lambda rows: rows["x"].to_numpy(float))
    assert batch.CONTROL not in batch.score_batch(plain, FRAME, "key").rows


@pytest.mark.parametrize(
    ("text", "acted"), [("yes", True), ("No", False), (1, True), ("", None), (None, None)]
)
def test_a_label_says_whether_the_case_was_acted_upon(text, acted):
    schema = bundle_of(FRAME, lambda rows: rows["x"].to_numpy(float)).schema
    row = {"prediction_id": "a", "label": "yes", "acted": text}
    assert read_labels([row], schema, Scope(target="left"), b"")[0].acted is acted
    with pytest.raises(Refused, match=r"feedback-acted \[labels\[0\].acted\]: expected yes or no"):
        read_labels([row | {"acted": "perhaps"}], schema, Scope(target="left"), b"")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"monitoring": {"control_share": 0.9}}, "at most 0.5"),
        ({"monitoring": {"control_share": 0}}, "above 0"),
        ({"target": {"horizon": 0}}, "a number of days above 0"),
    ],
)
def test_wrong_shares_and_horizons_are_refused(values, expected):
    with pytest.raises(Refused, match=expected):
        Scope.from_dict(values)
    good = Scope.from_dict({"target": {"horizon": 30}, "monitoring": {"control_share": 0.1}})
    assert (good.horizon_days, good.control_share) == (30.0, 0.1)
