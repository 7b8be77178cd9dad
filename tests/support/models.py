"""Bundles over models whose answers can be reckoned by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from fivefold.core.scope import Scope
from fivefold.data.coerce import coerce_table
from fivefold.data.infer import infer_schema
from fivefold.model.bundle import Bundle, reference
from fivefold.model.calibration import IDENTITY
from fivefold.model.explain import background


class Formula:
    """A pipeline that reckons the probability of each row from its columns."""

    def __init__(self, probability: Callable[[pd.DataFrame], np.ndarray]):
        self.probability = probability

    def predict_proba(self, rows: pd.DataFrame) -> np.ndarray:
        p = np.asarray(self.probability(rows), dtype=float)
        return np.column_stack([1 - p, p])


def bundle_of(
    frame: pd.DataFrame,
    probability: Callable[[pd.DataFrame], np.ndarray],
    threshold: float = 0.5,
    changeable: tuple[str, ...] = (),
    **more: object,
) -> Bundle:
    """A bundle whose contract is that of `frame` and whose model is `probability` of expanded rows."""
    scope = Scope(
        target="left",
        positive="yes",
        positive_phrase="will leave",
        negative_phrase="will stay",
        changeable_columns=changeable,
        **more,
    )
    schema = infer_schema(
        frame.assign(left=["yes", "no"] * (len(frame) // 2) + ["yes"] * (len(frame) % 2)),
        scope,
        ("no", "yes"),
    )
    typed, _ = coerce_table(frame, schema)
    about = {
        "calibration": IDENTITY,
        "threshold": {"value": threshold, "why": "given"},
        "phrases": ["will stay", "will leave"],
        "scope": scope.to_dict(),
        "provenance": {"pathspec": "TrainFlow/1", "md5": "abc", "rows": len(frame)},
        "evaluation": {"importance": []},
        "reference": {},
        "background": background(typed, schema, 0),
    }
    bundle = Bundle(Formula(probability), schema, about)
    about["reference"] = reference(typed, schema, bundle.probability(typed))
    return bundle
