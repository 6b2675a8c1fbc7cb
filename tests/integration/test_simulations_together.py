"""Several simulations of one job: in lockstep they go as they go alone, and none is lost to another.

The potentials are evaluated one by one; a joint evaluation that mixes systems up is not detected here.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from dataclasses import replace

import numpy as np
import pytest
from cgdistill.core.units import ns_per_day
from cgdistill.io.csv_tables import read_table
from cgdistill.io.lammps_dump import read_dump
from cgdistill.md.lammps_engine import Engine
from cgdistill.runtime.signals import Interrupted
from lj import PROVENANCE, At, Crash, LennardJones, crash, simulate_several

FILES = ("equilibration.lammpstrj", "trajectory.lammpstrj", "thermo.csv", "final.data", "last_frames.lammpstrj")


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Three runs, each by itself: output folders, and how often each evaluated its forces."""
    folder, outs, calls = tmp_path_factory.mktemp("alone"), [], []
    for k in range(3):
        potential = LennardJones()
        _, (out,) = simulate_several(folder, [None] * k + [potential], together=False)
        outs.append(out)
        calls.append(potential.n_calls)
    texts = {(out / "trajectory.lammpstrj").read_bytes() for out in outs}
    assert len(texts) == 3
    return outs, calls


def same(found, expected):
    """Whether the products of two runs are the same to the last digit."""
    return [(found / file).read_bytes() == (expected / file).read_bytes() for file in FILES] == [True] * len(FILES)


def terminate(_result):
    """Tell this process to stop, as a cluster does."""
    os.kill(os.getpid(), signal.SIGTERM)


def not_a_number(result):
    """Forces that are not finite."""
    return replace(result, forces_kcal_mol_A=result.forces_kcal_mol_A * np.nan)


def far(result):
    """One force that throws a bead out of the cell: LAMMPS itself stops with an error, or a limit is exceeded."""
    forces = result.forces_kcal_mol_A.copy()
    forces[3] = [1e13, 0.0, 0.0]
    return replace(result, forces_kcal_mol_A=forces)


@pytest.mark.parametrize("together", [True, False])
def test_as_alone(tmp_path, alone, together):
    """Same products to the last digit, as many evaluations, and a record that says what ran together."""
    potentials = [LennardJones() for _ in range(3)]
    records, outs = simulate_several(tmp_path, potentials, together)
    assert all(map(same, outs, alone[0]))
    assert [potential.n_calls for potential in potentials] == alone[1]
    assert [record["replica"] for record in records] == [0, 1, 2]
    assert [json.loads((out / "run.json").read_text()) for out in outs] == records
    for record in records:
        assert record["ns_per_day"] == pytest.approx(ns_per_day(400, 2.0, record["wall_s"]))
        assert (record["status"], record["provenance"]) == ("finished", PROVENANCE)
        assert record["runs_together"] == (3 if together else 1)
    longest_s = max(record["wall_s"] for record in records)
    expected = [ns_per_day(1200, 2.0, longest_s)] * 3 if together else [record["ns_per_day"] for record in records]
    assert [record["ns_per_day_together"] for record in records] == pytest.approx(expected)
    assert not [path for k in range(3) for path in (tmp_path / str(k) / "checkpoint").iterdir()]


def test_two_at_once(tmp_path, alone):
    """Three runs, two of which advance together before the third: the same products, and records that say so."""
    records, outs = simulate_several(tmp_path, [LennardJones() for _ in range(3)], at_once=2)
    assert all(map(same, outs, alone[0]))
    assert [record["runs_together"] for record in records] == [2, 2, 1]


def test_kept_runs_are_not_simulated_again(tmp_path, alone):
    """Their products return although the output was deleted; one whose kept files have changed is simulated anew."""
    first, outs = simulate_several(tmp_path, [LennardJones(), LennardJones()], keep=True)
    for out in outs:
        shutil.rmtree(out)
    dump = tmp_path / "1" / "checkpoint" / "trajectory.lammpstrj"
    dump.write_text(dump.read_text().replace("7", "8", 1))
    potentials = [LennardJones() for _ in range(3)]
    records, outs = simulate_several(tmp_path, potentials, keep=True)
    assert [potential.n_calls for potential in potentials] == [0, *alone[1][1:]]
    assert all(map(same, outs, alone[0]))
    assert records[0] == first[0]
    assert [record["runs_together"] for record in records] == [2, 2, 2]


@pytest.mark.parametrize(("action", "reason"), [(not_a_number, "forces are not finite"), (far, "")])
def test_one_blows_up(tmp_path, alone, action, reason):
    """It is marked with its reason; the others do not notice."""
    records, outs = simulate_several(tmp_path, [LennardJones(), At(250, action), LennardJones()])
    assert [record["status"] for record in records] == ["finished", "blown up", "finished"]
    assert reason in records[1]["reason"] and 150 < records[1]["step"] < 300
    assert same(outs[0], alone[0][0]) and same(outs[2], alone[0][2])
    assert [frame.step for frame in read_dump(outs[1] / "trajectory.lammpstrj")] == [200]


def test_one_fails(tmp_path, alone, monkeypatch):
    """A fault of one run: the others come to their ends, nothing is published, and the next start does the rest."""
    write_frame = Engine.write_frame

    def failing(engine, path):
        if path.parent.parent.name == "1" and engine.step == 300:
            raise OSError("disk full")
        write_frame(engine, path)

    monkeypatch.setattr(Engine, "write_frame", failing)
    with pytest.raises(OSError, match="disk full"):
        simulate_several(tmp_path, [LennardJones() for _ in range(3)])
    assert not list(tmp_path.glob("*/out"))
    monkeypatch.undo()
    potentials = [LennardJones() for _ in range(3)]
    records, outs = simulate_several(tmp_path, potentials)
    assert [potential.n_calls for potential in potentials[::2]] == [0, 0]
    # From step 240 on: 160 steps, the evaluation of the start and those behind checkpoints 300 and 360.
    assert potentials[1].n_calls == 163
    assert all(map(same, outs, alone[0]))
    assert all(record["wall_s"] > 0 for record in records)


def test_joint_evaluation_fails(tmp_path, alone):
    """All runs fail with its exception and go on from their regular checkpoints to the same end."""
    with pytest.raises(Crash):
        simulate_several(tmp_path, [LennardJones(), At(300, crash), LennardJones()])
    states = [json.loads(path.read_text())["step"] for path in sorted(tmp_path.glob("*/checkpoint/state.json"))]
    assert len(states) == 3 and all(step % 60 == 0 and step > 120 for step in states)
    _, outs = simulate_several(tmp_path, [LennardJones() for _ in range(3)])
    assert all(map(same, outs, alone[0]))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_signal_leaves_checkpoints(tmp_path, alone, number):
    """Told to stop in the middle: a checkpoint of each run there, none of one that had ended, and the same end.

    Not to the last digit: forces are evaluated anew where the runs were cut.
    """
    before = signal.getsignal(number)
    blown = At(100, not_a_number)
    with pytest.raises(Interrupted) as caught:
        simulate_several(tmp_path, [LennardJones(), blown, At(257, lambda _: os.kill(os.getpid(), number))])
    assert caught.value.code == 128 + number
    assert signal.getsignal(number) is before
    states = [json.loads((tmp_path / str(k) / "checkpoint" / "state.json").read_text()) for k in range(3)]
    assert [bool(state["end"]) for state in states] == [False, True, False]
    assert all(180 < states[k]["step"] < 257 and states[k]["step"] % 20 for k in (0, 2))
    assert not list(tmp_path.glob("*/out"))
    potentials = [LennardJones() for _ in range(3)]
    records, outs = simulate_several(tmp_path, potentials)
    assert potentials[1].n_calls == 0
    assert [record["status"] for record in records] == ["finished", "blown up", "finished"]
    assert records[1]["step"] == states[1]["step"] and records[1]["wall_s"] == states[1]["wall_s"]
    for k in (0, 2):
        assert records[k]["wall_s"] > states[k]["wall_s"]
        frames = zip(*(read_dump(folder / "trajectory.lammpstrj") for folder in (outs[k], alone[0][k])), strict=True)
        for found, expected in frames:
            assert found.step == expected.step
            np.testing.assert_allclose(found.positions_A, expected.positions_A, atol=1.1e-5)
        tables = [read_table(folder / "thermo.csv") for folder in (outs[k], alone[0][k])]
        assert tables[0]["step"].tolist() == tables[1]["step"].tolist()


def test_signal_before_the_first_step(tmp_path):
    """Told to stop while all minimise: no checkpoint of a half-minimised state."""
    with pytest.raises(Interrupted):
        simulate_several(tmp_path, [LennardJones(), At(3, terminate)])
    assert not [path for path in tmp_path.glob("*/checkpoint/*")]


def test_runs_at_different_steps_go_on_together(tmp_path, alone):
    """One from the start, two from checkpoints of jobs of their own, 60 to 180 steps apart: to the same ends."""
    for k, call in ((0, 320), (1, 130)):
        with pytest.raises(Crash):
            simulate_several(tmp_path, [None] * k + [At(call, crash)])
    steps = [json.loads(path.read_text())["step"] for path in sorted(tmp_path.glob("*/checkpoint/state.json"))]
    assert steps[0] - steps[1] in (120, 180)
    potentials = [LennardJones() for _ in range(3)]
    records, outs = simulate_several(tmp_path, potentials)
    assert potentials[0].n_calls < potentials[1].n_calls < potentials[2].n_calls == alone[1][2]
    assert all(map(same, outs, alone[0]))
    assert [record["step"] for record in records] == [400] * 3


def test_one_after_the_other_keeps_what_has_ended(tmp_path, alone):
    """Told to stop in the second run: the first is not published, and not computed again."""
    with pytest.raises(Interrupted):
        simulate_several(tmp_path, [LennardJones(), At(200, terminate), LennardJones()], together=False)
    assert not list(tmp_path.glob("*/out"))
    potentials = [LennardJones() for _ in range(3)]
    _, outs = simulate_several(tmp_path, potentials, together=False)
    assert potentials[0].n_calls == 0 < potentials[1].n_calls < potentials[2].n_calls
    assert same(outs[0], alone[0][0]) and same(outs[2], alone[0][2])
