"""Checkpoint folder: what is used, what is cut, what is refused.

Cannot detect that LAMMPS's restart file is incomplete; the simulation tests compare resumed runs.
"""

from __future__ import annotations

import math
import os

import numpy as np
import pandas as pd
import pytest
from cgdistill.md.checkpoint import THERMO_COLUMNS, CheckpointFolder, ThermoRows, thermo_table

FRAME = "ITEM: TIMESTEP\n{}\nITEM: NUMBER OF ATOMS\n1\nITEM: BOX BOUNDS pp pp pp\n" + "0 9\n" * 3
FRAME += "ITEM: ATOMS id xu yu zu\n1 0 0 0\n"


def rows(*steps):
    """Rows of thermo.csv."""
    return [{"phase": "production", "step": step, "temperature_K": 300.0 + step / 3} for step in steps]


def add(checkpoint, *steps):
    """Add rows as a run does."""
    for row in rows(*steps):
        checkpoint.rows.append(row)


@pytest.fixture
def folder(tmp_path):
    """A folder with a checkpoint at step 20, and what a run wrote behind it before it was killed."""
    checkpoint = CheckpointFolder(tmp_path / "c", "key")
    assert checkpoint.open() is None and list(checkpoint.rows) == []
    for step, new in ((10, (0, 5, 10)), (20, (15, 20))):
        checkpoint.new_restart_path(step).write_text("restart")
        checkpoint.looks_path(step).write_text("looks")
        add(checkpoint, *new)
        checkpoint.save(step, 1.5 * step)
    checkpoint.equilibration.write_text("".join(FRAME.format(step) for step in (0, 25)))
    checkpoint.trajectory.write_text("".join(FRAME.format(step) for step in (10, 20, 30)))
    with open(checkpoint.folder / "thermo.jsonl", "a") as stream:
        stream.write('{"step": 25}\n{"step": 3')
    (checkpoint.folder / "notes.txt").write_text("by hand")
    return checkpoint.folder


def assert_unused(checkpoint):
    """Nothing to go on from."""
    assert checkpoint.open() is None
    assert list(checkpoint.rows) == [] and checkpoint.rows.last is None


def test_goes_on_from_the_last_checkpoint(folder):
    """State and rows to the digit; rows and frames behind the step are cut; only one restart file is kept."""
    checkpoint = CheckpointFolder(folder, "key")
    state = checkpoint.open()
    assert (state.step, state.wall_s) == (20, 30.0)
    assert list(checkpoint.rows) == rows(0, 5, 10, 15, 20) and [checkpoint.rows.last] == rows(20)
    assert checkpoint.equilibration.read_text() == FRAME.format(0)
    assert checkpoint.trajectory.read_text() == FRAME.format(10) + FRAME.format(20)
    assert checkpoint.restart_path(state).read_text() == "restart"
    assert checkpoint.looks_path(20).read_text() == "looks"
    assert len(list(folder.glob("restart-*"))) == len(list(folder.glob("looks-*"))) == 1
    checkpoint.new_restart_path(30).write_text("restart")
    checkpoint.looks_path(30).write_text("looks")
    add(checkpoint, 25, 30)
    assert list(checkpoint.rows) == rows(0, 5, 10, 15, 20, 25, 30)
    checkpoint.save(30, 45.0)
    add(checkpoint, 35)  # that of a run which is killed before its next checkpoint
    again = CheckpointFolder(folder, "key")
    assert again.open().step == 30 and list(again.rows) == rows(0, 5, 10, 15, 20, 25, 30)


def test_ended_run_waits(folder):
    """How it ended, its rows, frames and last configuration stay until the folder is cleared; the restart goes."""
    checkpoint = CheckpointFolder(folder, "key")
    checkpoint.open()
    checkpoint.final.write_text("beads")
    end = {"status": "blown up", "reason": "too hot"}
    add(checkpoint, 23)
    checkpoint.save_end(23, 40.0, end)
    assert not list(folder.glob("restart-*")) and not list(folder.glob("looks-*"))
    again = CheckpointFolder(folder, "key")
    state = again.open()
    assert (state.step, state.wall_s, state.end) == (23, 40.0, end)
    assert list(again.rows) == rows(0, 5, 10, 15, 20, 23)
    assert again.trajectory.read_text() == FRAME.format(10) + FRAME.format(20)
    again.final.unlink()
    assert_unused(CheckpointFolder(folder, "key"))
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_what_killed_processes_left_goes(folder):
    """Under temporary names of other steps, which nobody would write again."""
    (folder / ".restart-30.partial-node-17.lammps").write_text("half")
    CheckpointFolder(folder, "key").open()
    assert sorted(path.name for path in folder.iterdir() if path.name[0] == ".") == []
    assert (folder / "notes.txt").exists()


def test_all_is_on_disk_before_the_state_names_it(folder, monkeypatch):
    """After a power cut a state without its frames and rows would go on with holes."""
    checkpoint = CheckpointFolder(folder, "key")
    checkpoint.open()
    checkpoint.new_restart_path(30).write_text("restart")
    checkpoint.looks_path(30).write_text("looks")
    synced, fsync, replace = {}, os.fsync, os.replace

    def noted(descriptor):
        fsync(descriptor)
        synced[os.fstat(descriptor).st_ino] = os.fstat(descriptor).st_size

    def moved(source, target):
        if target.name == "state.json":
            for file in (checkpoint.equilibration, checkpoint.trajectory, folder / "thermo.jsonl", source):
                assert synced[file.stat().st_ino] == file.stat().st_size > 0, file
        replace(source, target)
        moves.append(target.name)

    moves = []
    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(os, "replace", moved)
    add(checkpoint, 25, 30)
    checkpoint.save(30, 45.0)
    assert moves == ["state.json"]


@pytest.mark.parametrize("fault", ["key", "restart", "looks", "rows", "state", "cut state"])
def test_unusable_checkpoint_starts_anew(folder, fault):
    """Another run, missing or damaged parts: nothing is used, files of others stay."""
    if fault == "restart":
        (folder / "restart-20.lammps").unlink()
    elif fault == "looks":
        (folder / "looks-20.npz").unlink()
    elif fault == "rows":
        (folder / "thermo.jsonl").unlink()
    elif fault == "state":
        (folder / "state.json").unlink()
    elif fault == "cut state":
        text = (folder / "state.json").read_text()
        (folder / "state.json").write_text(text[: len(text) // 2])
    assert_unused(CheckpointFolder(folder, "other" if fault == "key" else "key"))
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_table_has_all_columns():
    """Also where there are no rows."""
    assert list(thermo_table([]).columns) == list(thermo_table(rows(0)).columns)
    assert thermo_table(rows(0, 5))["step"].tolist() == [0, 5]


def test_rows_of_a_long_run(tmp_path):
    """To the digit and in order through the file, also those that are no number; saved ones are not held."""
    kept = ThermoRows(tmp_path / "thermo.jsonl")
    rng = np.random.default_rng(1)
    written = [dict.fromkeys(THERMO_COLUMNS, 0.0) | {"phase": "production", "step": step} for step in range(10_000)]
    for row in written:
        row["temperature_K"] = math.inf if row["step"] == 7 else float(rng.normal())
        kept.append(row)
        if row["step"] % 3000 == 0:
            kept.save()
    assert kept._new == written[9001:]
    assert list(kept) == written
    pd.testing.assert_frame_equal(thermo_table(kept), pd.DataFrame(written), check_exact=True)
    kept.cut(9000)
    assert list(kept) == written[:9001] and kept.last == written[9000]
