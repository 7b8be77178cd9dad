"""The target: which label is positive, and every way in which that cannot be told."""

import numpy as np
import pandas as pd
import pytest

from fivefold.core.scope import Scope
from fivefold.data.target import read_target


def ask(values, **scope):
    return read_target(pd.DataFrame({"t": values}), Scope(**{"target": "t", **scope}))


@pytest.mark.parametrize(
    ("values", "positive"),
    [
        ([0, 1, 1], "1"),
        ([0.0, 1.0, None], "1"),
        (["yes", "no", "no"], "yes"),
        (["Y", "N", "Y"], "Y"),
        ([True, False, True], "True"),
        (["FALSE", "TRUE", "TRUE"], "TRUE"),
        ([-1, 1, 1], "1"),
        (["negative", "positive", "negative"], "positive"),
    ],
)
def test_well_known_pairs_are_understood(values, positive):
    target, findings = ask(values)
    assert target.positive == positive
    expected = [
        -1 if v is None else int(str(v).rstrip("0").rstrip(".") == positive or str(v) == positive)
        for v in values
    ]
    assert target.y.tolist() == expected
    assert not [f for f in findings if f.severity == "error"]


@pytest.mark.parametrize(
    "values", [["left", "stayed", "left"], ["M", "B", "B"], [1, 2, 1], ["a", "b", "a"]]
)
def test_an_ambiguous_positive_is_a_question(values):
    target, (finding,) = ask(values)
    assert target is None
    assert finding.code == "positive-ambiguous"
    assert all(f"--positive '{v}'" in finding.action for v in set(values))


def test_the_given_positive_is_used_even_against_convention():
    target, _ = ask(["yes", "no", "no"], positive="no")
    assert target.y.tolist() == [0, 1, 1]
    assert (target.negative, target.positive) == ("yes", "no")


def test_a_positive_given_as_number_matches_its_other_spelling():
    assert ask([1.0, 2.0, 2.0], positive="2.0")[0].y.tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("values", "scope", "code"),
    [
        ([None, None], {}, "target-classes"),
        ([1, 1], {}, "target-classes"),
        ([1, 2, 3], {}, "target-classes"),
        (["a", "b"], {"positive": "c"}, "positive-missing"),
        ([0, 1], {"target": ""}, "target-not-named"),
        ([0, 1], {"target": "T"}, "target-missing"),
    ],
)
def test_what_cannot_be_a_target(values, scope, code):
    target, (finding,) = ask(values, **scope)
    assert target is None
    assert (finding.code, finding.severity) == (code, "error")


def test_a_repeated_target_column_is_refused():
    frame = pd.DataFrame(np.zeros((3, 2)), columns=["t", "t"])
    assert read_target(frame, Scope(target="t"))[1][0].code == "target-repeated"


def test_missing_labels_are_counted():
    target, findings = ask(["yes", None, "no", None])
    assert target.y.tolist() == [1, -1, 0, -1]
    assert "2 rows without a label" in findings[-1].found


def test_labels_that_differ_in_case_or_spaces_are_one():
    target, findings = ask(["Yes", "no", "yes ", "Yes", "NO", None])
    assert target.y.tolist() == [1, 0, 1, 1, 0, -1]
    assert (target.negative, target.positive) == ("NO", "Yes")
    assert next(f.code for f in findings) == "target-spellings"
    assert ask(["very  bad", "good", "Very bad"], positive="very bad")[0].y.tolist() == [1, 0, 1]
    assert ask(["a", "A", "a"], positive="A")[0].y.tolist() == [0, 1, 0]  # as asked
    assert "target-spellings" not in [f.code for f in ask(["yes", "no"])[1]]


def test_one_label_and_gaps_is_a_question_that_can_be_answered():
    target, (finding,) = ask(["1", None, "1", None, None])
    assert target is None
    assert "3 cells without a label" in finding.found
    assert "[target] empty" in finding.action
    assert "[columns.keep] t" in finding.action
    assert ask(["1", None, "1"], empty_label="0")[0].y.tolist() == [1, 0, 1]
