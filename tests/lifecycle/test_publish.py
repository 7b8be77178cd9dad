"""Aliases in MLflow: whatever comes first, the mirror of a run or a decision about its model."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from fivefold.core.settings import journal_url
from fivefold.journal import database, promotions
from fivefold.lifecycle import promotion_mirror, publish
from fivefold.tracking import client, metaflow_cards, mirror_outcome, mlflow_mirror
from fivefold.tracking.mirror_outcome import MirrorResult
from tests.support.promotions import decide

URI = "http://ann:s3cret@host"


class Run:
    """Stands for a `metaflow.Run` that was mirrored after its end."""

    def __init__(self, run_id: str) -> None:
        self.id, self.pathspec, self.user_tags = run_id, f"TrainFlow/{run_id}", set()
        data = SimpleNamespace(problem={"target": "left"}, bundle_sha256=run_id, bundle=b"")
        self.task = SimpleNamespace(data=data)

    def __getitem__(self, step: str):
        return self

    def replace_tags(self, old, new) -> None:
        self.user_tags = (self.user_tags - set(old)) | set(new)


@dataclass
class World:
    """Journal, runs and a registry of MLflow; `during` is called once while a mirror goes on."""

    root: Path
    aliases: dict[str, str] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=lambda: {name: Run(name) for name in "AB"})
    during = staticmethod(lambda: None)
    uris: set[str] = field(default_factory=set)

    def decide(self, run_id: str, action: str = promotions.PROMOTED) -> None:
        """Decide about a run's model as flows/promote.py does."""
        engine = database.open_journal(journal_url())
        champion = promotions.champion(engine, "left")
        replaces = None
        if action in promotions.EFFECTIVE:
            replaces = champion.seq if champion else 0
        model = f"TrainFlow/{run_id}"
        row = decide(engine, "left", model, sha256=run_id, action=action, replaces=replaces)
        assert promotion_mirror.mirror(engine, row, self.root) == []

    def mirror(self, run_id: str) -> MirrorResult:
        return publish.mirror_finished(self.runs[run_id], URI, self.root)


@pytest.fixture
def world(tmp_path, monkeypatch) -> World:
    monkeypatch.setenv("METAFLOW_DATASTORE_SYSROOT_LOCAL", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://elsewhere")
    monkeypatch.delenv("FIVEFOLD_JOURNAL", raising=False)
    world = World(tmp_path)

    def mirror(record, bundle, cards, uri, aliases=(), timeout=None):
        during, world.during = world.during, lambda: None
        during()
        world.aliases |= dict.fromkeys(aliases, record)
        return MirrorResult(status="mirrored", uri="http://ann:***@host", model_version=record)

    def set_aliases(models, uri):
        world.uris.add(uri)
        world.aliases |= {alias: model["version"] for alias, model in models.items()}
        return ""

    monkeypatch.setattr(mlflow_mirror, "mirror", mirror)
    monkeypatch.setattr(mlflow_mirror, "set_aliases", set_aliases)
    monkeypatch.setattr(client, "run_record", lambda pathspec, _: pathspec.partition("/")[2])
    monkeypatch.setattr(client, "find_run", lambda name: world.runs[name.partition("/")[2]])
    monkeypatch.setattr(client, "read", lambda run, name: None)
    monkeypatch.setattr(metaflow_cards, "report_cards", lambda run: {})
    return world


def test_mirrored_then_promoted(world):
    world.mirror("A")
    assert world.aliases == {}
    world.decide("A")
    assert world.aliases == {"champion": "A"}


def test_promoted_then_mirrored(world):
    world.decide("A")
    assert world.aliases == {}
    world.mirror("A")
    assert world.aliases == {"champion": "A"}
    assert mirror_outcome.read("A").status == "mirrored"


def test_promoted_while_the_mirror_goes_on(world):
    world.during = lambda: world.decide("A")
    world.mirror("A")
    assert world.aliases == {"champion": "A"}
    assert world.uris == {URI}  # of the mirror, not of the environment


def test_another_model_is_promoted_while_the_mirror_of_the_champion_goes_on(world):
    world.mirror("B")
    world.decide("A")
    world.during = lambda: world.decide("B")
    world.mirror("A")
    assert world.aliases == {"champion": "B"}


def test_a_challenge_while_the_mirror_goes_on(world):
    """`retrain.py` compares the new model as soon as it is trained."""
    world.mirror("A")
    world.decide("A")
    world.during = lambda: world.decide("B", promotions.KEPT)
    world.mirror("B")
    assert world.aliases == {"champion": "A", "challenger": "B"}


def test_a_challenge_before_the_mirror(world):
    world.mirror("A")
    world.decide("A")
    world.decide("B", promotions.WAITING)
    world.mirror("B")
    assert world.aliases == {"champion": "A", "challenger": "B"}


def test_a_journal_that_cannot_be_read_costs_the_alias_only(world, monkeypatch, capsys):
    monkeypatch.setenv("FIVEFOLD_JOURNAL", "nosuch://place")
    assert world.mirror("A").status == "mirrored"
    assert "no alias was set" in capsys.readouterr().out
