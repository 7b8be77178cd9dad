"""The REST API: `make api`, or `python frontend/api.py`; its documentation is at /docs.

The settings are in the table of `lib/fivefold/serving/api_settings.py`.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).resolve().parent.parent
from fivefold.core import settings
from fivefold.core.clock import utc_now

settings.prepare(ROOT)  # before anything imports Metaflow

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from fivefold.core.findings import ERROR, Finding, Refused, errors, refusal
from fivefold.core.text import error_line
from fivefold.journal import database
from fivefold.journal.labels import add_labels
from fivefold.journal.writer import ROWS_A_SECOND, NotKept, Writer
from fivefold.model.bundle import Assessment
from fivefold.model.explain import require_background
from fivefold.serving import json_rows, labels, served_model
from fivefold.serving import request as requests
from fivefold.serving.api_settings import ApiSettings, read_settings
from fivefold.serving.journal_rows import JournalRows, Recorder
from frontend import api_docs, api_metrics

log = logging.getLogger("fivefold")
INLINE_BYTES = 10_000  # body up to which it is quicker to answer than to hand it to a thread
HEAVY = 2  # large requests that are worked on at a time
T = TypeVar("T")
SILENT_SECONDS = 5.0  # without an answer of the journal, after which it is told as away


@dataclass(frozen=True)
class Server:
    """What the requests of one process share.

    key: makes pseudonyms. spool: folder of the rows that wait for the journal. heavy: admits large
    requests. buckets: the rate limit of each client (`frontend.api_metrics.wait`).
    """

    settings: ApiSettings
    engine: Any
    key: bytes
    spool: Path
    follower: served_model.Follower
    writer: Writer
    heavy: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(HEAVY))
    buckets: MutableMapping[str, tuple[float, float]] = field(default_factory=dict)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open the journal and load the promoted model; at the end write what waits, then close."""
    chosen = read_settings()
    engine = await run_in_threadpool(database.open_journal, settings.journal_url())
    spool = Path(chosen.spool) if chosen.spool else settings.spool_folder()
    server = Server(
        settings=chosen,
        engine=engine,
        key=settings.pseudonym_key(),
        spool=spool,
        follower=served_model.Follower(engine, chosen.problem, chosen.model),
        writer=Writer(engine, spool),
    )
    app.state.server = server
    await run_in_threadpool(server.follower.start)
    try:
        server.follower.current()
    except Refused as refused:  # a server without a model finds one as soon as it is promoted
        log.warning("%s", refused)
    yield
    server.follower.close()
    await run_in_threadpool(server.writer.close)
    engine.dispose()


app = FastAPI(
    title="Fivefold",
    lifespan=lifespan,
    docs_url=None,
    redoc_url=None,
    redirect_slashes=False,
    description="Predictions of the promoted model, its feedback and its health.",
)
app.openapi = lambda: api_docs.openapi(app)  # type: ignore[method-assign]


@app.middleware("http")
async def guard(request: Request, proceed: Callable[[Request], Awaitable[Response]]) -> Response:
    """Check key and rate, count the request, and answer every failure in JSON."""
    began = time.perf_counter()
    answer = api_metrics.denied(request, _server(request))
    if answer is None:
        try:
            answer = await proceed(request)
        except Exception:
            number = uuid.uuid4().hex[:8]
            log.exception("request failed, number %s", number)
            failed = Finding(
                code="request-failed",
                severity=ERROR,
                subject="server",
                found=f"an error, number {number} in the log",
                expected="an answer",
                action="try again; if it fails again, read the log",
            )
            answer = api_docs.refusal([failed])
    seconds = time.perf_counter() - began
    api_metrics.request(request.scope.get("route"), answer.status_code, seconds)
    return answer


@app.exception_handler(Refused)
async def refused(_: Request, problem: Refused) -> Response:
    """Answer what was refused: status 4xx, or 503 where the server lacks something."""
    return api_docs.refusal(errors(problem.findings), error=str(problem).splitlines()[0])


@app.exception_handler(HTTPException)
async def unknown(request: Request, problem: HTTPException) -> Response:
    """Answer unknown paths and methods in the same form."""
    known = sorted({getattr(route, "path", "") for route in app.routes} & set(api_docs.PATHS))
    finding = Finding(
        code="request-unknown",
        severity=ERROR,
        subject="path",
        found=f"{request.method} {request.scope['path']}"[:200],
        expected=", ".join(known),
        action="see /docs",
    )
    return api_docs.refusal(
        [finding], error=problem.detail, headers=problem.headers, status=problem.status_code
    )


@app.post("/predict")
async def predict(request: Request) -> Response:
    """Probability, decision and warnings of each row; recorded before they are returned.

    With ?explain=true also reasons, for the first 100 rows and at most 5 seconds.
    """
    _content_type(request, "application/json")
    body = await api_metrics.body(request)
    limit = _server(request).settings.max_rows
    rows = await _run(request, body, lambda: requests.rows_of(requests.parse(body), limit))
    answer = await _answer(request, body, rows)
    return await _run(request, body, JSONResponse, answer)


@app.post("/invocations")
async def invocations(request: Request) -> Response:
    """Answer the same in MLflow's protocol: JSON in its four forms, or CSV."""
    content_type = _content_type(request, "application/json", "text/csv")
    body = await api_metrics.body(request)
    limit = _server(request).settings.max_rows
    if content_type == "text/csv":
        rows = await _run(request, body, requests.csv_rows, body, limit)
    else:
        read = requests.invocation_rows
        rows = await _run(request, body, lambda: read(requests.parse(body), limit))
    answer = await _answer(request, body, rows)
    told = [key for key in ("predictions", "notes", "base", "journal") if answer.get(key)]
    return await _run(request, body, JSONResponse, {key: answer[key] for key in told})


@app.post("/feedback")
async def give_feedback(request: Request) -> Response:
    """Record labels: {"labels": [{prediction_id or id columns, label, observed_at?, acted?}]}.

    `acted` says that somebody acted upon the case because of its prediction. The answer counts
    the labels by outcome.
    """
    _content_type(request, "application/json")
    server = _server(request)
    body = await api_metrics.body(request)
    value = await _run(request, body, requests.parse, body)
    bundle = server.follower.current().bundle
    rows = value["labels"] if isinstance(value, dict) and set(value) == {"labels"} else value
    rows = [rows] if isinstance(rows, dict) else rows
    if not isinstance(rows, list):
        raise requests.bad_request(requests.json_type(rows), '{"labels": [...]}', field="labels")
    requests.check_row_count(len(rows), server.settings.max_rows)
    scope = bundle.metadata.scope
    schema, key = bundle.schema, server.key
    reported = await _run(request, body, labels.read_labels, rows, schema, scope, key)
    who = f"api {api_metrics.client(request)}".strip()
    try:
        add = partial(add_labels, server.engine, scope.problem, reported, source="api", who=who)
        seconds = database.BUSY_SECONDS + 1 + len(reported) / ROWS_A_SECOND
        counts = await run_in_threadpool(database.within, server.engine, seconds, add)
    except Exception as error:  # drivers raise many kinds
        raise _unrecorded(error_line(error)) from None
    return JSONResponse({**counts, "told": labels.describe_outcomes(counts)})


@app.get("/model")
async def model(request: Request) -> Response:
    """Which model answers, since when and why, and what it needs."""
    served = _server(request).follower.current()
    metadata, promotion = served.bundle.metadata, served.promotion
    auc = metadata.auc or {}
    outcomes = metadata.outcomes
    return JSONResponse(
        {
            "model": served.pathspec,
            "sha256": served.sha256,
            "algorithm": metadata.algorithm,
            "problem": metadata.scope.problem,
            "question": metadata.scope.question,
            "threshold": metadata.threshold.value,
            "decisions": [outcomes.negative, outcomes.positive],
            "since": promotion.at.isoformat(timespec="seconds") + "Z" if promotion else None,
            "promoted_by": promotion.who if promotion else None,
            "why": promotion.why if promotion else None,
            "roc_auc": {name: auc.get(name) for name in ("value", "low", "high")},
            "cautions": metadata.cautions,
            "fitted_again_on": metadata.refit.rows if metadata.refit else None,
            "columns": json_rows.contract_schema(served.bundle.schema, served.bundle.optional),
        }
    )


@app.get("/health")
async def health(request: Request) -> Response:
    """200 with the model's name if it can predict, else 503 with the reason.

    The status is "degraded" while the journal does not answer, or rows wait for it in files.
    """
    server = _server(request)
    served = server.follower.current()
    spooled = api_metrics.spooled_files(server.spool)
    is_away = server.writer.away or server.follower.silence > SILENT_SECONDS
    status = {"status": "degraded" if is_away or spooled else "ok"}
    journal = {"journal": "does not answer"} if is_away else {}
    known = {"model": served.pathspec, "spooled_files": spooled}
    return JSONResponse(status | known | journal)


@app.get("/ping", response_class=PlainTextResponse)
async def ping(request: Request) -> Response:
    """MLflow's probe."""
    _server(request).follower.current()
    return PlainTextResponse("\n")


@app.get("/docs", include_in_schema=False)
async def docs() -> Response:
    """Describe the endpoints for people."""
    return HTMLResponse(api_docs.page(app.openapi()))


@app.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """Counters and latencies for Prometheus."""
    return api_metrics.exposition(_server(request).spool)


for route in list(app.routes):  # HEAD wherever GET works; not described twice
    if isinstance(route, APIRoute) and route.methods == {"GET"}:
        app.add_api_route(route.path, route.endpoint, methods=["HEAD"], include_in_schema=False)


def _content_type(request: Request, *known: str) -> str:
    """Return the content type, "" without one. Raises `Refused` for another one.

    A page of another site can post other types without asking.
    """
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type not in ("", *known):
        raise requests.bad_request(
            f"the content type {content_type[:80]!r}",
            " or ".join(known),
            "correct the header",
            field="Content-Type",
            code="content-type",
        )
    return content_type


def _server(request: Request) -> Server:
    return request.app.state.server


async def _run(request: Request, body: bytes, call: Callable[..., T], *arguments: Any) -> T:
    """Return what a call returns; for a large body it runs in a thread, a few at a time."""
    if len(body) <= INLINE_BYTES:
        return call(*arguments)
    async with _server(request).heavy:
        return await run_in_threadpool(call, *arguments)


@dataclass(frozen=True)
class _Scored:
    """The rows of a request, scored: as a table, with the answers and as rows of the journal."""

    table: json_rows.Table
    assessment: Assessment
    journal: JournalRows


async def _answer(request: Request, body: bytes, rows: list[requests.Row]) -> dict[str, Any]:
    began = time.perf_counter()
    server = _server(request)
    served = server.follower.current()
    bundle = served.bundle
    explain = requests.is_true(request.query_params.get("explain", "false"), "explain")
    if explain:
        require_background(bundle)
    ids = [str(uuid.uuid4()) for _ in rows]
    recorder = Recorder(served, "api", server.key)

    def score() -> _Scored:
        table = json_rows.table_of(rows, bundle.schema, bundle.optional)
        assessment = json_rows.assess(bundle, table)
        latency_ms = 1000 * (time.perf_counter() - began) / len(rows)
        journal = recorder.rows(rows, assessment, ids, utc_now(), latency_ms)
        return _Scored(table, assessment, journal)

    try:
        scored = await _run(request, body, score)
    except Refused as why:
        await _record(
            server, await _run(request, body, recorder.refused, rows, ids, why, utc_now())
        )
        raise
    if scored.journal.rejects:
        await _record(server, JournalRows([], scored.journal.rejects))
        json_rows.refuse_unreadable(scored.assessment.warnings, several=len(rows) > 1)
    where = await _record(server, scored.journal)
    api_metrics.predicted(scored.assessment.scores)
    control = None
    if bundle.metadata.scope.control_share is not None:
        control = [row["control"] for row in scored.journal.predictions]
    nothing = bundle.metadata.decides_nothing
    answer = {
        "model": served.pathspec,
        "threshold": bundle.metadata.threshold.value,
        "predictions": await _run(
            request, body, json_rows.answers, *scored.assessment, ids, control
        ),
        "notes": scored.table.notes + [nothing] * bool(nothing),
    }
    if explain:
        async with server.heavy:
            await run_in_threadpool(json_rows.add_reasons, answer, bundle, scored.table)
    return answer | {"journal": "spooled"} if where == "spool" else answer


async def _record(server: Server, rows: JournalRows) -> str:
    """Return where the rows went: journal or spool. Raises `Refused` where neither took them."""
    try:
        return await asyncio.wrap_future(server.writer.submit(*rows))
    except NotKept as error:
        raise _unrecorded(str(error)) from None


def _unrecorded(why: str) -> Refused:
    log.error("nothing could be recorded: %s", why)
    return refusal(
        "Nothing could be recorded",
        code="journal-unreachable",
        subject="journal",
        found=why[:300],
        expected="a journal that takes rows",
        action="try again later",
    )


def main() -> int:
    """Serve, with as many processes as the settings say."""
    import uvicorn
    from uvicorn.supervisors import Multiprocess

    try:
        chosen = read_settings()
        database.open_journal(settings.journal_url()).dispose()
        if chosen.model:
            served_model.check(chosen.model)
    except Refused as problem:
        print(problem, file=sys.stderr)
        return 1
    api_metrics.prepare(chosen.workers)
    options: dict[str, Any] = {
        "host": chosen.host,
        "port": chosen.port,
        "workers": chosen.workers,
        "log_level": "warning",
        "server_header": False,
        "timeout_worker_healthcheck": 30,
        "http": "frontend.api_protocol:BoundedProtocol",
    }
    if chosen.workers == 1:
        uvicorn.run("frontend.api:app", **options)
        return 0
    config = uvicorn.Config("frontend.api:app", **options)
    listener = config.bind_socket()
    # asyncio does not set it for this socket: 40 ms an answer
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    Multiprocess(config, sockets=[listener]).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
