"""Threads, log and progress of a job."""

from __future__ import annotations

import errno
import logging
import os
import re
import subprocess
import sys
import time

import pytest
from cgdistill.runtime.job import Progress, job, log

JOB = """
{before}
import numpy as np
from cgdistill.runtime.job import job
with job(None, 1):
    from cgdistill.geometry.neighbours import NeighbourList
    pairs = NeighbourList(3.0, 0.0).pairs(np.random.default_rng(0).uniform(0, 9, (20, 3)), 9.0 * np.eye(3))
    import numba
    print(len(pairs[0]), numba.get_num_threads())
"""


@pytest.mark.parametrize(
    "before", ["", "import numba, cgdistill.forcefield.prior", "import numba; numba.get_num_threads()"]
)
def test_threads_are_pinned_whenever_numba_was_loaded(before):
    """Before the job, with its threads started or not, or within it; loops in parallel work in each case."""
    done = subprocess.run([sys.executable, "-c", JOB.format(before=before)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    pairs, threads = map(int, done.stdout.split())
    assert pairs > 0 and threads == 1


BUSY = """
import os, time
from cgdistill.runtime.job import job
with job(None, {threads}):
    import numba, numpy as np, torch
    @numba.njit(parallel=True, fastmath=False)
    def total(a):
        found = np.zeros(len(a))
        for i in numba.prange(len(a)):
            for value in a[i]:
                found[i] += np.sin(value)
        return found.sum()
    a = np.random.default_rng(0).normal(size=(600, 600))
    b = torch.from_numpy(a)
    total(a)
    cpu, wall = time.process_time(), time.perf_counter()
    while time.perf_counter() < wall + 1.0:
        total(a), a @ a, b @ b
    print((time.process_time() - cpu) / (time.perf_counter() - wall))
"""


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core: nothing could be oversubscribed")
def test_a_job_keeps_to_its_threads():
    """numpy, torch and numba together use no more cores than the job has; on a busy machine the test sees less."""
    done = subprocess.run([sys.executable, "-c", BUSY.format(threads=1)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert 0 < float(done.stdout) < 1.2


CRASH = """
import ctypes, sys
from cgdistill.runtime.job import job
with job({log!r}):
    ctypes.string_at(1)
"""


def test_a_crash_leaves_a_trace_in_the_log(tmp_path):
    done = subprocess.run([sys.executable, "-c", CRASH.format(log=str(tmp_path / "a.log"))], capture_output=True)
    assert done.returncode == -11
    text = (tmp_path / "a.log").read_text()
    assert "Fatal Python error: Segmentation fault" in text and "string_at" in text


def test_a_log_that_cannot_be_written(capfd):
    """/dev/full accepts nothing: messages are on stderr, once, without tracebacks."""
    with pytest.raises(SystemExit) as caught, job("/dev/full"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a.h5")
    assert caught.value.code == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert "a.h5: writing: found No space left on device" in line


@pytest.mark.parametrize("offset_s", [3600.0, -3600.0])
def test_time_left_when_the_clock_jumps(monkeypatch, caplog, offset_s):
    """The estimate in the log does not depend on the time of day."""
    jump_s, now = [0.0], time.time
    monkeypatch.setattr(time, "time", lambda: now() + jump_s[0])
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    monkeypatch.setattr(log, "propagate", True)
    caplog.set_level(logging.INFO, "cgdistill")
    bar = Progress(100, "steps", interval_s=0.0)
    jump_s[0] = offset_s
    time.sleep(0.2)
    bar.update(50)
    assert 0 <= float(re.search(r"50/100 it, (\S+) s left", caplog.text)[1]) < 60
