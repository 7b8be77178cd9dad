"""Reading artifacts: what is missing or damaged is None, or one clear line."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from fivefold.core.findings import Refused
from fivefold.tracking import client


class Damaged:
    """An artifact whose bytes cannot be read."""

    @property
    def data(self) -> Any:
        raise OSError("damaged")


class Run:
    """A run as the Metaflow Client gives it, with these artifacts by step."""

    pathspec = "TrainFlow/7"

    def __init__(self, **steps: dict[str, Any]):
        self.steps = steps

    def __getitem__(self, step: str) -> Any:
        artifacts = {}
        for name, value in self.steps[step].items():
            is_artifact = isinstance(value, Damaged)
            artifacts[name] = value if is_artifact else SimpleNamespace(data=value)
        return SimpleNamespace(task=artifacts)


@pytest.mark.parametrize(
    "run", [Run(), Run(start={}), Run(start={"table": None}), Run(start={"table": Damaged()})]
)
def test_an_artifact_that_cannot_be_read_is_one_line(run):
    assert client.read(run, "table") is None
    with pytest.raises(Refused) as refused:
        client.require(run, "table")
    title, line = str(refused.value).splitlines()
    assert title == "The run cannot be read: 1 problem"
    assert "artifact-missing [TrainFlow/7]" in line
    assert "a run that passed the step start" in line
    assert "no readable artifact table" in line


def test_an_artifact_is_read_from_its_step():
    run = Run(start={"table": b"rows"}, split={"table": b"other"})
    assert client.read(run, "table") == client.require(run, "table") == b"rows"


@pytest.mark.parametrize(
    ("steps", "scores"),
    [
        ({"evaluate": {"served_oof": 3}, "select": {"served_oof": 2, "winner_oof": 1}}, 3),
        ({"select": {"served_oof": 2, "winner_oof": 1}}, 2),
        ({"select": {"winner_oof": 1}}, 1),
        ({}, None),
    ],
)
def test_the_newest_out_of_fold_scores_count(steps, scores):
    assert client.out_of_fold_scores(Run(**steps)) == scores


@pytest.mark.parametrize("evaluate", [{}, {"bundle": b"x"}, {"bundle_sha256": "x"}])
def test_a_run_without_a_bundle_is_refused(evaluate):
    with pytest.raises(Refused, match=r"bundle-missing \[TrainFlow/7\]"):
        client.bundle_bytes(Run(evaluate=evaluate))


def test_a_run_from_before_there_was_a_blend_has_a_record():
    names = ("problem", "options", "leaderboard", "evaluation", "versions")
    artifacts = SimpleNamespace(
        **{name: {} for name in names},
        source={"code": {"git_commit": "abc", "git_dirty": False}},
        contract="{}",
        example=[],
        first_run_id="7",
        started="2026-11-23T10:00:00+00:00",
        finished="2026-11-23T10:01:00+00:00",
        user="ada",
        winner="forest",
        bundle_sha256="x",
    )
    record = client.run_record("TrainFlow/7/record/1", artifacts)
    assert record.run.pathspec == "TrainFlow/7"
    assert (record.run.run_id, record.run.git_commit) == ("7", "abc")
    assert (record.run.origin_run_id, record.blend) == (None, None)
    assert client.RunRecord.from_dict(record.to_dict()) == record
