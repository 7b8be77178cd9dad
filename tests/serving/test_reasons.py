"""Reasons of rows: those of the explanation, for as many rows as the limits allow."""

from __future__ import annotations

import itertools
import json

import pandas as pd
import pytest

from fivefold.core.findings import Refused
from fivefold.model.explain import explain
from fivefold.serving import batch, json_rows, reasons, steps
from fivefold.serving.reasons import Limits
from fivefold.serving.request import is_true
from tests.support.models import bundle_of, changed

FRAME = pd.DataFrame({"age": [20.0, 30, 40, 50] * 5, "fee": [1.0, 2, 3, 4, 5] * 4})


@pytest.fixture(scope="module")
def bundle():
    return bundle_of(FRAME, lambda x: x["age"] / 200 + x["fee"] / 100)


def rows_of(frame):
    return frame.to_dict("records")


def answer_of(bundle, rows):
    table = json_rows.table_of(rows, bundle.schema, bundle.optional)
    assessment = json_rows.assess(bundle, table)
    ids = [str(n) for n in range(len(rows))]
    answer = {"predictions": json_rows.answers(*assessment, ids), "notes": []}
    json_rows.add_reasons(answer, bundle, table)
    return answer


def test_the_reasons_of_an_additive_model_are_the_distances_from_its_means(bundle):
    answer = answer_of(bundle, [{"age": 50, "fee": 1}])
    (prediction,) = answer["predictions"]
    # the background is the table: mean age 35, mean fee 3
    assert answer["base"] == pytest.approx(35 / 200 + 3 / 100)
    assert [line["column"] for line in prediction["reasons"]] == ["age", "fee"]
    assert [line["value"] for line in prediction["reasons"]] == [50, 1]
    amounts = [line["contribution"] for line in prediction["reasons"]]
    assert amounts == pytest.approx([15 / 200, -2 / 100])
    assert answer["base"] + sum(amounts) == pytest.approx(prediction["probability"])
    assert answer["notes"] == []
    json.dumps(answer)


def test_rows_beyond_the_limits_have_none_and_a_note_says_so(bundle, monkeypatch):
    monkeypatch.setattr(json_rows, "REQUEST", Limits(2, 60.0))
    answer = answer_of(bundle, rows_of(FRAME.head(5)))
    assert [p["reasons"] is None for p in answer["predictions"]] == [False] * 2 + [True] * 3
    assert answer["notes"] == ["reasons for 2 of 5 rows (at most 2 rows and 60 seconds)"]


def test_the_time_is_bounded_and_the_first_row_always_explained(bundle, monkeypatch):
    clock = itertools.count(step=10)  # seconds, ten for each look at it
    monkeypatch.setattr(reasons.time, "monotonic", lambda: next(clock))
    explained = reasons.explain_rows(bundle, FRAME, [7, 3, 1, 0], Limits(100, 15.0))
    assert list(explained) == [7, 3]
    assert explained[3] == explain(bundle, {"age": 50, "fee": 4})
    assert list(reasons.explain_rows(bundle, FRAME, [7, 3], Limits(100, 0.0))) == [7]
    assert reasons.explain_rows(bundle, FRAME, [], Limits(100, 1.0)) == {}


def test_a_row_that_lacks_a_column_is_explained():
    loose = bundle_of(FRAME, lambda x: x["age"].fillna(0.0) / 100, optional_columns=("age", "fee"))
    explained = reasons.explain_rows(loose, FRAME[["fee"]], [0], Limits(1, 1.0))
    assert explained[0].largest_first()[0].column == "age"
    assert reasons.as_text(explained[0]).startswith("age = unknown (-0.3500)")


def test_a_model_without_background_says_so(bundle):
    with pytest.raises(Refused, match="background-missing"):
        reasons.explain_rows(changed(bundle, background=[]), FRAME, [0], Limits(1, 1.0))


def test_a_file_gets_a_column_of_reasons_the_highest_probabilities_first(
    bundle, tmp_path, monkeypatch
):
    monkeypatch.setattr(steps, "from_bytes", lambda blob, digest: bundle)
    monkeypatch.setattr(reasons, "TABLE", Limits(4, 600.0))
    FRAME.assign(reasons="mine").to_csv(tmp_path / "t.csv", index=False)
    out = tmp_path / "out.csv"
    place = (str(tmp_path / "t.csv"), "", out, "1", 10, bundle)
    parts, _ = steps.prepare(*place, explain=True)
    tallies = steps.score(parts, [0, 1], b"", "sha", None, str(out), False, explain=True)
    tally = steps.gather(parts, tallies, str(out))
    result = pd.read_csv(out)
    assert set(result["input_reasons"]) == {"mine"}
    assert tally.explained == result["reasons"].notna().sum() == 4  # two of each part
    for part in (result.head(10), result.tail(10)):
        highest = batch.top(part, 2)
        assert highest["reasons"].notna().all()
        assert highest["reasons"].str.match(r"(age|fee) = .* \(\+").all()
    told = steps.closing(tally, "m", "why", "out.csv", explain=True)
    assert "reasons for 4 of 20 rows (at most 4 rows and 600 seconds)" in told
    assert "reasons" not in steps.closing(tally, "m", "why", "out.csv")
    with pytest.raises(Refused, match="background-missing"):
        steps.prepare(*place[:5], changed(bundle, background=[]), explain=True)


def test_the_question_for_reasons_is_yes_or_no():
    assert [is_true(text, "explain") for text in ("true", "TRUE", "1", "false", "no")] == [
        *[True] * 3,
        *[False] * 2,
    ]
    with pytest.raises(Refused, match=r"\[explain\]: expected true or false; found 'maybe'"):
        is_true("maybe", "explain")
