"""Warm start: the tasks of a run are forked from one process that has imported the libraries.

Each task is a process of its own. Started from nothing, it imports pandas, scikit-learn and the
boosted libraries before its first line of work: 2 to 5 s, ten times a run. Here a server imports
them once, while the first tasks already run, and forks itself for each task, as the server of
`multiprocessing` does for the processes of one program.

Metaflow starts `python warm.py ARGUMENTS...` in place of `python SCRIPT ARGUMENTS...`, for tasks
and for the processes that draw their cards. This client gives its arguments, environment and files
to the server, waits for the task, and ends as it does. Where no server answers, it becomes the
plain command.

No task outlives its client, and none outlives the scheduler: the server kills them.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import struct
import sys

PATIENCE = 20.0  # seconds that a client waits for the server, which may be importing
LENGTH = struct.Struct("!Q")
SERVER, SCRIPT = "FIVEFOLD_WARM_SERVER", "FIVEFOLD_WARM_SCRIPT"  # its address, and the flow's file


def entrypoint(script: str, modules: tuple[str, ...]) -> list[str]:
    """Start a server that imports `modules`; return the words that start a task.

    The plain words where processes cannot be forked safely: another system than Linux, or another
    interpreter for the tasks (`--environment`).
    """
    plain = [sys.executable, script]
    elsewhere = any(word.startswith("--environment") for word in sys.argv)
    if sys.platform != "linux" or elsewhere or os.environ.get("FIVEFOLD_WARM") == "0":
        return plain
    import atexit
    import subprocess
    import tempfile
    from pathlib import Path

    listener, address = socket.socket(socket.AF_UNIX), ""
    try:
        address = os.path.join(tempfile.mkdtemp(prefix="fivefold-"), "warm")  # for this user only
        listener.bind(address)
        listener.listen(64)
        alive, held = os.pipe()  # `held` closes when this process ends, however it ends
        given = [listener.fileno(), alive]
        words = [sys.executable, __file__, "--serve", *map(str, given), address, *modules]
        quiet = subprocess.DEVNULL
        server = subprocess.Popen(words, pass_fds=given, stdin=quiet, stdout=quiet, stderr=quiet)
        os.close(alive)
        atexit.register(_stop, server, held)
    except OSError:  # a full disk, a long name of the folder, too many processes
        if address:
            shutil.rmtree(os.path.dirname(address), ignore_errors=True)
        return plain
    finally:
        listener.close()
    os.environ[SERVER], os.environ[SCRIPT] = address, str(Path(script).resolve())
    return [sys.executable, "-I", "-S", __file__]


def _stop(server, held: int) -> None:
    """End the server, and wait for it: nothing of a run is left when its command has ended."""
    os.close(held)
    with contextlib.suppress(Exception):  # it is importing; it ends after that
        server.wait(timeout=5)


# --- the client: imports only the modules above, so that it starts in some 20 ms ---


def follow(arguments: list[str]) -> None:
    """Have the server run a task, and end as the task ends."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(PATIENCE)
    request = {"arguments": arguments, "env": dict(os.environ), "cwd": os.getcwd()}
    content = json.dumps(request).encode("utf-8", "surrogateescape")
    try:
        connection.connect(os.environ[SERVER])
        socket.send_fds(connection, [LENGTH.pack(len(content))], [0, 1, 2])
        connection.sendall(content)
        agreed = connection.recv(1)
    except OSError:
        agreed = b""
    if not agreed:  # the server forks for nobody who has not agreed
        connection.close()
        plain = [sys.executable, os.environ[SCRIPT], *arguments]
        os.execv(sys.executable, plain)  # noqa: S606
    connection.settimeout(None)
    try:
        connection.sendall(agreed)
        answer = connection.recv(LENGTH.size)
    except OSError:
        answer = b""
    if not answer:
        os._exit(1)
    pid = LENGTH.unpack(answer)[0]
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: _tell(pid, number))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to the task as well
    try:
        status = connection.recv(LENGTH.size)
    except OSError:
        status = b""
    code = os.waitstatus_to_exitcode(LENGTH.unpack(status)[0]) if status else 1
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
        os.kill(os.getpid(), -code)
    os._exit(code)


def _tell(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


# --- the server ---


def serve(listener: socket.socket, alive: int, address: str, modules: list[str]) -> None:
    """Fork a task for each client until the scheduler ends; import a module when nobody waits."""
    import gc
    import importlib
    import select

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the tasks get it; the scheduler ends them
    waiting = list(modules)
    wake, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # wakes `select`
    clients: dict[int, socket.socket] = {}  # process of a task -> its client
    while True:
        sources = [listener, alive, wake, *clients.values()]
        ready, _, _ = select.select(sources, [], [], 0 if waiting else None)
        if alive in ready:
            break
        if wake in ready:
            os.read(wake, 4096)
        _reap(clients)
        for pid, client in list(clients.items()):
            if client in ready:  # a client says nothing: it has ended
                _tell(pid, signal.SIGKILL)
        if listener in ready:
            client, _ = listener.accept()
            request, files = _request(client)
            if request is None:
                client.close()
                continue
            gc.freeze()  # a task need not look for garbage in what it shares with the server
            pid = os.fork()
            if pid == 0:
                for source in (listener, client, *clients.values()):
                    source.close()
                for descriptor in (alive, wake, waker):
                    os.close(descriptor)
                _end(_become(request, files))
            clients[pid] = client
            with contextlib.suppress(OSError):
                client.sendall(LENGTH.pack(pid))
            for descriptor in files:
                os.close(descriptor)
        elif not ready and waiting:
            with contextlib.suppress(Exception):  # the task that needs it says why it fails
                importlib.import_module(waiting.pop(0))
    for pid in clients:
        _tell(pid, signal.SIGKILL)
    shutil.rmtree(os.path.dirname(address), ignore_errors=True)


def _reap(clients: dict[int, socket.socket]) -> None:
    """Tell the clients of the tasks that have ended."""
    while clients:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        with contextlib.closing(clients.pop(pid)) as client, contextlib.suppress(OSError):
            client.sendall(LENGTH.pack(status))


def _request(client: socket.socket) -> tuple[dict | None, list[int]]:
    """Return what a client asks for, and its files; None where it went away."""
    client.settimeout(5)
    files: list[int] = []
    try:
        head, files, _, _ = socket.recv_fds(client, LENGTH.size, 3)
        left, content = LENGTH.unpack(head)[0], bytearray()
        while len(content) < left:
            piece = client.recv(left - len(content))
            if not piece:
                raise ConnectionError("the client went away")
            content += piece
        client.sendall(b"?")
        if client.recv(1) != b"?":  # it waits no longer
            raise ConnectionError("the client went away")
        return json.loads(content.decode("utf-8", "surrogateescape")), list(files)
    except (OSError, ValueError, struct.error):
        for descriptor in files:
            os.close(descriptor)
        return None, []


def _become(request: dict, files: list[int]) -> object:
    """Turn this fork of the server into the task, and run it; return its exit code."""
    import traceback
    from pathlib import Path

    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _end_with_parent()
    for descriptor, number in zip(files, range(3), strict=True):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    script = Path(os.environ[SCRIPT])
    sys.argv, sys.path[0] = [__file__, *request["arguments"]], str(script.parent)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, write_through=True)
    # in this module: Metaflow keeps types in __main__, which other modules have seen already
    main = sys.modules["__main__"]
    main.__file__ = str(script)
    try:
        exec(compile(script.read_bytes(), str(script), "exec"), main.__dict__)  # noqa: S102
    except SystemExit as end:
        return end.code
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _end(code: object) -> None:
    """End this process as the interpreter does, but do not tear down what the server imported."""
    import atexit

    if not isinstance(code, int | None):
        print(code, file=sys.stderr)
        code = 1
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(code or 0)


def _end_with_parent() -> None:
    """Have the kernel kill this process when the server is killed."""
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        listening, alive = (int(word) for word in sys.argv[2:4])
        serve(socket.socket(fileno=listening), alive, sys.argv[4], sys.argv[5:])
    else:
        follow(sys.argv[1:])
