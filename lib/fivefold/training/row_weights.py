"""Row weights: how much each row counts in a fit, by the scope's column and class weight."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fivefold.core.findings import ERROR, WARNING, Finding, problem
from fivefold.core.schema import Schema
from fivefold.core.scope import BALANCED, LOG_LOSS, Scope
from fivefold.data.parsing import to_numbers
from fivefold.data.splits import Split

ORDERED_KINDS = ("numeric", "boolean")


def row_weights(
    frame: pd.DataFrame, scope: Scope, schema: Schema, y: np.ndarray, fold_ids: np.ndarray
) -> np.ndarray | None:
    """Return the weight of each row, shape (rows,), with mean 1 over training rows; None for equal.

    The class weight multiplies the weights of positive rows; balanced, both classes of the training
    rows then have the same sum. Labels of held-out rows have no part in it.

    References
    ----------
    King and Zeng 2001, "Logistic regression in rare events data", section 4.2.
    """
    if not scope.weight_column and scope.class_weight is None:
        return None
    weights = np.ones(len(y))
    if scope.weight_column:
        weights = _numbers(frame, scope.weight_column, schema)
    training = Split(fold_ids).training_rows
    share = scope.class_weight
    if share == BALANCED:
        positive = y[training] == 1
        share = weights[training][~positive].sum() / weights[training][positive].sum()
    weights = weights * np.where(y == 1, share or 1.0, 1.0)
    return np.asarray(weights / weights[training].mean())


def demand_findings(frame: pd.DataFrame, scope: Scope, schema: Schema) -> list[Finding]:
    """Return an error for each weight or direction of the scope that a fit cannot keep."""
    findings = []
    name = scope.weight_column
    if name and name == scope.target:
        found, action = "the target as a weight", "name another column"
        findings.append(problem("weight-unusable", name, found, "another column", action))
    elif name and name in frame.columns:
        weights = _numbers(frame, name, schema)
        unusable = int((~np.isfinite(weights) | (weights < 0)).sum())
        if unusable or not weights.sum() > 0:
            found = f"{unusable:,} cells that are empty, below 0 or no number"
            if not unusable:
                found = "only zeros"
            expected, action = "a number of 0 or more in each row", "fill or correct the column"
            findings.append(problem("weight-unusable", name, found, expected, action))
    if scope.class_weight is not None and scope.metric == LOG_LOSS:
        found = "a class weight and the choice by log-loss"
        expected = "one of them: log-loss rewards the real rates, which class weights move"
        action = "remove [target] class_weight, or choose by roc_auc or pr_auc"
        findings.append(problem("class-weight-log-loss", "scope", found, expected, action))
    for name in scope.monotone:
        if name in frame.columns and name != schema.target:
            findings += _direction_findings(name, schema)
    return findings


def _direction_findings(name: str, schema: Schema) -> list[Finding]:
    column = schema[name]
    line = f"the line {name} of [columns.monotone]"
    if not column.used:
        found, action = f"a column that the model does not see ({column.why})", f"remove {line}"
        return [problem("monotone-unused", name, found, "a used column", action, WARNING)]
    if column.kind in ORDERED_KINDS:
        return []
    expected = "numbers or yes/no, whose order a model can follow"
    action = f"remove {line}, or state its kind in [columns.kinds]"
    found = f"a column of kind {column.kind}"
    return [problem("monotone-kind", name, found, expected, action, ERROR)]


def _numbers(frame: pd.DataFrame, name: str, schema: Schema) -> np.ndarray:
    column = schema[name]
    kind = column.kind if column.kind in ORDERED_KINDS else "numeric"
    return np.asarray(to_numbers(frame[name], kind, dict(column.parse)), dtype="float64")
