"""Who mirrors a run to MLflow: its launcher after the end, or its own step."""

from __future__ import annotations

from types import SimpleNamespace

import launch
import pytest

from fivefold.core.settings import MIRRORED_AFTER


@pytest.mark.parametrize(
    ("storage", "setting", "expected"),
    [("local", "1", True), ("local", None, False), ("s3", "1", False)],
)
def test_the_launcher_mirrors_runs_of_a_local_datastore(monkeypatch, storage, setting, expected):
    monkeypatch.delenv(MIRRORED_AFTER, raising=False)
    if setting:
        monkeypatch.setenv(MIRRORED_AFTER, setting)
    flow = SimpleNamespace(_datastore=SimpleNamespace(_storage_impl=SimpleNamespace(TYPE=storage)))
    assert launch.is_mirrored_after(flow) is expected
