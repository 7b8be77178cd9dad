"""Whether a measurement ran beside other work, on a made-up /proc."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support.machine_load import load_between, own_cpu_seconds, snapshot
from tests.support.running import ROOT

TICKS = os.sysconf("SC_CLK_TCK")


def machine(folder, used_s, steal_s=0.0):
    """A /proc of two processors that have worked for `used_s` seconds since the start."""
    folder.mkdir(exist_ok=True)
    work = (int(used_s * TICKS), 0, 0, 10**6, 500, 0, 0, int(steal_s * TICKS), 0, 0)
    total = "cpu  " + " ".join(map(str, work))
    (folder / "stat").write_text(f"{total}\ncpu0 1 2 3\ncpu1 1 2 3\nintr 5\nctxt 7\n")
    (folder / "loadavg").write_text("1.50 0.70 0.30 2/120 4711\n")
    return folder


def measured(tmp_path, used_s, own_s, seconds=60.0, steal_s=0.0):
    """The load of a measurement of `seconds` in which the machine and the process used this."""
    before = snapshot(machine(tmp_path / "a", 100.0), own=lambda: 5.0, clock=lambda: 0.0)
    after = snapshot(
        machine(tmp_path / "b", 100.0 + used_s, steal_s),
        own=lambda: 5.0 + own_s,
        clock=lambda: seconds,
    )
    return load_between(before, after)


@pytest.mark.parametrize(("others_s", "busy"), [(0, False), (11.9, False), (12.2, True)])
def test_busy_is_more_than_a_tenth_of_all_processors(tmp_path, others_s, busy):
    """Two processors have 120 s in a minute, so 12 s of others are a tenth."""
    load = measured(tmp_path, used_s=100 + others_s, own_s=100)
    assert load["busy"] is busy
    assert load["others_cpu_s"] == pytest.approx(others_s, abs=0.05)
    assert load["others_share"] == pytest.approx(others_s / 120, abs=0.001)


def test_load_averages_are_recorded(tmp_path):
    load = measured(tmp_path, used_s=1, own_s=1)
    assert load["loadavg_before"] == load["loadavg_after"] == "1.50 0.70 0.30 2/120 4711"


def test_own_work_alone_is_not_busy(tmp_path):
    assert not measured(tmp_path, used_s=118, own_s=119)["busy"]


def test_time_that_the_host_takes_counts_as_others(tmp_path):
    assert measured(tmp_path, used_s=60, own_s=60, steal_s=20)["busy"]


def test_nothing_is_known_without_proc(tmp_path):
    assert snapshot(tmp_path / "none") is None
    assert load_between(None, None) == {"busy": False}


def test_own_seconds_grow_with_own_work():
    before = own_cpu_seconds()
    while own_cpu_seconds() - before < 0.02:
        sum(range(10_000))
    assert own_cpu_seconds() > before


def test_time_of_orphans_counts_as_own():
    """A grandchild whose parent does not wait for it would else be taken for somebody else."""
    work = (
        "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time\\n"
        "while time.process_time() < 0.4: pass'], start_new_session=True)"
    )
    code = (
        "import subprocess, sys\n"
        "from tests.support.machine_load import adopt_orphans, own_cpu_seconds, reap_orphans\n"
        "adopt_orphans()\n"
        "before = own_cpu_seconds()\n"
        f"subprocess.run([sys.executable, '-c', {work!r}], check=True)\n"
        "reap_orphans(patience=20)\n"
        "print(own_cpu_seconds() - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert float(done.stdout) >= 0.4
