"""The MLflow model of a bundle, as models-from-code: MLflow copies this file and runs the copy.

Only `fivefold.tracking.mlflow_model` names this file; nothing imports it. Beside it in the model's
folder lie `code/fivefold` (this package) and `artifacts/bundle.bin` (the bundle's bytes, checked
against the sha256 in the model's configuration).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlflow import pyfunc
from mlflow.models import set_model

_mlflow: Any = pyfunc


class BundleModel(_mlflow.PythonModel):  # type: ignore[misc]  # MLflow's class has no types
    """Scores raw rows with a bundle; every cleaning step is the bundle's own."""

    def load_context(self, context: Any) -> None:
        """Read the bundle; raises what `fivefold.model.bundle.from_bytes` raises."""
        from fivefold.model.bundle import from_bytes  # at load, from the code/ folder of the model

        sha256 = (context.model_config or {}).get("sha256")
        self.bundle = from_bytes(Path(context.artifacts["bundle"]).read_bytes(), sha256)

    # MLflow reads type hints as a schema
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        """Score raw rows.

        Parameters
        ----------
        model_input
            A data frame of raw rows, with any types that pandas gives them; an optional column
            (`fivefold.model.bundle.optional_columns`) may be left out.

        Returns
        -------
        DataFrame
            `probability` (of the positive label, 0 to 1), `decision`, `warnings` and `error`, one
            row per input row. A row that cannot be scored has no probability, an empty decision,
            and an error that says why.

        Raises
        ------
        Refused
            A column is absent that is not optional, or cannot be read.
        """
        from fivefold.data.cells import frame_cells

        table = model_input.copy(deep=False)
        for column in self.bundle.schema.columns:
            if column.used and column.name in table:
                table[column.name] = frame_cells(table[column.name], column)
        scores = self.bundle.score(table)
        probability = scores["probability"]
        if probability.isna().any():  # the REST answer would hold NaN, which is no JSON
            scores["probability"] = probability.astype(object).where(probability.notna(), None)
        return scores


set_model(BundleModel())
