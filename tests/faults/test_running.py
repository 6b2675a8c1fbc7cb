"""Every fault of `running_cases`: what the log says, how the job ends, and that a rerun gives what it would have given.

Real processes; a full disk is imitated by a limit on the size of files, a GPU by the errors that torch raises for one.
Cannot show what a real GPU, a full file system of a cluster or the kernel's killer do beside that.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from cgdistill.core.errors import InputError
from cgdistill.io.csv_tables import read_table
from cgdistill.runtime import devices
from running_cases import CLOCK, ELSEWHERE, RUNNING, STAGES, Running
from table import document_part, running_table

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
    """The same products, and durations that a change of the clock does not affect.

    Set back, it makes products older than their inputs; Snakemake discards them, and a rerun gives the same ones.
    """
    own, undisturbed = expected[case.stage]
    killed.start(jobs, case.stage, tmp_path, own, **case.fault)
    assert jobs.wait() == case.status
    if case.rerun:
        check_end(case.stage, tmp_path, undisturbed)
        shutil.rmtree(tmp_path / "out")
        killed.start(jobs, case.stage, tmp_path, own)
        assert jobs.wait() == 0
    check_end(case.stage, tmp_path, undisturbed)
    seconds = [read_table(path).seconds for path in (tmp_path / "out").rglob("history.csv")]
    seconds += [json.loads(path.read_text())["wall_s"] for path in (tmp_path / "out").rglob("run.json")]
    assert seconds and all(
        ((0 < value) & (value < 600)) if isinstance(value, float) else value.between(0, 600).all() for value in seconds
    )


def test_damaged_restart_file(jobs, expected, tmp_path):
    """Cut on disk, or half lost in a power cut: that run begins anew, with a warning, beside one that goes on."""
    own, undisturbed = expected["simulate"]
    assert jobs.run("simulate", tmp_path, own, kind="forces", number=110) == -signal.SIGKILL
    (restart,) = (tmp_path / "checkpoints/1").glob("restart-*.lammps")
    os.truncate(restart, restart.stat().st_size - 1)
    assert jobs.run("simulate", tmp_path, own) == 0
    said = (tmp_path / "output.txt").read_text()
    assert said.count("is damaged, starting anew") == said.count("going on from step") == 1
    check_end("simulate", tmp_path, undisturbed)


def test_gpu_that_is_dead_at_the_start(monkeypatch, tmp_path, caplog):
    """`auto` goes on with the CPU and says why, `cuda` does not; nor is a GPU forgotten that should be there."""
    monkeypatch.setattr(devices.log, "propagate", True)
    monkeypatch.setattr(devices, "_held", {})
    monkeypatch.setattr(devices, "claim", partial(devices.claim, folder=tmp_path / "locks"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(uuid="u", name="imitated"))
    monkeypatch.setattr(devices, "probe", lambda _: "CUDA error: unknown error")
    assert devices.choose_device("auto").type == "cpu"
    assert re.search(ELSEWHERE["auto"].message, caplog.text)
    with pytest.raises(InputError, match=ELSEWHERE["cuda"].message):
        devices.choose_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert devices.choose_device("auto").type == "cpu"
    assert re.search(ELSEWHERE["promised"].message, caplog.text)


def test_the_documented_table_is_that_of_these_cases():
    """`python -m tests.faults.table --write` writes it."""
    assert document_part("running") == running_table()


# Two at once ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def twins():
    """A second process that starts jobs."""
    with killed.Jobs() as running:
        yield running


@pytest.mark.parametrize(("stage", "kind", "number"), [("train", "batch", 12), ("simulate", "forces", 110)])
def test_two_jobs_on_one_checkpoint(stage, kind, number, jobs, twins, expected, tmp_path):
    """The second is refused by name while the first stands still; the first is undisturbed, killed or not."""
    own, undisturbed = expected[stage]
    for end in (signal.SIGKILL, signal.SIGCONT):
        first = jobs.start(stage, tmp_path, own, kind=kind, number=number, action="stop")
        wait_until(lambda process=first: state_of(process) == "T")
        before = {path: path.read_bytes() for path in (tmp_path / "checkpoints").rglob("*") if path.is_file()}
        assert twins.run(stage, tmp_path, own) == 1
        said = (tmp_path / "output.txt").read_text()
        message = (
            rf"checkpoints/1(\.pt)?: checkpoint: found in use by process {first} on {re.escape(os.uname().nodename)}"
        )
        assert re.search(message, said.splitlines()[-1]), said
        assert "Traceback" not in said
        after = {path: path.read_bytes() for path in (tmp_path / "checkpoints").rglob("*") if path.is_file()}
        assert after == before
        os.kill(first, end)
        assert jobs.wait() == (-end if end == signal.SIGKILL else 0)
    check_end(stage, tmp_path, undisturbed)


def state_of(process: int) -> str:
    """Letter of the kernel for what a process does."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]


def wait_until(true, limit_s: float = 60.0) -> None:
    """Wait for something, at most so long."""
    end = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


SNAKEFILE = """
rule all:
    input: "results/second.txt"

rule first:
    output: "results/first.txt"
    shell: "echo begun >> begun.txt; for i in $(seq 600); do test -e go && break; sleep 0.1; done; echo 1 > {output}"

rule second:
    input: "results/first.txt"
    output: "results/second.txt"
    shell: "cat {input} {input} > {output}"
"""


class Workflow:
    """Snakemake in a folder, with a rule that waits for a file, and the profile of this workflow."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.folder = folder
        (folder / "workflow").mkdir()
        (folder / "workflow" / "Snakefile").write_text(SNAKEFILE)
        shutil.copytree(root / "workflow" / "profiles", folder / "workflow" / "profiles")
        self.started: list[subprocess.Popen[str]] = []

    def start(self, *options: str) -> subprocess.Popen[str]:
        """Start Snakemake in a session of its own."""
        command = [sys.executable, "-m", "snakemake", "--cores", "1", *options]
        process = subprocess.Popen(
            command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
        )  # fmt: skip
        self.started.append(process)
        return process

    def run(self, *options: str) -> tuple[int, str]:
        """Exit status and output."""
        process = self.start(*options)
        said = process.communicate(timeout=120)[0]
        return process.returncode, said

    def begun(self) -> int:
        """How often the first rule has begun."""
        return killed.lines(self.folder / "begun.txt")


@pytest.fixture
def workflow(root, tmp_path):
    """A toy workflow, of which nothing outlives the test."""
    toy = Workflow(root, tmp_path)
    yield toy
    for process in toy.started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(30)


def test_two_snakemakes_on_one_folder(workflow):
    """The second is refused; the lock of a killed one too, until `--unlock`; then the same command completes."""
    first = workflow.start()
    wait_until(lambda: workflow.begun() == 1)
    status, said = workflow.run()
    assert status == 1 and re.search(ELSEWHERE["snakemakes"].message, said, re.DOTALL), said
    assert first.poll() is None and not (workflow.folder / "results" / "second.txt").exists()
    os.killpg(first.pid, signal.SIGKILL)
    first.wait(30)
    status, said = workflow.run()
    assert status == 1 and re.search(ELSEWHERE["stale"].message, said, re.DOTALL), said
    assert workflow.run("--unlock")[0] == 0
    # What the killed job may have left half: the profile has it made anew.
    (workflow.folder / "results" / "first.txt").write_text("half")
    (workflow.folder / "go").touch()
    status, said = workflow.run("--workflow-profile", "none")
    assert status == 1 and re.search(ELSEWHERE["incomplete"].message, said), said
    status, said = workflow.run()
    assert status == 0, said
    assert (workflow.folder / "results" / "second.txt").read_text() == "1\n1\n"
    assert workflow.begun() == 2
