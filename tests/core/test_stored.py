"""Objects in their stored form and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar

from fivefold.core.stored import Stored


@dataclass(frozen=True)
class Point:
    x: float
    y: float | None = None


@dataclass(frozen=True)
class Part(Stored):
    stored_as: ClassVar = {"size": "bytes"}
    leaves_out_none = True

    name: str
    size: int | None = None


@dataclass(frozen=True)
class Whole(Stored):
    at: datetime
    part: Part | None = None
    point: Point = field(default_factory=lambda: Point(0))
    parts: Sequence[Part] = ()
    pairs: tuple[Point, ...] = ()
    named: Mapping[str, Point] = field(default_factory=dict)
    anything: dict[str, Any] = field(default_factory=dict)
    labels: list[str] | None = None


WHOLE = Whole(
    at=datetime(2026, 1, 2, 3, tzinfo=UTC),
    part=Part("a", 7),
    point=Point(1, 2),
    parts=[Part("b"), Part("c", 0)],
    pairs=(Point(3), Point(4, 5)),
    named={"origin": Point(0, 0)},
    anything={"scores": [1, {"deep": None}]},
    labels=["no", "yes"],
)
PLAIN = {
    "at": "2026-01-02T03:00:00+00:00",
    "part": {"name": "a", "bytes": 7},
    "point": {"x": 1, "y": 2},
    "parts": [{"name": "b"}, {"name": "c", "bytes": 0}],
    "pairs": [{"x": 3, "y": None}, {"x": 4, "y": 5}],
    "named": {"origin": {"x": 0, "y": 0}},
    "anything": {"scores": [1, {"deep": None}]},
    "labels": ["no", "yes"],
}


def test_nested_objects_become_plain_and_come_back():
    assert WHOLE.to_dict() == PLAIN
    assert Whole.from_dict(PLAIN) == WHOLE


def test_another_version_lacks_keys_and_has_others():
    old = {"at": PLAIN["at"], "part": {"name": "a", "colour": "red"}, "gone": 1}
    assert Whole.from_dict(old) == Whole(at=WHOLE.at, part=Part("a"))


def test_none_stays_none():
    assert Whole.from_dict({**PLAIN, "part": None, "labels": None}).part is None
