"""Figures that are too good: planted triumphs are named with their columns, honest ones are not."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from fivefold.core.findings import PASSED, WARNING, verdict
from fivefold.core.scope import Scope
from fivefold.model.doubts import Scored, check_triumph, doubts
from fivefold.model.inputs import expand
from tests.support.models import bundle_of

ROWS = 400
NAMES = ["a", "b", "c", "gap"]


def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({name: rng.normal(size=ROWS) for name in NAMES})
    frame.loc[rng.random(ROWS) < 0.4, "gap"] = np.nan
    return frame


def found(
    answer: Callable[[pd.DataFrame], np.ndarray], scope: Scope | None = None, **figures: float
):
    """The finding on a model that answers so, where the answers are the labels."""
    frame = table()
    bundle = bundle_of(frame, answer)
    typed = frame.astype("float64")
    q = answer(expand(typed, bundle.schema))
    y = (q > np.median(q)).astype(int) if len(np.unique(q)) > 2 else (q > 0.5).astype(int)
    scored = Scored(lambda rows: answer(expand(rows, bundle.schema)), typed, y, bundle.schema)
    auc, out_of_fold = figures.get("auc", 0.9998), figures.get("out_of_fold", 0.999)
    return check_triumph(auc, out_of_fold, scored, NAMES, scope or Scope(), 0)


def logistic(x):
    return 1 / (1 + np.exp(-10 * x))


@pytest.mark.parametrize(
    ("answer", "subject", "told"),
    [
        (lambda t: logistic(t["a"]), "a", "a makes it"),
        (lambda t: logistic(t["b"] - t["a"]), "a, b", "a, b together make it"),
        (lambda t: logistic(t["a"] * t["c"]), "a, c", "a, c together make it"),
        (lambda t: t["gap"].isna() * 0.8 + 0.1, "gap", "gap makes it, by which cells are missing"),
        (lambda t: logistic(t["a"] + t["b"] + t["c"]), "model", "no column and no pair"),
    ],
)
def test_a_triumph_is_told_with_the_columns_that_make_it(answer, subject, told):
    finding = found(answer)
    assert (finding.code, finding.severity, finding.subject) == (
        "doubtful-triumph",
        WARNING,
        subject,
    )
    assert "held-out ROC AUC 0.9998, nearly perfect" in finding.found
    assert told in finding.found
    assert "by which cells" not in finding.found or subject == "gap"
    assert "[success] near_perfect" in finding.action


@pytest.mark.parametrize("figures", [{"auc": 0.98}, {"auc": 1.0, "out_of_fold": 0.95}])
def test_an_honest_figure_and_a_lucky_one_on_few_rows_are_no_triumph(figures):
    finding = found(lambda t: logistic(t["a"]), **figures)
    assert (finding.severity, finding.subject) == (PASSED, "model")


@pytest.mark.parametrize(
    ("scope", "severity", "told"),
    [
        (Scope(known_columns=("a", "b")), PASSED, "known at prediction time"),
        (Scope(known_columns=("a",)), WARNING, "together make it"),
        (Scope(near_perfect="b is measured before a"), PASSED, "b is measured before a"),
    ],
)
def test_a_person_can_say_why_it_is_right(scope, severity, told):
    finding = found(lambda t: logistic(t["b"] - t["a"]), scope)
    assert finding.severity == severity
    assert told in finding.found


def test_warnings_of_leaks_and_triumphs_are_doubts_and_nothing_else_is():
    codes = ("leak", "leak-missing", "target-copy", "doubtful-triumph")
    told = [verdict(True, code, "paid", found="x") for code in (*codes, "imbalance")]
    known = [verdict(False, code, "paid", found="x") for code in codes]
    assert [f.code for f in doubts([*told, *known])] == list(codes)
