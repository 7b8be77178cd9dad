"""The MLflow model of a bundle, as models-from-code: MLflow copies this file and runs it when the model is loaded.

Only `fivefold.tracking.mlflow_mirror` names this file; nothing imports it. Beside it in the model folder lie `code/lib` (this package)
and `artifacts/bundle.bin` (the bundle's bytes, checked against the sha256 in the model's configuration).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlflow.models import set_model
from mlflow.pyfunc import PythonModel


class BundleModel(PythonModel):
    """Scores raw rows with a bundle; every cleaning step is the bundle's own."""

    def load_context(self, context: Any) -> None:
        """Read the bundle; raises what `fivefold.model.bundle.from_bytes` raises, for example on a wrong sha256."""
        from fivefold.model.bundle import from_bytes  # at load, from the code/ folder of the model

        sha256 = (context.model_config or {}).get("sha256")
        self.bundle = from_bytes(Path(context.artifacts["bundle"]).read_bytes(), sha256)

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]  # MLflow reads hints as a schema
        """A frame with `probability` (of the positive label, 0 to 1) and `decision`, one row per input row.

        A row that cannot be scored has no probability and an empty decision; the REST service and the app also say
        why. A nullable column may be left out. Raises `Refused` when a column without gaps in training is absent.
        """
        absent = {
            c.name: None
            for c in self.bundle.schema.columns
            if c.used and c.nullable and c.name not in model_input
        }
        scores = self.bundle.score(model_input.assign(**absent))[["probability", "decision"]]
        if scores["probability"].isna().any():  # the REST answer would hold NaN, which is no JSON
            scores["probability"] = (
                scores["probability"].astype(object).where(scores["probability"].notna(), None)
            )
        return scores


set_model(BundleModel())
