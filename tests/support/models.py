"""Bundles over models whose answers can be worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from fivefold.core.scope import Scope
from fivefold.data.coerce import coerce_table
from fivefold.data.infer import infer_schema
from fivefold.model.bundle import Bundle, reference
from fivefold.model.explain import background
from fivefold.model.metadata import Metadata, Outcomes, Provenance
from fivefold.model.threshold import Threshold


class Formula:
    """A pipeline that calculates the probability of each row from its columns."""

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
    """Return a bundle with the schema of `frame` and the model `probability` of expanded rows."""
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
    metadata = Metadata(
        threshold=Threshold(threshold, why="given"),
        outcomes=Outcomes("will stay", "will leave"),
        scope=scope,
        provenance=Provenance("TrainFlow/1", "abc", rows=len(frame)),
        background=background(typed, schema, 0),
    )
    bundle = Bundle(Formula(probability), schema, metadata)
    return changed(bundle, reference=reference(typed, schema, bundle.probability(typed)))


def changed(bundle: Bundle, **fields: Any) -> Bundle:
    """The bundle with other fields of its metadata."""
    return replace(bundle, metadata=replace(bundle.metadata, **fields))
