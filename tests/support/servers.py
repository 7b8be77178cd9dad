"""Loopback servers for tests: silent ones, failing ones, and a real MLflow."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def free_port() -> int:
    """Return a port at which nothing listened a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def silent() -> Iterator[str]:
    """Yield the address of a server that accepts connections and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(16)
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@contextlib.contextmanager
def answering(status: int, health: int, delay: float = 0.0) -> Iterator[tuple[str, list[str]]]:
    """Yield (address, requested paths) of a server that answers with these statuses.

    `health` at /health; `status` elsewhere, after `delay` seconds.
    """
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            if self.path != "/health":
                time.sleep(delay)
            with contextlib.suppress(OSError):
                self.send_response(health if self.path == "/health" else status)
                self.end_headers()
                self.wfile.write(b"OK")

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def running(
    command: list[str],
    health: str,
    cwd: Path,
    seconds: float = 300,
    env: dict[str, str] | None = None,
) -> Iterator[int]:
    """Start a server, wait until `health` answers, yield its pid; stop it and its children."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    env = {
        **(os.environ if env is None else env),
        "PATH": path,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PYTHONPATH": "",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    with (cwd / "server.log").open("wb") as log:
        server = subprocess.Popen(
            command, cwd=cwd, env=env, stdout=log, stderr=log, start_new_session=True
        )
        try:
            deadline = time.monotonic() + seconds
            while True:
                try:
                    with urllib.request.urlopen(health, timeout=2) as answer:
                        if answer.status == 200:
                            break
                except urllib.error.HTTPError as refused:
                    if refused.code == 401:  # it runs, and wants a key
                        break
                except OSError:
                    pass
                if server.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(
                        "the server did not start:\n" + (cwd / "server.log").read_text()[-2000:]
                    )
                time.sleep(0.1)
            yield server.pid
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)
            server.wait(10)


@contextlib.contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """Yield the address of a real MLflow server that keeps everything in `folder`."""
    port = free_port()
    server = [sys.executable, "-m", "mlflow", "server", "--workers", "1"]
    listen = ["--host", "127.0.0.1", "--port", str(port)]
    metadata = ["--backend-store-uri", f"sqlite:///{folder / 'server.db'}"]
    artifacts = ["--artifacts-destination", str(folder / "served")]
    command = [*server, *listen, *metadata, *artifacts]
    with running(command, f"http://127.0.0.1:{port}/health", folder):
        yield f"http://127.0.0.1:{port}"
