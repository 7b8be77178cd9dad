"""Metadata: what a bundle says of its model; each type knows its keys in bundle.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from fivefold.core.scope import Scope
from fivefold.core.stored import known_fields
from fivefold.model.calibration import IDENTITY, Calibration
from fivefold.model.evaluation import Evaluation
from fivefold.model.threshold import Threshold


@dataclass(frozen=True)
class Outcomes:
    """How the scope words the two classes, for example "will stay" and "will leave"."""

    negative: str = "negative"
    positive: str = "positive"

    def of(self, is_positive: bool) -> str:
        """Return the words for one decision."""
        return self.positive if is_positive else self.negative


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
class ColumnReference:
    """One training column: share of missing cells, and percentiles or shares of levels."""

    missing: float = 0.0
    percentiles: Sequence[float] | None = None
    levels: Mapping[str, float] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the keys of bundle.json; a column has percentiles or levels, never both."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class Reference:
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

    def to_dict(self) -> dict[str, Any]:
        """Return the keys of bundle.json."""
        columns = {name: column.to_dict() for name, column in self.columns.items()}
        return {
            "rows": self.rows,
            "scored": self.scored,
            "scores": list(self.scores),
            "columns": columns,
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Reference:
        """Read what `to_dict` wrote; older bundles have no `scored`, it is the number of rows."""
        columns = stored.get("columns", {})
        typed = {name: ColumnReference(**column) for name, column in columns.items()}
        return cls(**{"scored": stored.get("rows", 0), **stored, "columns": typed})


@dataclass(frozen=True)
class Refit:
    """The fit on all labelled rows that is served instead of the evaluated model.

    `judged_sha256` is the digest of the evaluated bundle; `members` are the fitted models.
    """

    rows: int
    judged_sha256: str = ""
    members: Sequence[Mapping[str, Any]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return the keys of bundle.json."""
        return {
            "rows": self.rows,
            "members": list(self.members),
            "judged_sha256": self.judged_sha256,
        }


@dataclass(frozen=True)
class Metadata:
    """Everything in a bundle beside the fitted model and its schema.

    `evaluation` is None before the model was evaluated, `refit` is None where the evaluated model
    itself is served. `params`, `members` and `features` record how the model was made;
    `background` holds training rows for explanations.
    """

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

    @property
    def auc(self) -> Mapping[str, Any] | None:
        """The held-out ROC AUC with its interval, None before the evaluation."""
        return self.evaluation.auc if self.evaluation else None

    @property
    def importance(self) -> dict[str, float]:
        """The permutation importance of each measured column, empty before the evaluation."""
        lines = self.evaluation.importance if self.evaluation else ()
        return {line.column: line.mean for line in lines}

    @property
    def rows_served(self) -> int:
        """The number of rows that the served model was fitted on."""
        return self.refit.rows if self.refit else self.rows_fitted

    def with_threshold(self, value: float, why: str) -> Metadata:
        """Return a copy that decides at another threshold."""
        return replace(self, threshold=replace(self.threshold, value=value, why=why))

    def to_dict(self) -> dict[str, Any]:
        """Return the keys of bundle.json, JSON-ready."""
        stored = {f.name: getattr(self, f.name) for f in fields(self)}
        stored["phrases"] = [self.outcomes.negative, self.outcomes.positive]
        for name in ("members", "background"):
            stored[name] = list(stored[name])
        for name in ("calibration", "threshold", "scope", "reference"):
            stored[name] = stored[name].to_dict()
        stored["provenance"] = asdict(self.provenance)
        stored["evaluation"] = self.evaluation.to_dict() if self.evaluation else {}
        refit = stored.pop("refit")
        if refit:
            stored["refit"] = refit.to_dict()
        del stored["outcomes"]
        return stored

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Metadata:
        """Read what `to_dict` wrote, also in an older version that lacks some keys."""
        values = known_fields(cls, stored)
        if "phrases" in stored:
            values["outcomes"] = Outcomes(*stored["phrases"])
        types: dict[str, Any] = {
            "calibration": Calibration,
            "threshold": Threshold,
            "scope": Scope,
            "reference": Reference,
        }
        for name, kind in types.items():
            if name in values:
                values[name] = kind.from_dict(values[name])
        if "provenance" in values:
            values["provenance"] = Provenance(**known_fields(Provenance, values["provenance"]))
        evaluation = stored.get("evaluation")
        values["evaluation"] = Evaluation.from_dict(evaluation) if evaluation else None
        values["refit"] = Refit(**stored["refit"]) if "refit" in stored else None
        return cls(**values)
