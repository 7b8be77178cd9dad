"""The input contract: it survives JSON and answers by name, kind and use."""

import json

import pandas as pd

from fivefold.core.schema import Schema
from fivefold.core.scope import Scope
from fivefold.data.infer import infer_schema
from tests.data.test_coerce import SCHEMA


def test_a_schema_survives_json():
    assert Schema.from_json(SCHEMA.to_json()) == SCHEMA
    frame = pd.DataFrame(
        {
            "d": pd.to_datetime(["2024-01-01", "2024-01-02"]),
            "c": ["é", "b"],
            "n": [1, 2],
            "e": [None, None],
            "y": [0, 1],
        }
    )
    schema = infer_schema(frame, Scope(target="y"))
    assert Schema.from_json(schema.to_json()) == schema
    assert "é" in schema.to_json()
    assert json.loads(schema.to_json())["target"] == "y"


def test_names_by_kind_and_use():
    assert SCHEMA.names("numeric", "date") == ["age", "pay", "since"]
    assert SCHEMA.names("id") == []
    assert SCHEMA.names("id", used_only=False) == ["who"]
    assert SCHEMA["city"].levels == ("Bern", "Rome")
