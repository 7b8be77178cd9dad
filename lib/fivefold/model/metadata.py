"""Metadata: what a bundle says of its model; each type knows its keys in bundle.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Self

from fivefold.core.scope import Scope
from fivefold.core.stored import Stored
from fivefold.model.calibration import IDENTITY, Calibration
from fivefold.model.evaluation import Evaluation
from fivefold.model.monotone import MonotoneCheck
from fivefold.model.threshold import Threshold
from fivefold.model.words import WordEffect


class Outcomes(NamedTuple):
    """How the scope words the two classes, for example "will stay" and "will leave"."""

    negative: str = "negative"
    positive: str = "positive"


@dataclass(frozen=True)
class Provenance:
    """Where a model comes from: run, data and package versions."""

    pathspec: str = ""
    md5: str = ""
    source: str = ""
    rows: int | None = None
    revision: Mapping[str, Any] = field(default_factory=dict)
    started: str | None = None
    seed: int = 0
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ColumnReference(Stored):
    """One training column: share of missing cells, and percentiles or shares of levels."""

    leaves_out_none: ClassVar[bool] = True
    missing: float = 0.0
    percentiles: Sequence[float] | None = None
    levels: Mapping[str, float] | None = None


@dataclass(frozen=True)
class Reference(Stored):
    """What the training rows looked like.

    Parameters
    ----------
    rows
        Number of training rows.
    scored
        Number of rows behind `scores`.
    scores
        101 percentiles of the calibrated out-of-fold probabilities.
    columns
        A `ColumnReference` for each column of numbers or categories.
    """

    rows: int = 0
    scored: int = 0
    scores: Sequence[float] = field(default_factory=list)
    columns: Mapping[str, ColumnReference] = field(default_factory=dict)

    def column(self, name: str) -> ColumnReference:
        """Return what is known of a column, empty for an unknown one."""
        return self.columns.get(name, ColumnReference())

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote; older bundles have no `scored`, it is the number of rows."""
        return super().from_dict({"scored": stored.get("rows", 0), **stored})


@dataclass(frozen=True)
class Refit:
    """The fit on all labelled rows that is served instead of the evaluated model.

    `judged_sha256` is the digest of the evaluated bundle; `members` are the fitted models.
    """

    rows: int
    judged_sha256: str = ""
    members: Sequence[Mapping[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Metadata(Stored):
    """Everything in a bundle beside the fitted model and its schema.

    `evaluation` is None before the model was evaluated, `refit` is None where the evaluated model
    itself is served. `params`, `members` and `features` record how the model was made;
    `background` holds training rows for explanations. `given_up` says what the time did not allow,
    `monotone` whether the served model follows the directions of the scope,
    `words` which words of free texts move the evaluated model.
    """

    stored_as: ClassVar = {"outcomes": "phrases"}
    algorithm: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    rounds: int | None = None
    members: Sequence[Mapping[str, Any]] = field(default_factory=list)
    rows_fitted: int = 0
    rows_training: int = 0
    calibration: Calibration = IDENTITY
    threshold: Threshold = field(default_factory=Threshold)
    outcomes: Outcomes = field(default_factory=Outcomes)
    scope: Scope = field(default_factory=Scope)
    features: Mapping[str, Any] = field(default_factory=dict)
    reference: Reference = field(default_factory=Reference)
    background: Sequence[Mapping[str, Any]] = field(default_factory=list)
    provenance: Provenance = field(default_factory=Provenance)
    evaluation: Evaluation | None = None
    refit: Refit | None = None
    given_up: Sequence[str] = field(default_factory=list)
    monotone: Sequence[MonotoneCheck] = field(default_factory=list)
    words: Sequence[WordEffect] = field(default_factory=list)

    @property
    def auc(self) -> Mapping[str, Any] | None:
        """The held-out ROC AUC with its interval, None before the evaluation."""
        return self.evaluation.auc if self.evaluation else None

    @property
    def cautions(self) -> list[str]:
        """What has to stand beside the figures of the model."""
        return self.evaluation.cautions if self.evaluation else []

    @property
    def decides_nothing(self) -> str:
        """A sentence where the threshold in force flagged nobody or everybody, else nothing."""
        evaluation = self.evaluation
        if evaluation is None or evaluation.threshold.value != self.threshold.value:
            return ""
        return evaluation.decides_nothing

    @property
    def importance(self) -> dict[str, float]:
        """The permutation importance of each measured column, empty before the evaluation."""
        lines = self.evaluation.importance if self.evaluation else ()
        return {line.column: line.mean for line in lines}

    def to_dict(self) -> dict[str, Any]:
        """Return the keys of bundle.json, JSON-ready."""
        stored = super().to_dict()
        stored["evaluation"] = stored["evaluation"] or {}
        if self.refit is None:
            del stored["refit"]
        return stored

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote, also in an older version that lacks some keys."""
        values = {**stored, "evaluation": stored.get("evaluation") or None}
        if "phrases" in stored:
            values["phrases"] = Outcomes(*stored["phrases"])
        return super().from_dict(values)
