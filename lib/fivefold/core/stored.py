"""Stored objects: from the plain dict of an artifact or a file back to a dataclass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any


def known_fields(kind: type, stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the stored values of the fields of a dataclass.

    Keys of other versions are left out. A field without a stored value keeps its default.
    """
    return {field.name: stored[field.name] for field in fields(kind) if field.name in stored}
