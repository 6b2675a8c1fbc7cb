"""What a job does to its process."""

from __future__ import annotations

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
