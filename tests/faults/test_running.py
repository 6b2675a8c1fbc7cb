"""Every fault of `running_cases`: what the log says, how the job ends, and that a rerun gives what it would have given.

Real processes; a full disk is imitated by a limit on the size of files, a GPU by the errors that torch raises for one.
Cannot show what a real GPU, a full file system of a cluster or the kernel's killer do beside that.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import pytest
from cgdistill.tables import read_table
from running_cases import CLOCK, RUNNING, STAGES, Running

sys.path.append(str(Path(__file__).parents[1] / "integration"))
import test_killed as killed

jobs, inputs, trained, simulated = killed.jobs, killed.inputs, killed.trained, killed.simulated


@pytest.fixture(scope="module")
def expected(jobs, inputs, trained, simulated, tmp_path_factory):
    """Inputs and undisturbed folder by stage."""
    more = shutil.copytree(inputs, tmp_path_factory.mktemp("more") / "inputs")
    shutil.copytree(simulated / "out", more / "runs")
    shutil.copytree(trained / "out/teachers", more / "teachers")
    found = {"train": (inputs, trained), "simulate": (inputs, simulated)}
    for stage in ("map", "predict", "structure"):
        folder = tmp_path_factory.mktemp(stage)
        found[stage] = more, killed.uninterrupted(jobs, stage, folder, more)
        assert killed.products(folder)
    return found


def check_end(stage: str, folder: Path, expected: Path) -> None:
    """All products as they would have been."""
    if stage in ("train", "simulate"):
        killed.assert_finished(folder, expected)
        return
    assert killed.products(folder) == killed.products(expected)
    killed.assert_whole(folder, expected)
    assert not list((folder / "out").rglob(".*"))


def check_message(case: Running, said: str) -> None:
    """What the job said is what the table says."""
    assert re.search(case.message, said), said
    assert "done in" not in said
    if case.status == 1:
        # Runs that fail together have a line each before the one of the job.
        errors = [line for line in said.splitlines() if " ERROR " in line]
        assert re.search(case.message, errors[0] if case.traces else errors[-1]), said
    if not case.traces:
        assert "Traceback" not in said and "Current thread" not in said, said


@pytest.mark.parametrize("stage", STAGES)
def test_faults_of_a_job(stage, jobs, expected, tmp_path):
    """One after the other, each as the table says; the last rerun gives what a job gives that was left alone."""
    own, undisturbed = expected[stage]
    for case in RUNNING:
        if case.stage != stage or case.status == 0:
            continue
        (tmp_path / "output.txt").unlink(missing_ok=True)
        killed.start(jobs, stage, tmp_path, own, **case.fault)
        status = jobs.wait()
        said = (tmp_path / "output.txt").read_text(errors="replace")
        assert status == case.status, (case.title, said)
        check_message(case, said)
        if stage in ("train", "simulate"):
            killed.assert_whole(tmp_path, undisturbed)
            killed.assert_little_lost(tmp_path, 1 if stage == "train" else killed.INTERVAL)
    killed.start(jobs, stage, tmp_path, own)
    assert jobs.wait() == 0, (tmp_path / "output.txt").read_text()
    check_end(stage, tmp_path, undisturbed)


@pytest.mark.parametrize("case", [case for case in RUNNING if case.group == CLOCK], ids=lambda case: case.title)
def test_clock_that_jumps(case, jobs, expected, tmp_path):
    """The same products, and times that were measured as if nobody had touched the clock."""
    own, undisturbed = expected[case.stage]
    assert jobs.run(case.stage, tmp_path, own, **case.fault) == case.status
    check_end(case.stage, tmp_path, undisturbed)
    seconds = [read_table(path).seconds for path in (tmp_path / "out").rglob("history.csv")]
    seconds += [json.loads(path.read_text())["wall_s"] for path in (tmp_path / "out").rglob("run.json")]
    assert seconds and all(
        ((0 < value) & (value < 600)) if isinstance(value, float) else value.between(0, 600).all() for value in seconds
    )
