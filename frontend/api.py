"""The REST API: `make api`, or `python frontend/api.py`. Settings: the table in `lib/fivefold/serving/api_settings.py`; docs at /docs."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
from fivefold.core import settings
from fivefold.core.clock import utc_now

settings.prepare(ROOT)  # before anything imports Metaflow

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from fivefold.core.findings import Finding, Refused
from fivefold.journal import database
from fivefold.journal import labels as journal_labels
from fivefold.journal.writer import NotKept, Writer, empty
from fivefold.serving import journal_rows, labels, served_model
from fivefold.serving import request as payload
from fivefold.serving.api_settings import settings as service_settings
from frontend import api_docs, api_metrics

log = logging.getLogger("fivefold")
INLINE_ROWS = 100  # rows up to which scoring is quicker than handing it to a thread
STATUS = {
    "content-type": 415,
    "too-many-rows": 413,
    "body-too-large": 413,
    **dict.fromkeys(("column-missing", "column-type", "value-unreadable", "value-nested"), 422),
    **dict.fromkeys(
        (
            "nothing-promoted",
            "journal-unreachable",
            "run-missing",
            "bundle-missing",
            "bundle-digest",
            "bundle-damaged",
            "bundle-format",
            "bundle-untrusted",
        ),
        503,
    ),
}


@asynccontextmanager
async def started(app: FastAPI):  # type: ignore[no-untyped-def]
    """Open the journal, load the promoted model, and close what was written when the server ends."""
    state, chosen = app.state, service_settings()
    engine = await run_in_threadpool(database.open_journal, settings.journal_url())
    spool = Path(str(chosen["spool"])) if chosen["spool"] else settings.spool_folder()
    await run_in_threadpool(empty, engine, spool)
    state.settings, state.engine, state.key, state.spool = (
        chosen,
        engine,
        settings.pseudonym_key(),
        spool,
    )
    state.follower = served_model.Follower(engine, str(chosen["problem"]), str(chosen["model"]))
    state.writer, state.buckets = Writer(engine, spool), {}
    try:
        await run_in_threadpool(state.follower.current)
    except (
        Refused
    ) as refused:  # a server without a model says so, and finds one as soon as it is promoted
        log.warning("%s", refused)
    yield
    await run_in_threadpool(state.writer.close)
    engine.dispose()


app = FastAPI(
    title="Fivefold",
    lifespan=started,
    docs_url=None,
    redoc_url=None,
    redirect_slashes=False,
    description="Predictions of the promoted model, its feedback and its health.",
)
app.openapi = lambda: api_docs.openapi(app)  # type: ignore[method-assign]


@app.middleware("http")
async def guard(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
    """Key, rate, and the last resort: whatever happens, an answer in JSON without a traceback."""
    began, chosen = time.perf_counter(), request.app.state.settings
    answer = api_metrics.denied(request, chosen)
    if answer is None:
        try:
            answer = await go_on(request)
        except Exception:
            number = uuid.uuid4().hex[:8]
            log.exception("request failed, number %s", number)
            answer = api_docs.refusal(
                503,
                Finding(
                    code="request-failed",
                    severity="error",
                    subject="server",
                    found=f"an error, number {number} in the log",
                    expected="an answer",
                    action="try again; if it stays so, read the log",
                ),
            )
    api_metrics.request(request.scope.get("route"), answer.status_code, time.perf_counter() - began)
    return answer


@app.exception_handler(Refused)
async def refused(_: Request, problem: Refused) -> Response:
    """Everything that was refused, with status 4xx, or 503 where the server lacks something."""
    found = [f for f in problem.findings if f.severity == "error"]
    status = max((STATUS.get(f.code, 400) for f in found), default=400)
    return api_docs.refusal(status, *found, error=str(problem).splitlines()[0])


@app.exception_handler(HTTPException)
async def unknown(request: Request, problem: HTTPException) -> Response:
    """Unknown paths and methods in the same form."""
    known = sorted({getattr(r, "path", "") for r in app.routes} & set(api_docs.PATHS))
    return api_docs.refusal(
        problem.status_code,
        Finding(
            code="request-unknown",
            severity="error",
            subject="path",
            found=f"{request.method} {request.scope['path']}"[:200],
            expected=", ".join(known),
            action="see /docs",
        ),
        error=problem.detail,
        headers=problem.headers,
    )


@app.post("/predict")
async def predict(request: Request) -> Response:
    """Probability, decision and warnings of one or many rows; each is recorded before it is answered."""
    rows = payload.rows_of(
        payload.parse(await api_metrics.body(request)), request.app.state.settings["max_rows"]
    )
    return JSONResponse(await _answer(request, rows))


@app.post("/invocations")
async def invocations(request: Request) -> Response:
    """The same in MLflow's protocol: JSON in its four forms, or CSV."""
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind not in ("application/json", "text/csv", ""):
        raise payload.bad(
            f"the content type {kind[:80]!r}",
            "application/json or text/csv",
            "correct the header",
            field="Content-Type",
            code="content-type",
        )
    body, limit = await api_metrics.body(request), request.app.state.settings["max_rows"]
    rows = (
        payload.csv_rows(body, limit)
        if kind == "text/csv"
        else payload.invocation_rows(payload.parse(body), limit)
    )
    return JSONResponse({"predictions": (await _answer(request, rows))["predictions"]})


@app.post("/feedback")
async def give_feedback(request: Request) -> Response:
    """Labels: {"labels": [{prediction_id or id columns, label, observed_at?}]}; counts of what became of them."""
    state, value = request.app.state, payload.parse(await api_metrics.body(request))
    bundle = state.follower.current().bundle
    rows = value["labels"] if isinstance(value, dict) and set(value) == {"labels"} else value
    rows = [rows] if isinstance(rows, dict) else rows
    if not isinstance(rows, list):
        raise payload.bad(payload.kind(rows), '{"labels": [...]}', field="labels")
    payload.check_number(len(rows), state.settings["max_rows"])
    lines = labels.read_labels(rows, bundle.schema, bundle.metadata.scope, state.key)
    name = bundle.metadata.scope.problem
    try:
        counts = await run_in_threadpool(
            journal_labels.add_labels,
            state.engine,
            name,
            lines,
            source="api",
            who=f"api {api_metrics.client(request)}".strip(),
        )
    except Exception as broken:  # drivers raise many kinds
        raise _unrecorded(str(getattr(broken, "orig", broken)).partition("\n")[0]) from None
    return JSONResponse({**counts, "told": labels.describe_outcomes(counts)})


@app.get("/model")
async def model(request: Request) -> Response:
    """Which model answers, since when and why, and what it needs."""
    found = request.app.state.follower.current()
    about, promotion = found.bundle.metadata, found.promotion
    auc = about.evaluation.auc if about.evaluation else {}
    return JSONResponse(
        {
            "model": found.pathspec,
            "sha256": found.sha256,
            "algorithm": about.algorithm,
            "problem": about.scope.problem,
            "question": about.scope.question,
            "threshold": about.threshold.value,
            "decisions": [about.outcomes.negative, about.outcomes.positive],
            "since": promotion.at.isoformat(timespec="seconds") + "Z" if promotion else None,
            "promoted_by": promotion.who if promotion else None,
            "why": promotion.why if promotion else None,
            "roc_auc": {k: auc.get(k) for k in ("value", "low", "high")},
            "fitted_again_on": about.refit.rows if about.refit else None,
            "columns": served_model.contract_schema(found.bundle.schema),
        }
    )


@app.get("/health")
async def health(request: Request) -> Response:
    """200 with the model's name where predictions can be answered; 503 with the reason where not."""
    found, spooled = (
        request.app.state.follower.current(),
        len(list(request.app.state.spool.glob("*.jsonl"))),
    )
    return JSONResponse({"status": "ok", "model": found.pathspec, "spooled_files": spooled})


@app.get("/ping", response_class=PlainTextResponse)
async def ping(request: Request) -> Response:
    """MLflow's probe."""
    request.app.state.follower.current()
    return PlainTextResponse("\n")


@app.get("/docs", include_in_schema=False)
async def docs() -> Response:
    """What can be asked, for people."""
    return HTMLResponse(api_docs.page(app.openapi()))


@app.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """Counters and latencies for Prometheus."""
    return Response(*api_metrics.text(request.app.state))


async def _answer(request: Request, rows: list[payload.Row]) -> dict[str, Any]:
    began, state = time.perf_counter(), request.app.state
    model = state.follower.current()
    ids, bundle = [str(uuid.uuid4()) for _ in rows], model.bundle
    try:
        frame, notes = served_model.table(rows, bundle.schema)
        scores, found = (
            bundle.assess(frame)
            if len(rows) <= INLINE_ROWS
            else await run_in_threadpool(bundle.assess, frame)
        )
    except Refused as problem:
        await _keep(state, [], served_model.rejects(model, rows, ids, problem, state.key))
        raise
    took = 1000 * (time.perf_counter() - began) / len(rows)
    good, bad = journal_rows.records(
        bundle,
        model.sha256,
        rows,
        scores,
        ids,
        source="api",
        at=utc_now(),
        key=state.key,
        latency_ms=took,
    )
    if bad:
        await _keep(state, [], bad)
        served_model.refuse_bad_rows(found, several=len(rows) > 1)
    where = await _keep(state, good, [])
    api_metrics.predicted(scores)
    return {
        "model": model.pathspec,
        "threshold": bundle.metadata.threshold.value,
        "predictions": served_model.answers(scores, found, ids),
        "notes": notes,
        **({"journal": "spooled"} if where == "spool" else {}),
    }


async def _keep(state: Any, good: list[dict], bad: list[dict]) -> str:
    try:
        return await asyncio.wrap_future(state.writer.submit(good, bad))
    except NotKept as problem:
        raise _unrecorded(str(problem)) from None


def _unrecorded(why: str) -> Refused:
    log.error("nothing could be recorded: %s", why)
    return Refused(
        "Nothing could be recorded",
        [
            Finding(
                code="journal-unreachable",
                severity="error",
                subject="journal",
                found=why[:300],
                expected="a journal that takes lines",
                action="try again later",
            )
        ],
    )


def main() -> int:
    """Serve, with as many processes as the settings say."""
    import uvicorn
    from uvicorn.supervisors import Multiprocess

    try:
        chosen = service_settings()
        database.open_journal(settings.journal_url()).dispose()
        if chosen["model"]:
            served_model.load(str(chosen["model"]))
    except Refused as problem:
        print(problem, file=sys.stderr)
        return 1
    api_metrics.prepare(chosen["workers"])
    options: dict[str, Any] = {name: chosen[name] for name in ("host", "port", "workers")}
    options |= {"log_level": "warning", "server_header": False, "timeout_worker_healthcheck": 30}
    if chosen["workers"] == 1:
        uvicorn.run("frontend.api:app", **options)
        return 0
    config = uvicorn.Config("frontend.api:app", **options)
    listener = config.bind_socket()
    listener.setsockopt(
        socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
    )  # asyncio does not for this one: 40 ms an answer
    Multiprocess(config, sockets=[listener]).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
