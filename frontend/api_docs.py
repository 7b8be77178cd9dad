"""API docs: the OpenAPI description, with the fields of the model that is served, and the form of every refusal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse

from lib.findings import Finding, Refused
from lib.serving import contract_schema

PATHS = ("/predict", "/invocations", "/feedback", "/model", "/health", "/ping", "/metrics")
_PROBLEM = {"type": "object", "required": ["error", "problems"], "properties": {
    "error": {"type": "string"}, "problems": {"type": "array", "items": {"type": "object", "properties": {
        name: {"type": "string"} for name in ("code", "field", "expected", "found", "action")}}}}}
_PREDICTION = {"type": "object", "required": ["id", "probability", "decision", "warnings"], "properties": {
    "id": {"type": "string", "format": "uuid"}, "probability": {"type": "number", "minimum": 0, "maximum": 1},
    "decision": {"type": "string"}, "warnings": {"type": "array", "items": {"type": "string"}}}}
_LABEL = {"type": "object", "required": ["label"], "properties": {
    "prediction_id": {"type": "string"}, "label": {"type": ["string", "number", "boolean"]},
    "observed_at": {"type": "string"}}}
_ERRORS = {"400": "cannot be read", "401": "needs a key", "413": "too large", "415": "another content type",
           "422": "does not fit the model", "429": "too many requests", "503": "no model, or no journal"}


def refusal(status: int, *problems: Finding, error: str = "", headers: Mapping[str, str] | None = None) -> JSONResponse:
    """An answer that says what was expected and found; `error`, else the first finding, in short."""
    told = [{"code": f.code, "field": f.subject, "expected": f.expected, "found": f.found, "action": f.action}
            for f in problems]
    return JSONResponse({"error": error or problems[0].found, "problems": told}, status, headers)


def openapi(app: FastAPI) -> dict[str, Any]:
    """The description as it is now: another model may have other fields."""
    told = get_openapi(title=app.title, version="1", description=app.description, routes=app.routes)
    try:
        row = contract_schema(app.state.follower.current().bundle.schema)
    except (Refused, AttributeError):
        row = {"type": "object"}
    rows = {"type": "array", "items": {"$ref": "#/components/schemas/Row"}, "minItems": 1}
    told["components"] = {"schemas": {"Row": row, "Problem": _PROBLEM, "Prediction": _PREDICTION, "Label": _LABEL},
                          "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}}
    many = {"type": "array", "items": {"$ref": "#/components/schemas/Prediction"}}
    _describe(told, "/predict", _object({"rows": rows}), _object({
        "model": {"type": "string"}, "threshold": {"type": "number"}, "predictions": many,
        "notes": {"type": "array", "items": {"type": "string"}}}, ["model", "threshold", "predictions", "notes"]))
    _describe(told, "/invocations", _object({"dataframe_records": rows}), _object({"predictions": many}))
    _describe(told, "/feedback", _object({"labels": {
        "type": "array", "items": {"$ref": "#/components/schemas/Label"}, "minItems": 1}}), {"type": "object"})
    for path in PATHS:
        for operation in told["paths"].get(path, {}).values():
            operation["responses"] = {**{k: v for k, v in operation["responses"].items() if k == "200"},
                                      **{status: _answer(why, {"$ref": "#/components/schemas/Problem"})
                                         for status, why in _ERRORS.items()}}
    return told


def _describe(told: dict[str, Any], path: str, asked: dict[str, Any], answered: dict[str, Any]) -> None:
    operation = told["paths"][path]["post"]
    operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": asked}}}
    operation["responses"] = {"200": _answer("answered", answered)}
    operation["security"] = [{}, {"key": []}]


def _object(properties: dict[str, Any], required: list[str] | None = None) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required or list(properties)}


def _answer(why: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": why, "content": {"application/json": {"schema": schema}}}
