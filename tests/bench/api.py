"""Times of our API beside MLflow's own server on the same model: `python -m tests.bench.api`.

Takes the newest training run of the datastore (or --run); trains nothing. Threads of this process
send both servers the same requests at /invocations, over connections that stay open, on the same
cores. Ours checks each row, explains its warnings and commits it to a journal before it answers;
MLflow's does none of that.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from fivefold.core import settings
from fivefold.core.parquet import from_parquet
from fivefold.data.coerce import coerce_table
from fivefold.model.bundle import Bundle, from_bytes
from fivefold.model.inputs import expand
from fivefold.serving import json_rows
from fivefold.tracking import client as runs
from fivefold.tracking import mirror_outcome
from fivefold.tracking.mirror_outcome import MirrorResult
from tests.bench.scoring import median
from tests.support.running import ROOT
from tests.support.servers import free_port, running

CLIENTS, MANY = 8, 1000
FIGURES = (
    "1 row, 1 client: p50, ms",
    "1 row, 1 client: p95, ms",
    f"1 row, {CLIENTS} clients: requests/s",
    f"{MANY:,} rows, 1 client: p50, ms",
    f"{MANY:,} rows, {CLIENTS} clients: requests/s",
    f"{MANY:,} rows, {CLIENTS} clients: rows/s",
)


def main() -> None:
    """Measure; print one table, servers side by side."""
    load = os.getloadavg()[0]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", help="id of a training run; default: the newest")
    parser.add_argument(
        "--repeats", type=int, default=300, help="requests of one row by one client"
    )
    parser.add_argument(
        "--seconds", type=float, default=5.0, help="of each measurement with several clients"
    )
    options = parser.parse_args()
    settings.prepare(ROOT)
    run = runs.find_run(options.run)
    bundle = from_bytes(*runs.bundle_bytes(run))
    table = from_parquet(run["start"].task["table"].data)[bundle.schema.names()].head(MANY)
    rows = json.loads(table.to_json(orient="records", date_format="iso"))
    rows = (rows * -(-MANY // len(rows)))[:MANY]
    columns, sizes = {}, {"1 worker": 1, "2 workers": 2}
    for name, workers in sizes.items():
        with ours(run.pathspec, workers) as port:
            columns[f"ours, {name}"] = measured(port, rows, options.repeats, options.seconds)
    mirrored = mirror_outcome.find(run) or MirrorResult()
    for name, workers in sizes.items() if mirrored.model_uri else ():
        with mlflows(mirrored, workers) as port:
            columns[f"MLflow, {name}"] = measured(port, rows, options.repeats, options.seconds)
    print(
        f"{run.pathspec}, {bundle.metadata.algorithm}, {os.cpu_count()} cores, "
        f"load before {load:.1f}"
    )
    print(f"{'':34}" + "".join(f"{name:>19}" for name in columns))
    for n, figure in enumerate(FIGURES):
        print(f"{figure:34}" + "".join(f"{values[n]:19,.1f}" for values in columns.values()))
    bare, score = in_process(bundle, rows[0], options.repeats)
    print(
        f"in this process, one row: predict_proba of the bare pipeline {bare:.1f} ms, "
        f"Bundle.score {score:.1f} ms"
    )


def in_process(bundle: Bundle, row: dict[str, Any], repeats: int) -> tuple[float, float]:
    """Median ms of (the stock pipeline's predict_proba of a typed row, `Bundle.score` of it)."""
    raw = json_rows.table_of([row], bundle.schema)[0]
    expanded = expand(coerce_table(raw, bundle.schema)[0], bundle.schema)
    return median(lambda: bundle.pipeline.predict_proba(expanded), max(10, repeats // 10)), median(
        lambda: bundle.score(raw), repeats
    )


@contextlib.contextmanager
def ours(pathspec: str, workers: int) -> Iterator[int]:
    """The port of our API with this run's model, its journal in a folder that is thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        kept = {k: v for k, v in os.environ.items() if not k.startswith("FIVEFOLD")}
        env = {
            **kept,
            "FIVEFOLD_API_PORT": str(port),
            "FIVEFOLD_API_WORKERS": str(workers),
            "FIVEFOLD_API_MODEL": pathspec,
            "FIVEFOLD_API_SPOOL": folder,
            "FIVEFOLD_JOURNAL": f"sqlite:///{folder}/journal.db",
            "FIVEFOLD_PSEUDONYM_KEY": "bench",
        }
        with running(
            [sys.executable, str(ROOT / "frontend" / "api.py")],
            f"http://127.0.0.1:{port}/ping",
            Path(folder),
            env=env,
        ):
            yield port


@contextlib.contextmanager
def mlflows(mirrored: MirrorResult, workers: int) -> Iterator[int]:
    """The port of `mlflow models serve` with the same model."""
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        command = [
            sys.executable,
            "-m",
            "mlflow",
            "models",
            "serve",
            "--model-uri",
            mirrored.model_uri,
            "--env-manager",
            "local",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--workers",
            str(workers),
        ]
        env = {**os.environ, "MLFLOW_TRACKING_URI": mirrored.uri}
        with running(command, f"http://127.0.0.1:{port}/ping", Path(folder), 120, env):
            yield port


def measured(port: int, rows: list[dict[str, Any]], repeats: int, seconds: float) -> list[float]:
    """The `FIGURES` of a server."""
    bodies = [json.dumps({"dataframe_records": [row]}).encode() for row in rows]
    large = json.dumps({"dataframe_records": rows}).encode()
    for _ in range(3):  # every worker has then answered
        busy(port, bodies[:50], 0.5)
    one = latencies(port, bodies, repeats)
    small = busy(port, bodies, seconds)
    many = latencies(port, [large], max(5, repeats // 30))
    big = busy(port, [large], seconds)
    return [
        1000 * statistics.median(one),
        1000 * float(np.percentile(one, 95)),
        small,
        1000 * statistics.median(many),
        big,
        big * MANY,
    ]


def latencies(port: int, bodies: list[bytes], repeats: int) -> list[float]:
    """Seconds of requests one after the other."""
    connection, times = http.client.HTTPConnection("127.0.0.1", port), []
    for n in range(repeats):
        began = time.perf_counter()
        ask(connection, bodies[n % len(bodies)])
        times.append(time.perf_counter() - began)
    connection.close()
    return times


def busy(port: int, bodies: list[bytes], seconds: float) -> float:
    """Requests per second of `CLIENTS` clients at once."""
    began = time.perf_counter()

    def client(number: int) -> int:
        connection, done = http.client.HTTPConnection("127.0.0.1", port), 0
        while time.perf_counter() - began < seconds:
            ask(connection, bodies[(number * 100 + done) % len(bodies)])
            done += 1
        connection.close()
        return done

    with ThreadPoolExecutor(CLIENTS) as pool:
        done = sum(pool.map(client, range(CLIENTS)))
    return done / (time.perf_counter() - began)


def ask(connection: http.client.HTTPConnection, body: bytes) -> None:
    connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    text = answer.read()
    if answer.status != 200:
        raise SystemExit(f"HTTP {answer.status}: {text[:500]!r}")


if __name__ == "__main__":
    main()
