"""What a job does to its process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

JOB = """
{before}
import numpy as np
from cgdistill.console import job
with job(None, 1):
    from cgdistill.evaluation.neighbours import NeighbourList
    pairs = NeighbourList(3.0, 0.0).pairs(np.random.default_rng(0).uniform(0, 9, (20, 3)), 9.0 * np.eye(3))
    import numba
    print(len(pairs[0]), numba.get_num_threads())
"""


@pytest.mark.parametrize("before", ["", "import numba, cgdistill.prior", "import numba; numba.get_num_threads()"])
def test_threads_are_pinned_whenever_numba_was_loaded(before):
    """Before the job, with its threads started or not, or within it; loops in parallel work in each case."""
    done = subprocess.run([sys.executable, "-c", JOB.format(before=before)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    pairs, threads = map(int, done.stdout.split())
    assert pairs > 0 and threads == 1


BUSY = """
import os, time
from cgdistill.console import job
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
