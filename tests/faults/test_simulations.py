"""Simulations that go wrong (`run_cases`): what is said, where, and what they leave for a look.

Truth is the fault itself, and distances, speeds and temperatures by numpy from the frames that were left. Cannot detect
a physical instability that no limit knows, nor what a real network does in a hole.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from cgdistill.analysis.run_analysis import analyse_runs
from cgdistill.analysis.stability import StabilitySpec
from cgdistill.io.csv_tables import read_table
from cgdistill.io.lammps_dump import read_dump
from cgdistill.md.lockstep import SeparatePotentials
from cgdistill.md.simulation import run_simulations
from cgdistill.structure.spec import StructureSpec
from lj import MASSES, Crash
from run_cases import CELL, EVERY, FAULTS, PAIR, SPEC, TYPES, Soft, at, hole, lattice, not_a_number, plan, start
from table import document_part, simulations_table

FILES = (
    "equilibration.lammpstrj", "trajectory.lammpstrj", "thermo.csv", "final.data", "last_frames.lammpstrj", "run.json",
)  # fmt: skip
TOPOLOGY = lattice(CELL)[1]
KINDS = TOPOLOGY.bead_types
#: kcal/mol/K, and kcal/mol per (g/mol A^2/fs^2): CODATA 2018.
BOLTZMANN, KINETIC = 1.987204259e-3, 2390.057361377


def simulate(folder, fault, **limits):
    """Run a fault by itself; record and output folder."""
    one = plan(folder, fault)
    return run_simulations([fault.interaction()], [one], TOPOLOGY, fault.settings(**limits))[0], one.out_dir


@pytest.fixture(scope="module")
def blown(tmp_path_factory):
    """Record and output folder of a fault, each run once."""
    base, found = tmp_path_factory.mktemp("faults"), {}

    def get(fault):
        if fault.title not in found:
            with pytest.MonkeyPatch.context() as patch:
                if isinstance(fault.fault, type):
                    patch.setattr("cgdistill.md.simulation.Engine", fault.fault)
                found[fault.title] = simulate(base / str(len(found)), fault)
        return found[fault.title]

    return get


def frames_of(path):
    """Frames of a dump, which may be empty."""
    return list(read_dump(path)) if path.stat().st_size else []


def all_distances(positions):
    """(n, n) distances to the nearest image, by all 27 cells around; infinite on the diagonal."""
    fractions = (positions[None] - positions[:, None]) @ np.linalg.inv(CELL)
    vectors = (fractions - np.round(fractions)) @ CELL
    shifts = np.stack(np.meshgrid(*[(-1, 0, 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3) @ CELL
    lengths = np.min([np.linalg.norm(vectors + shift, axis=-1) for shift in shifts], axis=0)
    np.fill_diagonal(lengths, np.inf)
    return lengths


def temperature_K(velocities):
    """Of all beads but for the motion of the whole."""
    kinetic = 0.5 * KINETIC * float((MASSES[KINDS][:, None] * velocities**2).sum())
    return 2.0 * kinetic / (3 * len(velocities) - 3) / BOLTZMANN


cases = pytest.mark.parametrize("fault", FAULTS, ids=[fault.title for fault in FAULTS])


@cases
def test_record(blown, fault):
    """Kind, phase, step, reason, what exceeded which limit; no number that JSON does not know."""
    record, out = blown(fault)
    failure = record["failure"]
    assert record["status"] == "blown up" and record["reason"] == failure["reason"]
    assert re.match(fault.said, record["reason"]), record["reason"]
    assert (failure["kind"], failure["phase"], failure["step"]) == (fault.kind, fault.phase, fault.step)
    assert record["step"] == fault.step and failure["time_ps"] == pytest.approx(0.002 * fault.step)
    limit = {"temperature": 1500.0, "distance": 1.0, "force": 500.0, "energy": 10.0}.get(fault.kind)
    assert failure["limit"] == limit
    if limit is not None:
        beyond = -failure["value"] if fault.kind == "distance" else abs(failure["value"])
        assert beyond > (-limit if fault.kind == "distance" else limit)
    json.dumps(failure, allow_nan=False)
    assert json.loads((out / "run.json").read_text())["failure"] == failure


@cases
def test_last_frames(blown, fault):
    """The last looks and the configuration itself, with times, cell, types, and velocities and forces that fit."""
    record, out = blown(fault)
    end = fault.step if fault.finite is None else fault.finite
    frames = frames_of(out / "last_frames.lammpstrj")
    looks = [step for step in range(0, end, EVERY)][-SPEC.limits.keep_frames :]
    if end == fault.finite == looks[-1] + EVERY:  # the look itself is all that is known
        looks = looks[1:] if len(looks) == SPEC.limits.keep_frames else looks
    assert [frame.step for frame in frames] == [*looks, end] and record["failure"]["last_finite_step"] == end
    for frame in frames:
        assert frame.time_ps == pytest.approx(0.002 * frame.step) and frame.units == "real" and frame.unwrapped
        np.testing.assert_allclose(frame.cell_A, CELL, atol=1e-12)
        assert (frame.types - 1 == KINDS).all()
    written = {f.step: f for name in FILES[:2] for f in frames_of(out / name)}
    thermo = read_table(out / "thermo.csv").set_index("step")
    for frame in frames:
        if frame.step in written:
            np.testing.assert_allclose(frame.positions_A, written[frame.step].positions_A, atol=1e-9)
        if frame.step in thermo.index:
            assert temperature_K(frame.velocities_A_fs) == pytest.approx(thermo.temperature_K[frame.step], rel=1e-5)
        if not isinstance(fault.fault, type):
            potential = Soft(fault.fault)
            potential.step = frame.step - 1
            expected = potential.evaluate(frame.positions_A, CELL, KINDS).forces_kcal_mol_A
            expected = np.where(np.abs(expected) < 1e15, expected, 0.0)
            np.testing.assert_allclose(frame.forces_kcal_mol_A, expected, rtol=1e-3, atol=2e-3)
    if frames[1:] and frames[-1].step > frames[-2].step and fault.kind in ("not finite", "lost beads"):
        # No more than half a look apart: the velocities before a step are those that led to its positions.
        moved = frames[-1].positions_A - frames[-2].positions_A
        mean = moved / (frames[-1].step - frames[-2].step) / 2.0
        assert np.abs(mean - 0.5 * (frames[-1].velocities_A_fs + frames[-2].velocities_A_fs)).max() < 1e-3


@cases
def test_pair_and_beads(blown, fault):
    """They are those of the last frame, by all distances; the limit's own number is that of the pair."""
    record, out = blown(fault)
    failure, frame = record["failure"], frames_of(out / "last_frames.lammpstrj")[-1]
    pair, lengths = failure["closest_pair"], all_distances(frame.positions_A)
    first, second = (bead - 1 for bead in pair["beads"])
    assert first < second and lengths[first, second] == pytest.approx(lengths.min(), abs=3e-5)
    assert pair["distance_A"] == pytest.approx(lengths[first, second], abs=3e-5)
    assert pair["types"] == [TYPES[KINDS[first]], TYPES[KINDS[second]]]
    if fault.pair:
        assert tuple(pair["beads"]) == fault.pair
    at_start = all_distances(plan(out, fault).positions_A)
    same = np.sort([KINDS[:, None] + 0 * KINDS, KINDS + 0 * KINDS[:, None]], axis=0)
    alike = (same[0] == min(KINDS[[first, second]])) & (same[1] == max(KINDS[[first, second]]))
    assert pair["start_distance_A"] == pytest.approx(at_start[alike].min(), abs=1e-9)
    for name, key, vectors in (
        ("fastest_bead", "speed_A_fs", frame.velocities_A_fs),
        ("largest_force", "force_kcal_mol_A", frame.forces_kcal_mol_A),
    ):
        sizes, found = np.linalg.norm(vectors, axis=1), failure[name]
        assert found[key] == pytest.approx(sizes.max(), rel=1e-6) and found["bead"] == sizes.argmax() + 1
        assert found["type"] == TYPES[KINDS[found["bead"] - 1]]
    if fault.kind == "distance":
        assert failure["value"] == pytest.approx(lengths.min(), abs=3e-5) and failure["beads"] == pair["beads"]
    if fault.kind == "force":
        assert failure["value"] == pytest.approx(failure["largest_force"]["force_kcal_mol_A"])
    if fault.kind == "temperature":
        assert failure["value"] == pytest.approx(temperature_K(frame.velocities_A_fs), rel=1e-5)


@cases
def test_other_products(blown, fault):
    """All are there and whole; the last configuration is that of the last frame."""
    record, out = blown(fault)
    assert sorted(path.name for path in out.iterdir()) == sorted(FILES)
    assert not list((out.parent / "checkpoint").iterdir())
    for name in FILES[:2]:
        assert all(frame.step < max(fault.step, 1) for frame in frames_of(out / name))
    lines = (out / "final.data").read_text().splitlines()
    begin = lines.index("Atoms  # atomic") + 2
    table = np.array([line.split() for line in lines[begin : begin + len(KINDS)]], dtype=float)
    last = frames_of(out / "last_frames.lammpstrj")[-1].positions_A
    fractions = (table[:, 2:5] - last) @ np.linalg.inv(CELL)
    np.testing.assert_allclose((fractions - np.round(fractions)) @ CELL, 0.0, atol=1e-5)


@pytest.mark.parametrize("fault", [f for f in FAULTS if f.passes is not None], ids=lambda fault: fault.kind)
def test_the_other_limits_let_it_pass(tmp_path, fault):
    """Without its own limit the run comes to its end: it tells what the others do not."""
    record, out = simulate(tmp_path, fault, **fault.passes)
    assert (record["status"], record["reason"], record["failure"]) == ("finished", "", None)
    assert (out / "last_frames.lammpstrj").read_bytes() == b""


def test_counted(blown, tmp_path):
    """All are counted as blown up, with kind and pair in the table of runs; a run that finished has neither."""
    one = plan(tmp_path)
    run_simulations([Soft()], [one], TOPOLOGY, SPEC)
    spec = StructureSpec.from_config(
        {
            "rdf": {"r_max_A": 6.0, "bin_width_A": 0.5},
            "adf": {"triplets": [["A", "B", "A"]], "r_max_A": [5.0], "bin_width_deg": 15.0},
            "cdf": {"r_max_A": 6.0, "bin_width_A": 0.5, "resolved_every_ps": 0.2},
        }
    )
    folders = [blown(fault)[1] for fault in FAULTS]
    settings = {"n_blocks": 2, "stability": StabilitySpec(), "cluster_cutoffs_A": {}}
    runs = analyse_runs([*folders, one.out_dir], TOPOLOGY, spec, **settings).runs
    assert runs["stability"].tolist()[:-1] == ["blown up"] * len(FAULTS)
    assert runs["stability"].iloc[-1] != "blown up"
    assert runs["failure_kind"].tolist() == [*(fault.kind for fault in FAULTS), ""]
    names = [f"bead {PAIR[0]} ({TYPES[KINDS[PAIR[0] - 1]]}), bead {PAIR[1]} ({TYPES[KINDS[PAIR[1] - 1]]})"]
    about = [number for number, fault in enumerate(FAULTS) if fault.pair]
    assert runs["closest_pair"][about].tolist() == names * len(about) and runs["closest_pair"].iloc[-1] == ""
    distances = [blown(fault)[0]["failure"]["closest_pair"]["distance_A"] for fault in FAULTS]
    np.testing.assert_array_equal(runs["closest_pair_distance_A"], [*distances, np.nan])
    assert runs["onset_ps"][:-1].tolist() == pytest.approx([0.002 * fault.step for fault in FAULTS])


@pytest.mark.parametrize("fault", [at(137, not_a_number), hole], ids=["between two looks", "at a look"])
def test_one_of_three_in_lockstep(tmp_path, fault):
    """It leaves what it leaves alone, and the others end as without it: the same bytes."""

    def run(folder, faults, together):
        plans = [plan(folder / str(k), number=k) for k in range(3)]
        potentials = [Soft(one) for one in faults]
        interaction = SeparatePotentials(potentials, KINDS) if together else potentials
        return run_simulations(interaction, plans, TOPOLOGY, SPEC), [one.out_dir for one in plans]

    records, outs = run(tmp_path / "together", (None, fault, None), True)
    expected, alone = run(tmp_path / "alone", (None, fault, None), False)
    assert [record["status"] for record in records] == ["finished", "blown up", "finished"]
    assert records[1]["failure"] == expected[1]["failure"]
    for one, other in zip(outs, alone, strict=True):
        for name in FILES[:-1]:
            assert (one / name).read_bytes() == (other / name).read_bytes(), (one, name)
    _, undisturbed = run(tmp_path / "undisturbed", (None, None, None), True)
    for number in (0, 2):
        for name in FILES[:-1]:
            assert (outs[number] / name).read_bytes() == (undisturbed[number] / name).read_bytes(), (number, name)
        assert (outs[number] / "last_frames.lammpstrj").stat().st_size == 0
    assert (outs[1] / "last_frames.lammpstrj").stat().st_size > 10_000


@pytest.mark.parametrize("died", [47, 73, 93])
def test_killed_before(tmp_path, died):
    """A run that died and went on leaves the same last frames, byte for byte, those before its checkpoint included.

    The cell is tilted: LAMMPS rounds positions in it whenever it sets up a run.
    Death is an exception here; SIGKILL is in test_killed.
    """
    spec = replace(SPEC, checkpoint_every_steps=30, limits=replace(SPEC.limits, keep_frames=5))

    def undefined_in_the_hole(_step, positions, forces):
        energy = hole(_step, positions, forces, pull=9.0)
        if all_distances(positions)[PAIR[0] - 1, PAIR[1] - 1] < 2.0:
            forces[PAIR[1] - 1] = np.nan
        return energy

    def dying(step, positions, forces):
        if step == died:
            raise Crash("killed")
        return undefined_in_the_hole(step, positions, forces)

    def run(name, fault):
        one = plan(tmp_path / name)
        return run_simulations([Soft(fault)], [one], TOPOLOGY, spec)[0], one.out_dir

    expected, whole = run("whole", undefined_in_the_hole)
    assert expected["failure"]["kind"] == "not finite" and expected["step"] % EVERY and expected["step"] > died
    assert len(frames_of(whole / "last_frames.lammpstrj")) == 6
    with pytest.raises(Crash):
        run("cut", dying)
    assert json.loads((tmp_path / "cut/checkpoint/state.json").read_text())["step"] in (30, 60, 90)
    found, resumed = run("cut", undefined_in_the_hole)
    assert found["failure"] == expected["failure"]
    for name in FILES[:-1]:
        assert (resumed / name).read_bytes() == (whole / name).read_bytes(), name


@pytest.mark.parametrize("keep", [0, 1, 20])
def test_number_of_frames(tmp_path, keep):
    """As many looks as asked for, or as there were, and the end; none of all; the rest is the same."""
    record, out = simulate(tmp_path, FAULTS[8], keep_frames=keep)
    steps = [frame.step for frame in frames_of(out / "last_frames.lammpstrj")]
    assert steps == {0: [], 1: [120, 137], 20: [*range(0, 121, EVERY), 137]}[keep]
    assert record["failure"]["closest_pair"]["distance_A"] > 1.0


def test_fluctuations_are_told(tmp_path, caplog):
    """A limit that 125 sound beads at 300 K may reach (standard deviation 22 K), and one that they do not."""
    for limit, told in ((420.0, True), (440.0, False)):
        caplog.clear()
        spec = replace(SPEC, limits=replace(SPEC.limits, temperature_K=limit))
        run_simulations([Soft()], [plan(tmp_path / str(limit))], TOPOLOGY, spec)
        assert ("125 beads at 300 K fluctuate by 22 K" in caplog.text) == told


def test_start_frame_is_sound():
    """Nothing but the fault makes a run blow up: its beads are no closer than 3 A."""
    assert all_distances(start()).min() > 3.0


def test_document():
    """The table of docs/faults.md is that of these faults."""
    assert document_part("simulations") == simulations_table()
