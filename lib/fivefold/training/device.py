"""Device: where boosted models are fitted: the processor, or an accelerator where one was asked for and answers."""

from __future__ import annotations

from functools import cache
from typing import Any


@cache
def usable(asked: str, algorithm: str) -> tuple[str, str]:
    """("cpu" or "cuda", why it is not the one that was asked for, or ""). Found out by a tiny fit in this process."""
    if asked == "cpu" or algorithm not in ("xgboost", "lightgbm"):
        return "cpu", ""
    import numpy as np

    from fivefold.training.algorithms import ALGORITHMS, fit, xgboost_has_cuda

    entry = ALGORITHMS[algorithm]
    x, y = np.arange(64.0).reshape(32, 2), np.arange(32) % 2
    model = entry.build(dict(entry.defaults[0]), 0, 1, "qq")
    try:
        if (
            algorithm == "xgboost" and not xgboost_has_cuda()
        ):  # it would fit on the processor, with a warning only
            raise RuntimeError(
                "this build of XGBoost has no CUDA (the package xgboost has, xgboost-cpu has not)"
            )
        fit(place(model.set_params(n_estimators=2), asked), x, y, "qq")
    except Exception as refused:  # each library and driver raises its own kind
        told = (str(refused).strip().splitlines() or [type(refused).__name__])[0]
        return (
            "cpu",
            f"{entry.title} is fitted on the processor: --device {asked} was asked for, but {told[:200]}",
        )
    return asked, ""


def place(model: Any, device: str) -> Any:
    """The unfitted model, set to be fitted on this device; one that knows no devices is left as it is."""
    name = type(model).__name__
    if device != "cpu" and name == "XGBClassifier":
        model.set_params(device=device)
    if device != "cpu" and name == "LGBMClassifier":
        model.set_params(device_type=device)
    return model


def release(model: Any) -> Any:
    """The fitted model, set to predict on the processor: a bundle is served on machines without an accelerator."""
    if type(model).__name__ == "XGBClassifier" and model.get_params().get("device") not in (
        None,
        "cpu",
    ):
        model.set_params(device="cpu")
    return model
