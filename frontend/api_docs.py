"""API docs: the OpenAPI description, with the fields of the model that is served, and the form of every refusal."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse

from fivefold.core.findings import Finding, Refused
from fivefold.model.case import curl
from fivefold.serving.served_model import contract_schema

PATHS = ("/predict", "/invocations", "/feedback", "/model", "/health", "/ping", "/metrics")
_PROBLEM = {
    "type": "object",
    "required": ["error", "problems"],
    "properties": {
        "error": {"type": "string"},
        "problems": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    name: {"type": "string"}
                    for name in ("code", "field", "expected", "found", "action")
                },
            },
        },
    },
}
_PREDICTION = {
    "type": "object",
    "required": ["id", "probability", "decision", "warnings"],
    "properties": {
        "id": {"type": "string", "format": "uuid"},
        "probability": {"type": "number", "minimum": 0, "maximum": 1},
        "decision": {"type": "string"},
        "warnings": {"type": "array", "items": {"type": "string"}},
    },
}
_LABEL = {
    "type": "object",
    "required": ["label"],
    "properties": {
        "prediction_id": {"type": "string"},
        "label": {"type": ["string", "number", "boolean"]},
        "observed_at": {"type": "string"},
    },
}
_ERRORS = {
    "400": "cannot be read",
    "401": "needs a key",
    "413": "too large",
    "415": "another content type",
    "422": "does not fit the model",
    "429": "too many requests",
    "503": "no model, or no journal",
}


def refusal(
    status: int, *problems: Finding, error: str = "", headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """An answer that says what was expected and found; `error`, else the first finding, in short."""
    told = [
        {
            "code": f.code,
            "field": f.subject,
            "expected": f.expected,
            "found": f.found,
            "action": f.action,
        }
        for f in problems
    ]
    return JSONResponse({"error": error or problems[0].found, "problems": told}, status, headers)


def openapi(app: FastAPI) -> dict[str, Any]:
    """The description as it is now: another model may have other fields."""
    told = get_openapi(title=app.title, version="1", description=app.description, routes=app.routes)
    try:
        row = contract_schema(app.state.follower.current().bundle.schema)
    except (Refused, AttributeError):
        row = {"type": "object"}
    rows = {"type": "array", "items": {"$ref": "#/components/schemas/Row"}, "minItems": 1}
    told["components"] = {
        "schemas": {"Row": row, "Problem": _PROBLEM, "Prediction": _PREDICTION, "Label": _LABEL},
        "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
    }
    many = {"type": "array", "items": {"$ref": "#/components/schemas/Prediction"}}
    _describe(
        told,
        "/predict",
        _object({"rows": rows}),
        _object(
            {
                "model": {"type": "string"},
                "threshold": {"type": "number"},
                "predictions": many,
                "notes": {"type": "array", "items": {"type": "string"}},
            },
            ["model", "threshold", "predictions", "notes"],
        ),
    )
    _describe(
        told, "/invocations", _object({"dataframe_records": rows}), _object({"predictions": many})
    )
    _describe(
        told,
        "/feedback",
        _object(
            {
                "labels": {
                    "type": "array",
                    "items": {"$ref": "#/components/schemas/Label"},
                    "minItems": 1,
                }
            }
        ),
        {"type": "object"},
    )
    for path in PATHS:
        for operation in told["paths"].get(path, {}).values():
            operation["responses"] = {
                **{k: v for k, v in operation["responses"].items() if k == "200"},
                **{
                    status: _answer(why, {"$ref": "#/components/schemas/Problem"})
                    for status, why in _ERRORS.items()
                },
            }
    return told


def page(told: Mapping[str, Any]) -> str:
    """The description as one page of HTML that asks nothing of the network (FastAPI's own loads scripts from a CDN)."""
    text = lambda value: html.escape(str(value))  # noqa: E731
    row = told["components"]["schemas"]["Row"]
    fields = "".join(
        f"<tr><td>{text(name)}<td>{text(field['description'])}<td>"
        f"{text(', '.join(map(str, field.get('examples', ()))))}"
        for name, field in row.get("properties", {}).items()
    )
    example = {
        name: (field.get("examples") or [None])[0]
        for name, field in row.get("properties", {}).items()
    }
    paths = "".join(
        f"<h2>{text(method.upper())} {text(path)}</h2><p>{text(operation.get('description', ''))}"
        for path, methods in told["paths"].items()
        for method, operation in methods.items()
    )
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{text(told['info']['title'])}</title><style>"
        "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}"
        "td,th{text-align:left;padding:.2rem .8rem .2rem 0;vertical-align:top}pre{background:#f4f5f6;padding:1rem;"
        f"overflow:auto}}h2{{font-size:1.1rem;margin-top:2rem}}</style><h1>{text(told['info']['title'])}</h1>"
        f"<p>{text(told['info']['description'])} For programs: <a href=openapi.json>openapi.json</a>{paths}"
        f"<h2>A request</h2><pre>{text(curl({'rows': [example]}, 'http://127.0.0.1:8000/predict'))}</pre>"
        f"<h2>Fields of a row</h2><table><tr><th>Field<th>What<th>Examples{fields}</table>"
    )


def _describe(
    told: dict[str, Any], path: str, asked: dict[str, Any], answered: dict[str, Any]
) -> None:
    operation = told["paths"][path]["post"]
    operation["requestBody"] = {
        "required": True,
        "content": {"application/json": {"schema": asked}},
    }
    operation["responses"] = {"200": _answer("answered", answered)}
    operation["security"] = [{}, {"key": []}]


def _object(properties: dict[str, Any], required: list[str] | None = None) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required or list(properties)}


def _answer(why: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": why, "content": {"application/json": {"schema": schema}}}
