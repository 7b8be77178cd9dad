"""The REST API: `make api`, or `python frontend/api.py`. Settings: the table in `lib/service.py`; docs at /docs."""

from __future__ import annotations

import asyncio
import hmac
import logging
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from lib import settings

settings.prepare(ROOT)  # before anything imports Metaflow

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from frontend import api_docs, api_metrics
from lib import feedback, journal, journal_labels, payload, records, serving
from lib.findings import Finding, Refused
from lib.journal_writer import NotKept, Writer, empty
from lib.scope import problem_name
from lib.service import settings as service_settings

log = logging.getLogger("fivefold")
OPEN = ("/", "/health", "/ping", "/docs", "/openapi.json")  # asked without a key
INLINE_ROWS = 100  # rows up to which scoring is quicker than handing it to a thread
STATUS = {"too-many-rows": 413, "body-too-large": 413, "nothing-promoted": 503, "journal-unreachable": 503,
          "column-missing": 422, "value-unreadable": 422, "column-type": 422, "value-nested": 422}


@asynccontextmanager
async def started(app: FastAPI):  # type: ignore[no-untyped-def]
    """Open the journal, load the promoted model, and close what was written when the server ends."""
    state, chosen = app.state, service_settings()
    engine = await run_in_threadpool(journal.open_journal, settings.journal_place())
    spool = settings.spool_place()
    await run_in_threadpool(empty, engine, spool)
    state.settings, state.engine, state.key, state.spool = chosen, engine, settings.pseudonym_key(), spool
    state.follower = serving.Follower(engine, str(chosen["problem"]), str(chosen["model"]))
    state.writer, state.buckets = Writer(engine, spool), {}
    try:
        await run_in_threadpool(state.follower.current)
    except Refused as refused:  # a server without a model says so, and finds one as soon as it is promoted
        log.warning("%s", refused)
    yield
    await run_in_threadpool(state.writer.close)
    engine.dispose()


app = FastAPI(title="Fivefold", lifespan=started, redoc_url=None, openapi_url="/openapi.json",
              description="Predictions of the promoted model, its feedback and its health.")
app.openapi = lambda: api_docs.openapi(app)  # type: ignore[method-assign]


@app.middleware("http")
async def guard(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
    """Key, rate, and the last resort: whatever happens, an answer in JSON without a traceback."""
    began, chosen = time.perf_counter(), request.app.state.settings
    answer: Response
    if refusal := _denied(request, chosen):
        answer = refusal
    else:
        try:
            answer = await go_on(request)
        except Exception:
            number = uuid.uuid4().hex[:8]
            log.exception("request failed, number %s", number)
            answer = _error(503, Finding("request-failed", "error", "server", f"an error, number {number} in the log",
                                         "an answer", "try again; if it stays so, read the log"))
    api_metrics.request(request.scope.get("route"), answer.status_code, time.perf_counter() - began)
    return answer


@app.exception_handler(Refused)
async def refused(_: Request, problem: Refused) -> Response:
    """Everything that was refused, with status 4xx, or 503 where the server lacks something."""
    found = [f for f in problem.findings if f.severity == "error"]
    status = max((STATUS.get(f.code, 400) for f in found), default=400)
    return JSONResponse({"error": str(problem).splitlines()[0], "problems": [_told(f) for f in found]}, status)


@app.exception_handler(HTTPException)
async def unknown(request: Request, problem: HTTPException) -> Response:
    """Unknown paths and methods in the same form."""
    known = sorted({getattr(r, "path", "") for r in app.routes} & set(api_docs.PATHS))
    return JSONResponse({"error": problem.detail, "problems": [_told(Finding(
        "request-unknown", "error", "path", f"{request.method} {request.url.path}"[:200], ", ".join(known),
        "see /docs"))]}, problem.status_code, headers=problem.headers)


@app.post("/predict")
async def predict(request: Request) -> Response:
    """Probability, decision and warnings of one or many rows; each is recorded before it is answered."""
    rows = payload.rows_of(payload.parse(await _body(request)), _limit(request))
    return JSONResponse(await _answer(request, rows))


@app.post("/invocations")
async def invocations(request: Request) -> Response:
    """The same in MLflow's protocol: JSON in its four forms, or CSV."""
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind not in ("application/json", "text/csv", ""):
        return _error(415, Finding("content-type", "error", "Content-Type", kind[:80], "application/json or text/csv",
                                   "correct the header"))
    body, limit = await _body(request), _limit(request)
    rows = payload.csv_rows(body, limit) if kind == "text/csv" else payload.invocation_rows(payload.parse(body), limit)
    told = await _answer(request, rows)
    return JSONResponse({"predictions": told["predictions"]})


@app.post("/feedback")
async def give_feedback(request: Request) -> Response:
    """Labels: {"labels": [{prediction_id or id columns, label, observed_at?}]}; counts of what became of them."""
    state, value = request.app.state, payload.parse(await _body(request))
    model = state.follower.current()
    rows = value["labels"] if isinstance(value, dict) and set(value) == {"labels"} else value
    rows = [rows] if isinstance(rows, dict) else rows
    if not isinstance(rows, list) or len(rows) > _limit(request):
        raise payload.bad("no list, or too long a list, of labels",
                          f'{{"labels": [...]}} of at most {_limit(request):,}', field="labels")
    bundle = model.bundle
    lines = feedback.read_labels(rows, bundle.schema, bundle.about["scope"], state.key)
    name = problem_name(bundle.about["scope"])
    counts = await run_in_threadpool(journal_labels.add_labels, state.engine, name, lines, source="api",
                                     who=_who(request))
    return JSONResponse({**counts, "told": feedback.told(counts)})


@app.get("/model")
async def model(request: Request) -> Response:
    """Which model answers, since when and why, and what it needs."""
    found = request.app.state.follower.current()
    about, line = found.bundle.about, found.line or {}
    auc = (about.get("evaluation") or {}).get("auc") or {}
    return JSONResponse({
        "model": found.pathspec, "sha256": found.sha256, "algorithm": about["algorithm"],
        "problem": problem_name(about["scope"]), "question": about["scope"].get("question", ""),
        "threshold": about["threshold"]["value"], "decisions": about["phrases"],
        "since": line["at"].isoformat(timespec="seconds") + "Z" if line else None,
        "promoted_by": line.get("who"), "why": line.get("why"),
        "roc_auc": {k: auc.get(k) for k in ("value", "low", "high")},
        "columns": serving.contract_schema(found.bundle.schema)})


@app.get("/health")
async def health(request: Request) -> Response:
    """200 with the model's name where predictions can be answered; 503 with the reason where not."""
    found, spooled = request.app.state.follower.current(), len(list(request.app.state.spool.glob("*.jsonl")))
    return JSONResponse({"status": "ok", "model": found.pathspec, "spooled_files": spooled})


@app.get("/ping")
async def ping(request: Request) -> Response:
    """MLflow's probe."""
    request.app.state.follower.current()
    return PlainTextResponse("\n")


@app.get("/metrics")
async def metrics(request: Request) -> Response:
    """Counters and latencies for Prometheus."""
    return Response(*api_metrics.text(request.app.state))


async def _answer(request: Request, rows: list[payload.Row]) -> dict[str, Any]:
    began, state = time.perf_counter(), request.app.state
    model = state.follower.current()
    ids, bundle = [str(uuid.uuid4()) for _ in rows], model.bundle
    try:
        frame, notes = serving.table(rows, bundle.schema)
        scores = bundle.score(frame) if len(rows) <= INLINE_ROWS else await run_in_threadpool(bundle.score, frame)
    except Refused as problem:
        await _keep(state, [], _rejects(model, rows, ids, str(problem), state.key))
        raise
    took = 1000 * (time.perf_counter() - began) / len(rows)
    good, bad = records.records(bundle, model.sha256, rows, scores, ids, source="api", at=journal.utc_now(),
                                key=state.key, latency_ms=took)
    if bad:
        await _keep(state, [], bad)
        serving.refuse_bad_rows(scores, several=len(rows) > 1)
    where = await _keep(state, good, [])
    api_metrics.predicted(scores)
    return {"model": model.pathspec, "threshold": bundle.about["threshold"]["value"],
            "predictions": serving.answers(scores, ids), "notes": notes,
            **({"journal": "spooled"} if where == "spool" else {})}


async def _keep(state: Any, good: list[dict], bad: list[dict]) -> str:
    try:
        return await asyncio.wrap_future(state.writer.submit(good, bad))
    except NotKept as problem:
        raise Refused("The prediction could not be recorded", [Finding(
            "journal-unreachable", "error", "journal", str(problem), "a journal or a spool that takes lines",
            "nothing was answered; try again later")]) from None


def _rejects(model: serving.Model, rows: list[payload.Row], ids: list[str], reason: str, key: bytes) -> list[dict]:
    scope, kept, now = model.bundle.about["scope"], records.kept_columns(model.bundle), journal.utc_now()
    return [{"id": number, "at": now, "problem": problem_name(scope), "model": model.pathspec, "source": "api",
             "inputs": records.journaled(row, scope, kept, key)[0][:records.CUT], "reason": reason[:records.CUT]}
            for number, row in zip(ids, rows, strict=True)]


async def _body(request: Request) -> bytes:
    most, parts, size = request.app.state.settings["max_bytes"], [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise payload.bad(f"a body of more than {most:,} bytes", f"at most {most:,} bytes", "send several requests",
                              code="body-too-large")
        parts.append(part)
    return b"".join(parts)


def _denied(request: Request, chosen: dict[str, Any]) -> Response | None:
    if request.url.path in OPEN:
        return None
    given = request.headers.get("x-api-key") or request.headers.get("authorization", "").partition("Bearer ")[2]
    if chosen["keys"] and not any(hmac.compare_digest(given.encode(), key.encode()) for key in chosen["keys"]):
        return _error(401, Finding("key-missing", "error", "Authorization", "no known key", "Authorization: Bearer KEY",
                                   "ask the owner of this server for a key"), {"WWW-Authenticate": "Bearer"})
    if chosen["rate"]:
        wait = api_metrics.wait(request.app.state.buckets, _client(request), chosen["rate"], time.monotonic())
        if wait > 0:
            return _error(429, Finding("rate", "error", "client", f"more than {chosen['rate']} requests a minute",
                                       "fewer", "wait, or send many rows in one request"),
                          {"Retry-After": str(int(wait) + 1)})
    return None


def _client(request: Request) -> str:
    return request.client.host if request.client else ""


def _who(request: Request) -> str:
    return f"api {_client(request)}".strip()[:200]


def _limit(request: Request) -> int:
    return int(request.app.state.settings["max_rows"])


def _error(status: int, finding: Finding, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": finding.found, "problems": [_told(finding)]}, status, headers)


def _told(finding: Finding) -> dict[str, str]:
    return {"code": finding.code, "field": finding.subject, "expected": finding.expected, "found": finding.found,
            "action": finding.action}


def main() -> int:
    """Serve, with as many processes as the settings say."""
    import uvicorn

    try:
        chosen = service_settings()
        journal.open_journal(settings.journal_place()).dispose()
    except Refused as problem:
        print(problem, file=sys.stderr)
        return 1
    api_metrics.prepare(chosen["workers"])
    uvicorn.run("frontend.api:app", app_dir=str(ROOT), host=str(chosen["host"]), port=int(chosen["port"]),
                workers=int(chosen["workers"]), log_level="warning", server_header=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
