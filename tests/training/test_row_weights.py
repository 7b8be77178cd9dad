"""Row and class weights: what each row counts in a fit, and that every algorithm obeys."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fivefold.core.findings import Refused
from fivefold.core.roc_auc import roc_auc
from fivefold.core.scope import BALANCED, Scope
from fivefold.data.infer import infer_schema
from fivefold.data.splits import Assignment
from fivefold.model.inputs import expand
from fivefold.training import final_fit
from fivefold.training.algorithms import ALGORITHMS
from fivefold.training.encode_folds import encode_fold, fit_fold
from fivefold.training.intake import validate
from fivefold.training.row_weights import row_weights
from fivefold.training.training_data import FitOptions, TrainingData
from tests.support.tables import SCOPE, labels, mixed, prepared
from tests.support.training import candidate

HELD = int(Assignment.HOLDOUT)


def weights_of(cells, y, fold_ids, **keys):
    scope = Scope(target="y", **({"weight_column": "w"} if cells else {}), **keys)
    frame = pd.DataFrame({"w": cells or [1.0] * len(y), "x": range(len(y)), "y": y})
    schema = infer_schema(frame, scope)
    return row_weights(frame, scope, schema, np.array(y), np.array(fold_ids))


def test_weights_have_the_mean_one_over_the_training_rows():
    actual = weights_of([1.0, 2.0, 3.0, 8.0], [0, 1, 0, 1], [0, 1, 0, HELD])
    assert actual.tolist() == [0.5, 1.0, 1.5, 4.0]
    assert weights_of(["1,0", "2,0", "3,5", "8,0"], [0, 1, 0, 1], [0, 1, 0, HELD])[0] < 0.5
    assert weights_of(None, [0, 1], [0, 1]) is None


def test_balanced_classes_have_the_same_sum_over_the_training_rows_alone():
    y, folds = [1, 0, 0, 0, 1], [0, 1, 0, 1, HELD]
    assert weights_of(None, y, folds, class_weight=BALANCED).tolist() == pytest.approx(
        [2.0, 2 / 3, 2 / 3, 2 / 3, 2.0]
    )
    other_label = weights_of(None, [1, 0, 0, 0, 0], folds, class_weight=BALANCED)
    assert other_label[:4].tolist() == pytest.approx([2.0, 2 / 3, 2 / 3, 2 / 3])
    both = weights_of([3.0, 1.0, 1.0, 4.0, 1.0], y, folds, class_weight=BALANCED)
    assert both[0] == pytest.approx(both[1:4].sum())
    times_three = weights_of(None, y, folds, class_weight=3.0)
    assert times_three[0] == pytest.approx(3 * times_three[1])


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_rows_without_weight_teach_nothing(name):
    """Half of the labels are turned round; without their weight the others decide."""
    typed, y, fold_ids, schema = prepared(800)
    rows = np.flatnonzero(fold_ids >= 0)
    wrong = np.arange(len(y)) % 2 == 0
    turned = np.where(wrong, 1 - y, y)
    weights = np.where(wrong, 0.0, 2.0)
    held = fold_ids == HELD
    reached = []
    for given in (weights, None):
        data = TrainingData(typed, turned, fold_ids, schema, given)
        model = final_fit.fit_final(candidate(name), data, rows, FitOptions(), seeds=1, stop=None)
        p = model.predict_proba(expand(typed[held], schema))[:, 1]
        reached.append(roc_auc(y[held], p))
    assert reached[0] > 0.65
    assert reached[0] - reached[1] > 0.1


@pytest.mark.parametrize("name", ["lightgbm", "xgboost"])
def test_early_stopping_weighs_its_rows_too(name):
    """Where only rows of turned labels count, rounds would make the weighted loss worse."""
    typed, y, fold_ids, schema = prepared(800)
    entry, rounds = ALGORITHMS[name], []
    for turned in (False, True):
        data = TrainingData(typed, y, fold_ids, schema, np.ones(len(y)))
        fold = encode_fold(data, 0, entry.encoding, FitOptions())
        half = np.arange(len(fold.valid.y)) % 2 == 0
        valid = replace(
            fold.valid,
            y=np.where(half, 1 - fold.valid.y, fold.valid.y),
            weights=np.where(half == turned, 1.0, 0.0),
        )
        _, best = fit_fold(entry, entry.defaults[0], replace(fold, valid=valid), FitOptions())
        rounds.append(best)
    assert rounds[0] > 5 * rounds[1]


def test_the_model_does_not_see_the_weights():
    frame = mixed(100)
    schema = infer_schema(frame, replace(SCOPE, weight_column="amount"), ("no", "yes"))
    assert "amount" not in schema.names()
    assert schema["amount"].why == "weighs rows (scope)"


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"amount": -1.0}, r"weight-unusable \[amount\].*120 cells.*below 0"),
        ({"amount": np.nan}, r"weight-unusable \[amount\].*empty"),
        ({"amount": 0.0}, r"weight-unusable \[amount\].*only zeros"),
    ],
)
def test_weights_that_cannot_be_used_are_refused(change, match):
    frame = mixed(120).assign(**change)
    with pytest.raises(Refused, match=match):
        validate(frame, replace(SCOPE, weight_column="amount"), [], 0)


def test_usable_weights_pass():
    frame = mixed(120).assign(amount=lambda table: np.arange(len(table)) + 0.5)
    target, _, findings = validate(frame, replace(SCOPE, weight_column="amount"), [], 0)
    assert target.y.tolist() == labels(frame).tolist()
    assert not [finding for finding in findings if finding.code == "weight-unusable"]


def test_the_scope_says_what_a_class_weight_may_be():
    read = Scope.from_dict
    assert read({"target": {"class_weight": "balanced"}}).class_weight == BALANCED
    assert read({"target": {"class_weight": 5}}).class_weight == 5.0
    for wrong in (0, -1, "heavy", True):
        with pytest.raises(Refused, match=r"class_weight.*'balanced' or a number above 0"):
            read({"target": {"class_weight": wrong}})
    with pytest.raises(Refused, match="class-weight-log-loss"):
        validate(mixed(120), replace(SCOPE, class_weight=2.0, metric="log_loss"), [], 0)
