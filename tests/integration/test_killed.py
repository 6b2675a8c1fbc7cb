"""Jobs killed at any moment: nothing half under a final name, little lost, the same result in the end.

Real processes (`killed_jobs`), SIGKILL from outside at pseudo-random moments and from inside at chosen ones.
Cannot detect what a power cut or a lost node does to files (the order of syncs is tested in test_provenance and
test_checkpoint), nor what Snakemake does around a job.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from cgdistill.data.beads import BeadFile, BeadFrames, BeadWriter
from cgdistill.data.split import Split, write_split
from cgdistill.forcefield.prior.terms import fit_prior, write_prior
from cgdistill.io.csv_tables import read_table
from cgdistill.io.lammps_dump import read_dump
from cgdistill.structure.files import read_blocks, read_curves, read_resolved, read_series
from cgdistill.training.predictions import read_predictions
from killed_jobs import EPOCHS, SIMULATION, STEPS, Jobs

sys.path.append(str(Path(__file__).parent.parent / "unit"))
import atom_cases
import bead_cases

#: Fixture with the products of a job that nobody interrupted.
WHOLE = {"train": "trained", "simulate": "simulated", "blow_up": "blown_up"}
INTERVAL = SIMULATION["checkpoint_every_steps"]
READERS = {"curves": read_curves, "blocks": read_blocks, "resolved": read_resolved, "series": read_series}


@pytest.fixture(scope="module")
def jobs():
    """The process that starts jobs."""
    with Jobs() as running:
        yield running


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Beads, split and prior; atoms."""
    folder = tmp_path_factory.mktemp("inputs")
    bead_cases.write_beads(folder / "beads.h5", 12)
    parts = {"train": [0, 3, 4, 7, 9, 11], "valid": [1, 8], "test": [5, 10]}
    write_split(folder / "split.json", Split(**{name: np.array(part) for name, part in parts.items()}), {})
    training, types = bead_cases.make_frames(12)
    write_prior(
        folder / "prior.csv", fit_prior([training], bead_cases.bead_topology(types), bead_cases.PRIOR_SETTINGS), {}
    )
    # Many enough that the order of sums depends on when neighbours were looked for.
    cell = np.diag([18.0, 18.0, 18.0])
    starts = [bead_cases.configuration(cell, seed, side=5) for seed in range(3)]
    frames = BeadFrames(np.array([start[0] for start in starts]), None, np.array([cell] * 3), np.arange(3.0))
    with BeadWriter(folder / "starts.h5", bead_cases.bead_topology(starts[0][1]), {}, forces=False) as writer:
        writer.append(frames)
    cell = atom_cases.CELLS["triclinic"]
    atoms = atom_cases.make_frames(cell, 120)
    atom_cases.write_gro(folder / "atoms.gro", atoms[0]["positions"], cell)
    atom_cases.write_top(folder / "atoms.top")
    atom_cases.write_trr(folder / "atoms.trr", atoms, cell)
    return folder


def uninterrupted(jobs, job, folder, inputs):
    """Folder of a job that was left alone."""
    assert jobs.run(job, folder, inputs) == 0, (folder / "output.txt").read_text()
    return folder


@pytest.fixture(scope="module")
def trained(jobs, inputs, tmp_path_factory):
    """Two models whose training nobody interrupted."""
    folder = uninterrupted(jobs, "train", tmp_path_factory.mktemp("trained"), inputs)
    for name in ("seed-1", "seed-2"):
        assert len(read_table(folder / "out/teachers" / name / "history.csv")) == EPOCHS
        read_predictions(folder / "out/teachers" / name / "test_predictions.h5")
    return folder


@pytest.fixture(scope="module")
def simulated(jobs, inputs, tmp_path_factory):
    """Two runs that nobody interrupted."""
    folder = uninterrupted(jobs, "simulate", tmp_path_factory.mktemp("simulated"), inputs)
    for out in (folder / "out/T").glob("*/replica-1"):
        record = json.loads((out / "run.json").read_text())
        assert (record["status"], record["step"]) == ("finished", STEPS)
        assert [frame.step for frame in read_dump(out / "trajectory.lammpstrj")] == list(range(110, STEPS + 1, 10))
    return folder


@pytest.fixture(scope="module")
def blown_up(jobs, inputs, tmp_path_factory):
    """Two runs that nobody interrupted, and that blew up between two looks, behind several checkpoints."""
    folder = uninterrupted(jobs, "blow_up", tmp_path_factory.mktemp("blown_up"), inputs)
    steps = []
    for out in sorted((folder / "out/T").glob("*/replica-1")):
        record = json.loads((out / "run.json").read_text())
        assert (record["status"], record["failure"]["kind"]) == ("blown up", "not finite")
        frames = [frame.step for frame in read_dump(out / "last_frames.lammpstrj")]
        looks = range(0, record["step"], SIMULATION["limits"]["check_every_steps"])
        assert frames == [*looks[-10:], record["step"]] and record["step"] > 3 * INTERVAL
        steps.append(record["step"])
    assert len(set(steps)) == 2
    return folder


def assert_same_file(found, expected):
    """The same bytes, but for how long something took."""
    if found.name == "history.csv":
        tables = [read_table(path).drop(columns="seconds") for path in (found, expected)]
        assert tables[0].equals(tables[1])
    elif found.name == "run.json":
        records = [json.loads(path.read_text()) for path in (found, expected)]
        for record in records:
            assert min(record.pop(key) for key in ("wall_s", "ns_per_day", "ns_per_day_together")) > 0
        assert records[0] == records[1]
    elif found.suffix == ".parquet":  # holds the path of the reference
        reader = READERS[found.stem.partition("-")[2]]
        assert reader(found).equals(reader(expected))
    elif found.name == "runs.csv":
        assert read_table(found).equals(read_table(expected))
    else:
        assert found.read_bytes() == expected.read_bytes(), found


def products(folder):
    """Files of final names, relative to the folder of the products."""
    return {path.relative_to(folder / "out") for path in (folder / "out").rglob("[!.]*") if path.is_file()}


def assert_whole(folder, expected):
    """What has a final name is what it will be, or a checkpoint that can be read."""
    found = products(folder)
    assert found <= products(expected)
    for path in found:
        assert_same_file(folder / "out" / path, expected / "out" / path)
    for path in folder.glob("checkpoints/[!.]*.pt"):
        assert len(torch.load(path, weights_only=True)["history"]) > 0
    for path in folder.glob("checkpoints/*/state.json"):
        state = json.loads(path.read_text())
        assert (path.parent / (state["restart"] or "final.data")).stat().st_size > 0


def assert_finished(folder, expected):
    """All products, as without interruption; neither checkpoints nor what killed processes left."""
    assert products(folder) == products(expected)
    assert_whole(folder, expected)
    for place in ("checkpoints", "out"):
        assert not [path for path in (folder / place).rglob(".*")]
    assert not [path for path in (folder / "checkpoints").rglob("*") if path.is_file()]


def progress(folder):
    """For each start of the job that got so far: what each model or run had come to, in the order noted."""
    path, starts = folder / "progress.txt", []
    for line in path.read_text().splitlines() if path.exists() else ():
        if line == "start":
            starts.append({})
        elif not line.endswith("saved"):
            name, number = line.split()
            starts[-1].setdefault(name, []).append(int(number))
    return starts


def assert_little_lost(folder, interval):
    """Where a model or run goes on is not before the last multiple of ``interval`` that it had passed."""
    passed = {}
    for start in progress(folder):
        for name, numbers in start.items():
            assert numbers[0] >= passed.get(name, 0) // interval * interval, (name, numbers[0], passed[name])
            passed[name] = max(passed.get(name, 0), *numbers)


def lines(path):
    """Number of lines of a file that may not be there."""
    return path.read_bytes().count(b"\n") if path.exists() else 0


def run_to_its_end(pid):
    """Whether a process is gone."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def start(jobs, job, folder, inputs, **fault):
    """Start a job anew or once more."""
    folder.mkdir(exist_ok=True)
    with open(folder / "progress.txt", "a") as stream:
        stream.write("start\n")
    return jobs.start(job, folder, inputs, **fault)


def signal_after(jobs, job, folder, inputs, number, n_lines, delay_s):
    """Start a job, send a signal some time after it has noted some progress; the exit status."""
    begun = lines(folder / "progress.txt") + 1
    pid = start(jobs, job, folder, inputs)
    while lines(folder / "progress.txt") < begun + n_lines and not run_to_its_end(pid):
        time.sleep(0.001)
    time.sleep(delay_s)
    if not run_to_its_end(pid):
        os.kill(pid, number)
    return jobs.wait()


def killed_at_random(jobs, job, folder, inputs, expected, seed, interval, check):
    """Kill and start again, until the job has been killed often enough or has come to its end; the number of kills."""
    rng, kills, total = np.random.default_rng(seed), 0, lines(expected / "progress.txt")
    for n_lines in [0, *rng.integers(1, total // 2, 4)]:
        # The first one dies while it starts.
        delay_s = rng.uniform(0.0, 0.02) if n_lines else rng.uniform(0.05, 0.3)
        status = signal_after(jobs, job, folder, inputs, signal.SIGKILL, int(n_lines), delay_s)
        check()
        assert_little_lost(folder, interval)
        if status == 0:
            break
        assert status == -signal.SIGKILL, (folder / "output.txt").read_text()
        kills += 1
    else:
        start(jobs, job, folder, inputs)
        assert jobs.wait() == 0, (folder / "output.txt").read_text()
        assert_little_lost(folder, interval)
    return kills


@pytest.mark.parametrize(("job", "interval"), [("train", 1), ("simulate", INTERVAL), ("blow_up", INTERVAL)])
def test_killed_at_random(jobs, inputs, tmp_path, request, job, interval):
    """The result is that without interruption, to the last bit; at most an epoch or an interval is done again."""
    expected = request.getfixturevalue(WHOLE[job])
    kills = killed_at_random(
        jobs, job, tmp_path, inputs, expected, 3, interval, lambda: assert_whole(tmp_path, expected)
    )
    assert kills >= 3
    assert_finished(tmp_path, expected)


FAULTS = {
    "train": [
        {"kind": "torch.save"},
        {"kind": "move", "name": "1.pt", "number": 2},
        {"kind": "move", "name": "1.pt", "number": 3, "moment": "after"},
        {"kind": "torch.save", "number": 14},
        {"kind": "move", "name": "2.pt", "number": 5, "moment": "before"},
        {"kind": "move", "name": "weights.safetensors"},
        {"kind": "move", "name": "network.json", "number": 2, "moment": "before"},
        {"kind": "move", "name": "test_predictions.h5", "number": 2, "moment": "after"},
    ],
    "simulate": [
        {"kind": "frame", "number": 3},
        {"kind": "rows", "number": 4},
        {"kind": "move", "name": "restart-*", "number": 4},
        {"kind": "frame", "number": 13},
        {"kind": "move", "name": "restart-*", "number": 3, "moment": "after"},
        {"kind": "move", "name": "state.json", "number": 5, "moment": "before"},
        {"kind": "move", "name": "state.json", "number": 4, "moment": "after"},
        {"kind": "move", "name": "final.data"},
        {"kind": "move", "name": "trajectory.lammpstrj", "number": 2},
        {"kind": "move", "name": "run.json", "number": 4, "moment": "after"},
    ],
    "blow_up": [
        {"kind": "move", "name": "looks-*", "number": 3},
        {"kind": "move", "name": "looks-*", "number": 2, "moment": "after"},
        {"kind": "move", "name": "state.json", "number": 3, "moment": "before"},
        {"kind": "move", "name": "last_frames.lammpstrj"},
        {"kind": "move", "name": "last_frames.lammpstrj", "moment": "after"},
        {"kind": "move", "name": "last_frames.lammpstrj", "number": 3},
        {"kind": "move", "name": "run.json", "number": 4, "moment": "after"},
    ],
}  # fmt: skip


@pytest.mark.parametrize(("job", "interval"), [("train", 1), ("simulate", INTERVAL), ("blow_up", INTERVAL)])
def test_killed_while_writing(jobs, inputs, tmp_path, request, job, interval):
    """In the middle of a checkpoint, of what a run appends, and of the products: one after the other in one job."""
    expected = request.getfixturevalue(WHOLE[job])
    for fault in FAULTS[job]:
        start(jobs, job, tmp_path, inputs, **fault)
        assert jobs.wait() == -signal.SIGKILL, (fault, (tmp_path / "output.txt").read_text())
        assert_whole(tmp_path, expected)
        assert_little_lost(tmp_path, interval)
    # The last one had written all; the checkpoints still stand, and nothing is computed again.
    assert products(tmp_path) == products(expected)
    start(jobs, job, tmp_path, inputs)
    assert jobs.wait() == 0
    assert progress(tmp_path)[-1] == {}
    assert_finished(tmp_path, expected)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_training_told_to_stop(jobs, inputs, trained, tmp_path, number):
    """Exit status 128 + signal, within a step; then the same models to the last bit."""
    assert signal_after(jobs, "train", tmp_path, inputs, number, 2 * 5, 0.005) == 128 + number
    before = progress(tmp_path)[0]["teachers/seed-1"][-1]
    assert 5 <= before < EPOCHS and "done in" not in (tmp_path / "output.txt").read_text()
    state = torch.load(tmp_path / "checkpoints/1.pt", weights_only=True)
    assert len(state["history"]) in (before, before + 1)
    start(jobs, "train", tmp_path, inputs)
    assert jobs.wait() == 0
    assert progress(tmp_path)[1]["teachers/seed-1"][0] == len(state["history"])
    assert_finished(tmp_path, trained)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_simulation_told_to_stop(jobs, inputs, simulated, tmp_path, number):
    """Exit status 128 + signal, checkpoints of both runs where they were, and the same course from there.

    Not to the last bit: forces are evaluated anew there.
    """
    assert signal_after(jobs, "simulate", tmp_path, inputs, number, 2 * 30, 0.003) == 128 + number
    states = [json.loads((tmp_path / f"checkpoints/{k}/state.json").read_text()) for k in (1, 2)]
    noted = [progress(tmp_path)[0][f"T/seed-{k}/1"][-1] for k in (1, 2)]
    for state, step in zip(states, noted, strict=True):
        assert step <= state["step"] <= step + SIMULATION["limits"]["check_every_steps"] and state["end"] is None
    start(jobs, "simulate", tmp_path, inputs)
    assert jobs.wait() == 0
    assert [progress(tmp_path)[1][f"T/seed-{k}/1"][0] for k in (1, 2)] == [state["step"] for state in states]
    assert products(tmp_path) == products(simulated)
    for k in (1, 2):
        found, expected = (
            list(read_dump(folder / f"out/T/seed-{k}/replica-1/trajectory.lammpstrj"))
            for folder in (tmp_path, simulated)
        )
        assert [frame.step for frame in found] == [frame.step for frame in expected]
        np.testing.assert_allclose(found[-1].positions_A, expected[-1].positions_A, atol=1.1e-5)


def test_mapping_killed(jobs, inputs, tmp_path):
    """In the middle of the frames and of the last write: no bead file; then the same bytes as without."""
    expected = uninterrupted(jobs, "map", tmp_path / "whole", inputs)
    folder = tmp_path / "killed"
    for fault in (
        {"kind": "beads", "number": 5},
        {"kind": "move", "name": "beads.h5"},
        {"kind": "move", "name": "beads.h5", "moment": "before"},
    ):
        assert jobs.run("map", folder, inputs, **fault) == -signal.SIGKILL
        assert not products(folder) and list((folder / "out").glob(".beads.partial-*.h5"))
    assert signal_after(jobs, "map", folder, inputs, signal.SIGTERM, 1, 0.0) == -signal.SIGTERM
    assert not products(folder)
    assert jobs.run("map", folder, inputs) == 0
    with BeadFile(folder / "out/beads.h5") as beads:
        assert len(beads) == 120
    assert [path.name for path in (folder / "out").iterdir()] == ["beads.h5"]
    assert_same_file(folder / "out/beads.h5", expected / "out/beads.h5")


def test_structure_killed(jobs, inputs, simulated, tmp_path):
    """While it analyses, and while it writes: whole tables or none; then the same values as without."""
    own = shutil.copytree(inputs, tmp_path / "inputs")
    shutil.copytree(simulated / "out", own / "runs")
    expected = uninterrupted(jobs, "structure", tmp_path / "whole", own)
    assert len(products(expected)) == 9
    folder, rng = tmp_path / "killed", np.random.default_rng(2)
    for n_lines in (1, 2):
        delay_s = rng.uniform(0.0, 0.1)
        assert signal_after(jobs, "structure", folder, own, signal.SIGKILL, n_lines, delay_s) == -signal.SIGKILL
        assert_whole(folder, expected)
    for moment, name in (("half", "a-blocks.parquet"), ("after", "a-series.parquet"), ("before", "r-curves.parquet")):
        # Snakemake deletes what a job that failed has left.
        shutil.rmtree(folder / "out", ignore_errors=True)
        assert jobs.run("structure", folder, own, kind="move", name=name, moment=moment) == -signal.SIGKILL
        assert (folder / "out" / name).exists() == (moment == "after")
        assert_whole(folder, expected)
    assert jobs.run("structure", folder, own) == 0
    assert products(folder) == products(expected)
    assert_whole(folder, expected)
