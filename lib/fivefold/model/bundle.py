"""Bundle: the served thing, as bytes that need no class of ours to be read."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from fivefold.core.findings import ERROR, Finding, Refused, errors, refuse_errors
from fivefold.core.schema import Schema
from fivefold.data.coerce import coerce_columns, compare_columns, compare_names, compare_types
from fivefold.model.calibration import calibrate
from fivefold.model.fast_predict import direct
from fivefold.model.input_warnings import Doubt, doubts, join
from fivefold.model.inputs import expand_columns

FORMAT = 1
# Types beyond skops' own list that the pipelines of `fivefold.training.algorithms` hold. Nothing else is ever loaded.
TRUSTED = (
    "collections.OrderedDict",
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
    "numpy.dtype",
    "sklearn._loss.link.Interval",
    "sklearn._loss.link.LogitLink",
    "sklearn._loss.loss.HalfBinomialLoss",
    "scipy._lib.array_api_compat.numpy._aliases.asarray",
    "scipy.interpolate._bsplines.BSpline",
    "sklearn.model_selection._split.StratifiedKFold",
    "sklearn.tree._tree.Tree",
    "xgboost.core.Booster",
    "xgboost.sklearn.XGBClassifier",
)
SCORE_COLUMNS = ["probability", "decision", "warnings", "error"]
_README = """A Fivefold model bundle, format {format}.
model.skops    the fitted scikit-learn pipeline (skops.io.load)
bundle.json    input contract, calibration, threshold, evaluation, reference, provenance
Trained by {pathspec} on {rows} rows, data md5 {md5}.
"""


@dataclass(frozen=True)
class Bundle:
    """`pipeline` maps expanded rows to scores. `about` is JSON-ready: calibration, threshold, phrases [negative,
    positive], evaluation, reference, provenance.
    """

    pipeline: Any
    schema: Schema
    about: dict[str, Any]

    def probability(self, typed: pd.DataFrame) -> np.ndarray:
        """Calibrated probability of the positive class for typed rows, shape (rows,)."""
        return self._of_columns({name: typed[name].array for name in self.schema.names()})

    def _of_columns(self, typed: Mapping[str, Any]) -> np.ndarray:
        return calibrate(self.about["calibration"], self._model(expand_columns(typed, self.schema)))

    @cached_property
    def _model(self) -> Callable[[Mapping[str, Any]], np.ndarray]:
        return direct(self.pipeline)

    def score(self, frame: pd.DataFrame) -> pd.DataFrame:
        """probability, decision, warnings and error for each row of a raw table, in its order and with its index.

        A row with a cell that cannot be read has an `error` and no probability. Unseen categories, values outside
        the training range and unexpected gaps are scored, with `warnings` ("; " between them). Raises `Refused` with
        the column diff when a column is missing or nothing in it can be read.
        """
        return self.assess(frame)[0]

    def assess(
        self,
        frame: pd.DataFrame,
        rows: int = 10_000,
        progress: Callable[[int, int], None] = lambda done, of: None,
    ) -> tuple[pd.DataFrame, list[Doubt]]:
        """(what `score` gives, the doubts behind its warnings and errors as data).

        The model sees `rows` rows at a time, which bounds its memory; `progress(done, of)` is called after each lot.
        """
        if not all(isinstance(name, str) for name in frame.columns):
            frame = frame.set_axis([str(name) for name in frame.columns], axis=1)
        if errors(
            compare_names(frame, self.schema)
        ):  # rare: then everything that is wrong is looked for
            refuse_errors("The table does not fit the model", compare_columns(frame, self.schema))
        typed, problems = coerce_columns(frame, self.schema)
        refuse_errors(
            "The table does not fit the model", compare_types(frame, self.schema, problems)
        )
        hidden = self.about.get("scope", {}).get(
            "pseudonymised_columns", ()
        )  # notes on these come last
        found = sorted(
            doubts(frame, typed, problems, self.schema), key=lambda doubt: doubt.column in hidden
        )
        wrong, notes = (
            join(len(frame), [d for d in found if (d.severity == ERROR) == is_error])
            for is_error in (True, False)
        )
        good = np.flatnonzero(wrong == "")
        probability = np.full(len(frame), np.nan)
        for start in range(0, len(good), rows):
            lot = good[start : start + rows]
            part = (
                typed
                if len(lot) == len(frame)
                else {name: values[lot] for name, values in typed.items()}
            )
            probability[lot] = self._of_columns(part)
            progress(min(start + rows, len(good)), len(good))
        negative, positive = self.about["phrases"]
        decision = np.where(probability >= self.about["threshold"]["value"], positive, negative)
        return pd.DataFrame(
            {
                "probability": probability,
                "decision": np.where(wrong == "", decision, ""),
                "warnings": notes,
                "error": wrong,
            },
            index=frame.index,
        ), found

    def to_bytes(self) -> bytes:
        """A zip of model.skops, bundle.json and a readable text."""
        import skops.io

        content = {"format": FORMAT, "schema": json.loads(self.schema.to_json()), **self.about}
        source = self.about["provenance"]
        readme = _README.format(
            format=FORMAT,
            pathspec=source.get("pathspec"),
            rows=source.get("rows"),
            md5=source.get("md5"),
        )
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in (
                ("README.txt", readme.encode()),
                ("model.skops", skops.io.dumps(self.pipeline)),
                ("bundle.json", json.dumps(content, indent=1, allow_nan=False).encode()),
            ):
                archive.writestr(zipfile.ZipInfo(name), data, compress_type=zipfile.ZIP_DEFLATED)
        return buffer.getvalue()


def sha256(blob: bytes) -> str:
    """The digest that is kept beside a bundle."""
    return hashlib.sha256(blob).hexdigest()


def from_bytes(blob: bytes, expected_sha256: str | None = None) -> Bundle:
    """The bundle in `blob`. Raises `Refused` when the digest differs, the file is damaged, its format is not ours,
    or the model holds a type that is not in `TRUSTED`; nothing of the model is loaded before these checks.
    """
    import skops.io

    if expected_sha256 is not None and sha256(blob) != expected_sha256:
        raise _refused(
            "bundle-digest",
            f"sha256 {sha256(blob)[:12]}…",
            f"sha256 {expected_sha256[:12]}…",
            "the file was changed or damaged: take it from its run again",
        )
    try:
        with zipfile.ZipFile(io.BytesIO(blob)) as archive:
            content, model = (
                dict(json.loads(archive.read("bundle.json"))),
                archive.read("model.skops"),
            )
        if content.pop("format", None) != FORMAT:
            raise _refused(
                "bundle-format",
                "another format",
                f"format {FORMAT}",
                "score with the version that trained it",
            )
        if foreign := sorted(set(skops.io.get_untrusted_types(data=model)) - set(TRUSTED)):
            raise _refused(
                "bundle-untrusted",
                ", ".join(foreign),
                "only known model types",
                "do not load this file",
            )
        schema = Schema.from_json(json.dumps(content.pop("schema")))
        return Bundle(skops.io.loads(model, trusted=list(TRUSTED)), schema, content)
    except Refused:
        raise
    except Exception as broken:  # what a damaged zip raises depends on where it is damaged
        found = str(broken) or type(broken).__name__
        raise _refused(
            "bundle-damaged", found, "a bundle of this project", "take it from its run again"
        ) from None


def reference(typed: pd.DataFrame, schema: Schema, q: np.ndarray) -> dict[str, Any]:
    """What the training rows looked like, for later comparison: percentiles of scores and numbers, level shares.

    `q`: out-of-fold calibrated probabilities of the training rows.
    """
    grid = np.linspace(0, 100, 101)
    columns: dict[str, Any] = {}
    for name in schema.names("numeric", "categorical", "boolean"):
        present = typed[name].dropna()
        missing = round(1 - len(present) / max(1, len(typed)), 6)
        if schema[name].kind == "numeric":
            percentiles = np.percentile(present, grid).tolist() if len(present) else []
            columns[name] = {"missing": missing, "percentiles": percentiles}
        else:
            shares = present.astype("str").value_counts(normalize=True).head(50)
            columns[name] = {
                "missing": missing,
                "levels": {str(k): round(float(v), 6) for k, v in shares.items()},
            }
    return {
        "rows": len(typed),
        "scored": len(q),
        "scores": np.percentile(q, grid).tolist(),
        "columns": columns,
    }


def _refused(code: str, found: str, expected: str, action: str) -> Refused:
    return Refused(
        "The model cannot be loaded",
        [
            Finding(
                code=code,
                severity=ERROR,
                subject="bundle",
                found=found,
                expected=expected,
                action=action,
            )
        ],
    )
