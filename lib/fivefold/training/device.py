"""Device: whether boosted models can be fitted on the accelerator that was asked for."""

from __future__ import annotations

from functools import cache

import numpy as np

from fivefold.training.algorithms import ALGORITHMS


@cache
def usable_device(device: str, algorithm: str) -> tuple[str, str]:
    """Return the device to fit on, and the reason if it is not the requested one.

    A tiny fit tests the device. The reason is "" if the device can be used.
    """
    entry = ALGORITHMS[algorithm]
    library = entry.boosted
    if device == "cpu" or library is None or not library.has_devices:
        return "cpu", ""
    x, y = np.arange(64.0).reshape(32, 2), np.arange(32) % 2
    try:
        library.check_device(device)
        model = library.set_rounds(entry.build(entry.defaults[0], 0, 1, "qq"), 2)
        entry.fit(library.use_device(model, device), x, y, "qq")
    except Exception as error:  # each library and driver raises its own kind
        lines = str(error).strip().splitlines() or [type(error).__name__]
        asked = f"--device {device} was asked for, but {lines[0][:200]}"
        return "cpu", f"{entry.title} is fitted on the processor: {asked}"
    return device, ""
