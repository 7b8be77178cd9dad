"""The OpenAPI description, with the fields of the served model, and the form of every refusal."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse

from fivefold.core.findings import Finding, Refused
from fivefold.model.case import curl
from fivefold.serving.json_rows import contract_schema

PATHS = ("/predict", "/invocations", "/feedback", "/model", "/health", "/ping", "/metrics")
_TEXT = {"type": "string"}
_PROBLEM_FIELDS = ("code", "field", "expected", "found", "action")
_PROBLEM = {
    "type": "object",
    "required": ["error", "problems"],
    "properties": {
        "error": _TEXT,
        "problems": {
            "type": "array",
            "items": {"type": "object", "properties": dict.fromkeys(_PROBLEM_FIELDS, _TEXT)},
        },
    },
}
_PREDICTION = {
    "type": "object",
    "required": ["id", "probability", "decision", "warnings"],
    "properties": {
        "id": {"type": "string", "format": "uuid"},
        "probability": {"type": "number", "minimum": 0, "maximum": 1},
        "decision": _TEXT,
        "warnings": {"type": "array", "items": _TEXT},
        "control": {
            "type": "boolean",
            "description": "whether the case is to be left alone, whatever is predicted "
            "(only with [monitoring] control_share in the scope)",
        },
        "reasons": {  # with ?explain=true
            "type": ["array", "null"],
            "items": {
                "type": "object",
                "properties": {"column": _TEXT, "value": {}, "contribution": {"type": "number"}},
            },
        },
    },
}
_LABEL = {
    "type": "object",
    "required": ["label"],
    "properties": {
        "prediction_id": _TEXT,
        "label": {"type": ["string", "number", "boolean"]},
        "observed_at": _TEXT,
        "acted": {
            "type": ["string", "number", "boolean", "null"],
            "description": "whether somebody acted upon the case because of its prediction",
        },
    },
}
_STATUS_TEXTS = {
    "400": "cannot be read",
    "401": "needs a key",
    "403": "a page of another site",
    "413": "too large",
    "415": "another content type",
    "422": "does not fit the model",
    "429": "too many requests",
    "503": "no model, or no journal",
}
_CODES = {  # of findings by their status; all others: 400
    401: ("key-missing",),
    403: ("origin",),
    413: ("too-many-rows", "body-too-large", "too-many-values", "too-many-columns"),
    415: ("content-type",),
    422: (
        "background-missing",
        "column-missing",
        "column-type",
        "value-unreadable",
        "value-nested",
    ),
    429: ("rate",),
    503: (
        *("nothing-promoted", "journal-unreachable", "run-missing", "request-failed"),
        *("bundle-missing", "bundle-digest", "bundle-damaged"),
        *("bundle-format", "bundle-untrusted"),
    ),
}
STATUS = {code: status for status, codes in _CODES.items() for code in codes}


def refusal(
    problems: Sequence[Finding],
    error: str = "",
    headers: Mapping[str, str] | None = None,
    status: int | None = None,
) -> JSONResponse:
    """Return an answer with what was expected and what was sent.

    `error`: the refusal in short, else that of the first problem. `status`: else the highest of
    `STATUS`.
    """
    if status is None:
        status = max((STATUS.get(problem.code, 400) for problem in problems), default=400)
    shown = []
    for problem in problems:
        fields = problem.to_dict() | {"field": problem.subject}
        shown.append({name: fields[name] for name in _PROBLEM_FIELDS})
    return JSONResponse({"error": error or problems[0].found, "problems": shown}, status, headers)


def openapi(app: FastAPI) -> dict[str, Any]:
    """Return the description as it is now: another model may have other fields."""
    api = get_openapi(title=app.title, version="1", description=app.description, routes=app.routes)
    try:
        bundle = app.state.server.follower.current().bundle
        row = contract_schema(bundle.schema, bundle.optional)
    except (Refused, AttributeError):  # no model, or the server has not started
        row = {"type": "object"}
    api["components"] = {
        "schemas": {"Row": row, "Problem": _PROBLEM, "Prediction": _PREDICTION, "Label": _LABEL},
        "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
    }
    rows, labels = ({**_list_of(name), "minItems": 1} for name in ("Row", "Label"))
    predictions = _list_of("Prediction")
    answer = {
        "model": _TEXT,
        "threshold": {"type": "number"},
        "predictions": predictions,
        "notes": {"type": "array", "items": _TEXT},
    }
    invoked = _object({"predictions": predictions})
    invoked["properties"]["notes"] = answer["notes"]  # where there are any
    _describe(api, "/predict", _object({"rows": rows}), _object(answer))
    _describe(api, "/invocations", _object({"dataframe_records": rows}), invoked)
    _describe(api, "/feedback", _object({"labels": labels}), {"type": "object"})
    problem = {"$ref": "#/components/schemas/Problem"}
    refusals = {status: _answer(why, problem) for status, why in _STATUS_TEXTS.items()}
    for path in PATHS:
        for operation in api["paths"].get(path, {}).values():
            answers = operation["responses"]
            good = {"200": answers["200"]} if "200" in answers else {}
            operation["responses"] = {**good, **refusals}
    return api


_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;"
    "color:#222}td,th{text-align:left;padding:.2rem .8rem .2rem 0;vertical-align:top}"
    "pre{background:#f4f5f6;padding:1rem;overflow:auto}h2{font-size:1.1rem;margin-top:2rem}"
)


def page(api: Mapping[str, Any]) -> str:
    """Return the description as one page of HTML that works offline (FastAPI's own does not)."""
    fields = api["components"]["schemas"]["Row"].get("properties", {})
    title = _escaped(api["info"]["title"])
    example = {name: (field.get("examples") or [None])[0] for name, field in fields.items()}
    request = curl({"rows": [example]}, "http://127.0.0.1:8000/predict")
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title><style>"
        f"{_STYLE}</style><h1>{title}</h1><p>{_escaped(api['info']['description'])} "
        "For programs: <a href=openapi.json>openapi.json</a>"
        f"{''.join(_operations(api))}<h2>A request</h2><pre>{_escaped(request)}</pre>"
        "<h2>Fields of a row</h2><table><tr><th>Field<th>What<th>Examples"
        f"{''.join(_fields(fields))}</table>"
    )


def _operations(api: Mapping[str, Any]) -> Iterator[str]:
    for path, methods in api["paths"].items():
        for method, operation in methods.items():
            text = _escaped(operation.get("description", ""))
            yield f"<h2>{_escaped(method.upper())} {_escaped(path)}</h2><p>{text}"


def _fields(fields: Mapping[str, Any]) -> Iterator[str]:
    for name, field in fields.items():
        examples = ", ".join(map(str, field.get("examples", ())))
        cells = (name, field["description"], examples)
        yield "<tr>" + "".join(f"<td>{_escaped(cell)}" for cell in cells)


def _escaped(value: Any) -> str:
    return html.escape(str(value))


def _describe(
    api: dict[str, Any], path: str, request: dict[str, Any], answer: dict[str, Any]
) -> None:
    operation = api["paths"][path]["post"]
    content = {"application/json": {"schema": request}}
    operation["requestBody"] = {"required": True, "content": content}
    operation["responses"] = {"200": _answer("answered", answer)}
    operation["security"] = [{}, {"key": []}]
    if path != "/feedback":
        explain = {"name": "explain", "in": "query", "schema": {"type": "boolean"}}
        operation["parameters"] = [explain]


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list_of(name: str) -> dict[str, Any]:
    return {"type": "array", "items": {"$ref": f"#/components/schemas/{name}"}}


def _answer(why: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": why, "content": {"application/json": {"schema": schema}}}
