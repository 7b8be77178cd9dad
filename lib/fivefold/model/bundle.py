"""Bundle: a model ready to score, kept as bytes that need no class of ours to be read."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from fivefold.core.findings import Refused, errors, refusal, refuse_errors
from fivefold.core.schema import Schema
from fivefold.data.coerce import coerce_columns, compare_columns, compare_names, compare_types
from fivefold.model.fast_predict import fast_predictor
from fivefold.model.input_warnings import InputWarning, find_warnings, severity_texts
from fivefold.model.inputs import arrays, expand_columns
from fivefold.model.metadata import ColumnReference, Metadata, Reference
from fivefold.model.trusted import TRUSTED

FORMAT = 1
SCORE_COLUMNS = ["probability", "decision", "warnings", "error"]
MISFIT = "The table does not fit the model"
MOST_LEVELS = 50  # levels of a category whose shares a bundle keeps
BATCH_ROWS = 10_000  # that the model sees at a time, which bounds its memory
_README = """A Fivefold model bundle, format {format}.
model.skops    the fitted scikit-learn pipeline (skops.io.load)
bundle.json    input contract, calibration, threshold, evaluation, reference, provenance
Trained by {source.pathspec} on {source.rows} rows, data md5 {source.md5}.
"""


class Assessment(NamedTuple):
    """The scores of a table (`Bundle.score`) and the warnings behind their texts."""

    scores: pd.DataFrame
    warnings: list[InputWarning]

    def part(self, start: int, stop: int) -> Assessment:
        """Return the rows `start` to `stop`."""
        parts = [warning.part(start, stop) for warning in self.warnings]
        inside = [warning for warning in parts if len(warning.rows)]
        return Assessment(self.scores.iloc[start:stop], inside)


def refused_assessment(columns: Sequence[str]) -> Assessment:
    """Return the assessment of one row that lacks values of these columns and is not scored."""
    warnings = [InputWarning(name, "needed", np.array([0])) for name in columns]
    error, texts = severity_texts(1, warnings)
    row = {"probability": np.nan, "decision": "", "warnings": texts, "error": error}
    return Assessment(pd.DataFrame(row), warnings)


@dataclass(frozen=True)
class Bundle:
    """A fitted pipeline, the schema of its input and its metadata.

    `pipeline` maps expanded rows to scores (`fivefold.model.inputs.expand`).
    """

    pipeline: Any
    schema: Schema
    metadata: Metadata

    def with_threshold(self, value: float, why: str) -> Bundle:
        """Return the same model with another threshold."""
        threshold = replace(self.metadata.threshold, value=value, why=why)
        return replace(self, metadata=replace(self.metadata, threshold=threshold))

    def probability(self, typed: pd.DataFrame) -> np.ndarray:
        """Return calibrated probabilities of the positive class for typed rows, shape (rows,)."""
        return self._probability(arrays(typed, self.schema))

    def _probability(self, typed: Mapping[str, Any]) -> np.ndarray:
        scores = self._predict(expand_columns(typed, self.schema))
        return self.metadata.calibration.apply(scores)

    @cached_property
    def _predict(self) -> Callable[[Mapping[str, Any]], np.ndarray]:
        return fast_predictor(self.pipeline)

    def score(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Score a raw table.

        Parameters
        ----------
        frame
            Raw rows, as a file or a request gives them.

        Returns
        -------
        DataFrame
            The columns probability, decision, warnings and error, with the rows and index of
            `frame`. A row with an unreadable cell has an error and no probability. Unseen
            categories, values outside the training range and unexpected missing values are
            scored, with warnings as text.

        Raises
        ------
        Refused
            With the differences to the schema, where a column is missing or unreadable.
        """
        return self.assess(frame).scores

    def assess(
        self, frame: pd.DataFrame, progress: Callable[[int, int], None] = lambda done, of: None
    ) -> Assessment:
        """Return what `score` returns and the warnings behind its texts.

        `progress(done, of)` is called after each batch of `BATCH_ROWS` rows.
        """
        if not all(isinstance(name, str) for name in frame.columns):
            frame = frame.rename(columns=str)
        # Names are compared first: reading every cell to find all differences takes longer.
        if errors(compare_names(frame, self.schema)):
            refuse_errors(MISFIT, compare_columns(frame, self.schema))
        typed, problems = coerce_columns(frame, self.schema)
        refuse_errors(MISFIT, compare_types(frame, self.schema, problems))
        # Warnings on pseudonymised columns come last.
        hidden = self.metadata.scope.pseudonymised_columns
        warnings = find_warnings(frame, typed, problems, self.schema)
        warnings.sort(key=lambda warning: warning.column in hidden)
        error, warning = severity_texts(len(frame), warnings)
        readable = np.flatnonzero(error == "")
        probability = np.full(len(frame), np.nan)
        for start in range(0, len(readable), BATCH_ROWS):
            batch = readable[start : start + BATCH_ROWS]
            part = typed
            if len(batch) < len(frame):
                part = {name: values[batch] for name, values in typed.items()}
            probability[batch] = self._probability(part)
            progress(start + len(batch), len(readable))
        outcomes = self.metadata.outcomes
        positive = self.metadata.threshold.is_positive(probability)
        decision = np.where(positive, outcomes.positive, outcomes.negative)
        columns = {
            "probability": probability,
            "decision": np.where(error == "", decision, ""),
            "warnings": warning,
            "error": error,
        }
        return Assessment(pd.DataFrame(columns, index=frame.index), warnings)

    def to_bytes(self) -> bytes:
        """Return a zip of model.skops, bundle.json and a readable text."""
        import skops.io

        schema = self.schema.to_dict()
        content = {"format": FORMAT, "schema": schema, **self.metadata.to_dict()}
        readme = _README.format(format=FORMAT, source=self.metadata.provenance)
        parts = {
            "README.txt": readme.encode(),
            "model.skops": skops.io.dumps(self.pipeline),
            "bundle.json": json.dumps(content, indent=1, allow_nan=False).encode(),
        }
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, data in parts.items():
                archive.writestr(zipfile.ZipInfo(name), data, compress_type=zipfile.ZIP_DEFLATED)
        return buffer.getvalue()


def sha256(blob: bytes) -> str:
    """Return the digest that is kept beside a bundle."""
    return hashlib.sha256(blob).hexdigest()


def from_bytes(blob: bytes, expected_sha256: str | None = None, with_model: bool = True) -> Bundle:
    """Read a bundle.

    Nothing of the model is loaded before the digest, the format and the types are checked.

    Parameters
    ----------
    with_model
        False leaves out the pipeline, which takes longest: schema and metadata are enough to
        check a table.

    Raises
    ------
    Refused
        Where the digest differs, the file is damaged or of another format, or the model holds a
        type that is not in `TRUSTED`.
    """
    digest = sha256(blob)
    if expected_sha256 is not None and digest != expected_sha256:
        raise _refusal(
            "bundle-digest",
            f"sha256 {digest[:12]}…",
            f"sha256 {expected_sha256[:12]}…",
            "the file was changed or damaged: take it from its run again",
        )
    try:
        return _read(blob, with_model)
    except Refused:
        raise
    except Exception as broken:  # what a damaged zip raises depends on where it is damaged
        reason = str(broken) or type(broken).__name__
        raise _refusal(
            "bundle-damaged", reason, "a bundle of this project", "take it from its run again"
        ) from None


def _read(blob: bytes, with_model: bool) -> Bundle:
    with zipfile.ZipFile(io.BytesIO(blob)) as archive:
        content, model = json.loads(archive.read("bundle.json")), archive.read("model.skops")
    if content.get("format") != FORMAT:
        raise _refusal(
            "bundle-format",
            "another format",
            f"format {FORMAT}",
            "score with the version that trained it",
        )
    pipeline = _load_model(model) if with_model else None
    return Bundle(pipeline, Schema.from_dict(content["schema"]), Metadata.from_dict(content))


def _load_model(model: bytes) -> Any:
    import skops.io

    foreign = sorted(set(skops.io.get_untrusted_types(data=model)) - set(TRUSTED))
    if foreign:
        raise _refusal(
            "bundle-untrusted",
            ", ".join(foreign),
            "only known model types",
            "do not load this file",
        )
    return skops.io.loads(model, trusted=list(TRUSTED))


def _refusal(code: str, found: str, expected: str, action: str) -> Refused:
    return refusal(
        "The model cannot be loaded",
        code=code,
        subject="bundle",
        found=found,
        expected=expected,
        action=action,
    )


def reference(typed: pd.DataFrame, schema: Schema, probability: np.ndarray) -> Reference:
    """Summarise training rows for later comparison: percentiles of numbers, shares of levels.

    Parameters
    ----------
    typed
        Typed training rows.
    probability
        Calibrated out-of-fold probabilities, shape (scored rows,).
    """
    names = schema.names("numeric", "categorical", "boolean")
    return Reference(
        rows=len(typed),
        scored=len(probability),
        scores=_percentiles(probability),
        columns={name: _column_reference(typed[name], schema[name].kind) for name in names},
    )


def _column_reference(values: pd.Series, kind: str) -> ColumnReference:
    present = values.dropna()
    missing = round(1 - len(present) / max(1, len(values)), 6)
    if kind == "numeric":
        return ColumnReference(missing, _percentiles(present) if len(present) else [])
    shares = present.astype("str").value_counts(normalize=True).head(MOST_LEVELS)
    levels = {str(level): round(float(share), 6) for level, share in shares.items()}
    return ColumnReference(missing, levels=levels)


def _percentiles(values: np.ndarray | pd.Series) -> list[float]:
    return list(np.percentile(values, np.linspace(0, 100, 101)).tolist())
