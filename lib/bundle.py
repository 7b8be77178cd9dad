"""Bundle: the served thing, as bytes that need no class of ours to be read."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lib.calibration import calibrate
from lib.conform import compare_columns, conform
from lib.features import expand
from lib.findings import ERROR, Finding, Refused, refuse_errors
from lib.kinds import days
from lib.schema import Column, Schema, from_json

FORMAT = 1
# Types beyond skops' own list that the pipelines of `lib.algorithms` hold. Nothing else is ever loaded.
TRUSTED = (
    "collections.OrderedDict", "lightgbm.basic.Booster", "lightgbm.sklearn.LGBMClassifier", "numpy.dtype",
    "sklearn._loss.link.Interval", "sklearn._loss.link.LogitLink", "sklearn._loss.loss.HalfBinomialLoss",
    "scipy._lib.array_api_compat.numpy._aliases.asarray", "scipy.interpolate._bsplines.BSpline",
    "sklearn.model_selection._split.StratifiedKFold", "sklearn.tree._tree.Tree",
    "xgboost.core.Booster", "xgboost.sklearn.XGBClassifier",
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
        scores = self.pipeline.predict_proba(expand(typed, self.schema))[:, 1]
        return calibrate(self.about["calibration"], scores)

    def score(self, frame: pd.DataFrame) -> pd.DataFrame:
        """probability, decision, warnings and error for each row of a raw table, in its order and with its index.

        A row with a cell that cannot be read has an `error` and no probability. Unseen categories, values outside
        the training range and unexpected gaps are scored, with `warnings` ("; " between them). Raises `Refused` with
        the column diff when a column is missing or nothing in it can be read.
        """
        frame = frame.set_axis([str(name) for name in frame.columns], axis=1)
        refuse_errors("The table does not fit the model", compare_columns(frame, self.schema))
        typed, problems = conform(frame, self.schema)
        flags = [*_problem_flags(problems), *_row_flags(frame, typed, self.schema)]
        errors = _join(len(frame), [(rows, text) for severity, rows, text in flags if severity == ERROR])
        notes = _join(len(frame), [(rows, text) for severity, rows, text in flags if severity != ERROR])
        good = errors == ""
        probability = np.full(len(frame), np.nan)
        if good.any():
            probability[good] = self.probability(typed[good])
        negative, positive = self.about["phrases"]
        decision = np.where(probability >= self.about["threshold"]["value"], positive, negative)
        return pd.DataFrame({"probability": probability, "decision": np.where(good, decision, ""), "warnings": notes,
                             "error": errors}, index=frame.index)

    def to_bytes(self) -> bytes:
        """A zip of model.skops, bundle.json and a readable text."""
        import skops.io

        content = {"format": FORMAT, "schema": json.loads(self.schema.to_json()), **self.about}
        source = self.about["provenance"]
        readme = _README.format(format=FORMAT, pathspec=source.get("pathspec"), rows=source.get("rows"),
                                md5=source.get("md5"))
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in (("README.txt", readme.encode()), ("model.skops", skops.io.dumps(self.pipeline)),
                               ("bundle.json", json.dumps(content, indent=1, allow_nan=False).encode())):
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
        raise _refused("bundle-digest", f"sha256 {sha256(blob)[:12]}…", f"sha256 {expected_sha256[:12]}…",
                       "the file was changed or damaged: take it from its run again")
    try:
        with zipfile.ZipFile(io.BytesIO(blob)) as archive:
            content, model = dict(json.loads(archive.read("bundle.json"))), archive.read("model.skops")
        if content.pop("format", None) != FORMAT:
            raise _refused("bundle-format", "another format", f"format {FORMAT}",
                           "score with the version that trained it")
        if foreign := sorted(set(skops.io.get_untrusted_types(data=model)) - set(TRUSTED)):
            raise _refused("bundle-untrusted", ", ".join(foreign), "only known model types", "do not load this file")
        schema = from_json(json.dumps(content.pop("schema")))
        return Bundle(skops.io.loads(model, trusted=list(TRUSTED)), schema, content)
    except Refused:
        raise
    except Exception as broken:  # what a damaged zip raises depends on where it is damaged
        found = str(broken) or type(broken).__name__
        raise _refused("bundle-damaged", found, "a bundle of this project", "take it from its run again") from None


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
            columns[name] = {"missing": missing, "levels": {str(k): round(float(v), 6) for k, v in shares.items()}}
    return {"rows": len(typed), "scores": np.percentile(q, grid).tolist(), "columns": columns}


def _problem_flags(problems: pd.DataFrame) -> list[tuple[str, np.ndarray, Any]]:
    flags = []
    for (column, code), cells in problems.groupby(["column", "code"], sort=False):
        severity = "warning" if code == "not-yes-or-no" else ERROR
        text = [f"{column}: {value!r} is {_CODES[str(code)]}" for value in cells["value"]]
        flags.append((severity, cells["row"].to_numpy(dtype=int), text))
    return flags


_CODES = {"not-a-number": "not a number", "infinite": "not finite", "not-a-date": "not a date",
          "not-yes-or-no": "neither yes nor no, taken as missing"}


def _row_flags(frame: pd.DataFrame, typed: pd.DataFrame, schema: Schema) -> list[tuple[str, np.ndarray, Any]]:
    """(severity, rows, one text or one per row) for each kind of doubt about each column."""
    flags: list[tuple[str, np.ndarray, Any]] = []
    for name in schema.names():
        column, values = schema[name], typed[name]
        gone = frame[name].isna().to_numpy()
        if not column.nullable and gone.any():
            flags.append(("warning", np.flatnonzero(gone), f"{name}: missing, which training never saw"))
        if column.kind == "numeric" and column.low is not None and column.high is not None:
            outside = ((values < column.low) | (values > column.high)).to_numpy()
            rows = np.flatnonzero(outside)
            known = f"is outside the training range {column.low:g} to {column.high:g}"
            flags.append(("warning", rows, [f"{name}: {v:g} {known}" for v in values.to_numpy()[rows]]))
        if column.kind == "date" and column.low is not None and column.high is not None:
            span, when = column.high - column.low + 365, days(values)  # later dates are usual, far ones are mistakes
            rows = np.flatnonzero((when < column.low - span) | (when > column.high + span))
            far = [f"{name}: {v:%Y-%m-%d} is far from the dates in training" for v in values.iloc[rows]]
            flags.append(("warning", rows, far))
        if column.kind == "categorical" and _all_known(column):
            rows = np.flatnonzero(~values.isin(column.levels).to_numpy() & ~gone)
            unseen = [f"{name}: {str(v)[:80]!r} was not seen in training" for v in values.iloc[rows]]
            flags.append(("warning", rows, unseen))
    return flags


def _all_known(column: Column) -> bool:
    return column.distinct <= len(column.levels)


def _join(rows: int, flags: list[tuple[np.ndarray, Any]]) -> np.ndarray:
    texts = np.full(rows, "", dtype=object)
    for where, text in flags:
        for i, row in enumerate(where):
            one = text if isinstance(text, str) else text[i]
            texts[row] = f"{texts[row]}; {one}" if texts[row] else one
    return texts


def _refused(code: str, found: str, expected: str, action: str) -> Refused:
    return Refused("The model cannot be loaded", [Finding(code, ERROR, "bundle", found, expected, action)])
