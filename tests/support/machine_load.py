"""What else ran on the machine during a measurement, from /proc and the own CPU time."""

from __future__ import annotations

import ctypes
import os
import resource
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
BUSY_SHARE = 0.10  # of all processors' time, used by others: from here on a run does not count
_SET_CHILD_SUBREAPER = 36  # prctl(2)


@dataclass(frozen=True)
class Snapshot:
    """The machine at one moment: CPU seconds since its start, and those of this process."""

    at: float
    loadavg: str
    used_s: float
    own_s: float
    processors: int


def own_cpu_seconds() -> float:
    """Return the CPU seconds of this process and of its children that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def snapshot(
    proc: Path = PROC,
    own: Callable[[], float] = own_cpu_seconds,
    clock: Callable[[], float] = time.monotonic,
) -> Snapshot | None:
    """Return the machine at this moment; None where there is no /proc.

    Used is all but idle and waiting for disks. What a host takes from this machine (steal) counts
    as used: it is missing here as well.
    """
    try:
        stat = (proc / "stat").read_text().splitlines()
        loadavg = (proc / "loadavg").read_text().strip()
    except OSError:
        return None
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, stat[0].split()[1:9])
    ticks = user + nice + system + irq + softirq + steal
    processors = sum(line[:3] == "cpu" and line[3:4].isdigit() for line in stat)
    used_s = ticks / os.sysconf("SC_CLK_TCK")
    return Snapshot(clock(), loadavg, used_s, own(), processors)


def load_between(before: Snapshot | None, after: Snapshot | None) -> dict:
    """Return {loadavg_before, loadavg_after, others_cpu_s, others_share, busy} of a measurement.

    The share is of the time that all processors had. Without /proc nothing is known: {busy: False}.
    """
    if before is None or after is None:
        return {"busy": False}
    others = max(0.0, (after.used_s - before.used_s) - (after.own_s - before.own_s))
    available = after.processors * (after.at - before.at)
    share = others / available if available > 0 else 0.0
    return {
        "loadavg_before": before.loadavg,
        "loadavg_after": after.loadavg,
        "others_cpu_s": round(others, 2),
        "others_share": round(share, 4),
        "busy": share > BUSY_SHARE,
    }


def adopt_orphans() -> None:
    """Let this process inherit grandchildren that lose their parent (Linux; elsewhere nothing).

    `reap_orphans` can then wait for them, so that their CPU time counts as own.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap_orphans(patience: float = 0.5) -> None:
    """Wait for all children to end, but no longer than `patience` seconds."""
    deadline = time.monotonic() + patience
    with suppress(ChildProcessError):  # none is left
        while time.monotonic() < deadline:
            ended, _ = os.waitpid(-1, os.WNOHANG)
            if not ended:
                time.sleep(0.01)
