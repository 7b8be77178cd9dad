"""Stored objects: a dataclass as the plain dict of an artifact or a file, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from functools import cache
from types import NoneType, UnionType
from typing import Any, ClassVar, Self, get_args, get_origin, get_type_hints


class Stored:
    """A dataclass with a plain, JSON-ready form.

    `stored_as` gives the stored names of the fields that are stored under another name.
    `leaves_out_none`: a field that is None is not stored.
    """

    stored_as: ClassVar[Mapping[str, str]] = {}
    leaves_out_none: ClassVar[bool] = False

    def to_dict(self) -> dict[str, Any]:
        """Return the plain form, in which nested objects are plain too."""
        stored = {}
        for name, value in vars(self).items():
            if value is not None or not self.leaves_out_none:
                stored[self.stored_as.get(name, name)] = _plain(value)
        return stored

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote, also in another version.

        Unknown keys are left out, and a field without a stored value keeps its default.
        """
        return cls(**_typed_fields(cls, stored))


def known_fields(kind: type, stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the stored values of the fields of a dataclass, as they are."""
    return {field.name: stored[field.name] for field in fields(kind) if field.name in stored}


def _typed_fields(kind: type, stored: Mapping[str, Any]) -> dict[str, Any]:
    hints = _hints(kind)
    stored_as = getattr(kind, "stored_as", {})
    values = {}
    for field in fields(kind):
        key = stored_as.get(field.name, field.name)
        if key in stored:
            values[field.name] = _typed(stored[key], hints[field.name])
    return values


def _plain(value: Any) -> Any:
    if isinstance(value, Stored):
        return value.to_dict()
    if is_dataclass(value):
        return _plain(vars(value))
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _typed(value: Any, hint: Any) -> Any:
    """Return a stored value as its type hint says: X, X | None, Sequence[X] or Mapping[str, X]."""
    if value is None:
        return None
    if isinstance(hint, type) and is_dataclass(hint):
        read = getattr(hint, "from_dict", None)
        return read(value) if read else hint(**_typed_fields(hint, value))
    if hint is datetime:
        return datetime.fromisoformat(value)
    inner = [kind for kind in get_args(hint) if kind is not NoneType]
    if get_origin(hint) is UnionType:
        return _typed(value, inner[0])
    if isinstance(value, Mapping) and inner:
        return {key: _typed(item, inner[-1]) for key, item in value.items()}
    if isinstance(value, (list, tuple)) and inner:
        items = [_typed(item, inner[0]) for item in value]
        return tuple(items) if get_origin(hint) is tuple else items
    return value


_hints = cache(get_type_hints)
