"""What the protocol makes of the config, GROMACS' parameters, and the keys of checkpoints."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cgdistill.aa import gromacs
from cgdistill.aa.engines import engine, run_stage
from cgdistill.aa.gro import Structure, write_gro
from cgdistill.aa.stage import StageInput, check_cutoff, require_velocities, stage_key
from cgdistill.aa.trr import FrameWriter, join_frames
from cgdistill.config.aa_protocol import ProtocolSpec
from cgdistill.core.errors import InputError


def section(**changes):
    """Config section aa.protocol."""
    return {
        "timestep_fs": 2.0,
        "temperature_K": 298.1,
        "thermostat": "nose-hoover",
        "thermostat_time_ps": 0.5,
        "cutoff_A": 7.0,
        "dispersion_correction": True,
        "constraints": "hydrogen-bonds",
        "minimise_steps": 500,
        "anneal": [[0, 420], [10, 420], [20, 298.1], [50, 298.1]],
        "production_ps": 12,
        "frame_every_ps": 3,
    } | changes


@pytest.fixture
def stage(tmp_path):
    """A stage's input: a topology that includes one file, and a structure of two atoms."""
    (tmp_path / "types.itp").write_text("; types\n")
    (tmp_path / "system.top").write_text('#include "types.itp"\n')
    structure = Structure(
        residue_numbers=np.array([1, 2]),
        residue_names=("Cl", "Cl"),
        atom_names=("CL", "CL"),
        positions_A=np.array([[1.0, 2.0, 3.0], [6.0, 7.0, 8.0]]),
        velocities_A_fs=None,
        cell_A=np.array([16.0, 16.0, 16.0]),
    )
    write_gro(tmp_path / "a.gro", structure)
    protocol = ProtocolSpec.from_config(section())
    return StageInput(tmp_path / "system.top", tmp_path / "a.gro", protocol, tmp_path / "checkpoints", seed=5)


def test_counts_of_steps_and_frames():
    """2 fs: 50 ps are 25,000 steps; 12 ps every 3 ps are five frames, the first at 0."""
    protocol = ProtocolSpec.from_config(section())
    assert (protocol.equilibration_steps, protocol.production_steps) == (25_000, 6_000)
    assert (protocol.frame_steps, protocol.n_frames) == (1_500, 5)


def test_annealing_temperature_against_numpy():
    """Linear between the points, as numpy interpolates."""
    protocol = ProtocolSpec.from_config(section())
    for time in np.linspace(0, 60, 121):
        assert protocol.temperature_at(time) == pytest.approx(
            np.interp(time, [0, 10, 20, 50], [420, 420, 298.1, 298.1])
        )


@pytest.mark.parametrize(
    ("changes", "item"),
    [
        ({"thermostat": "andersen"}, "thermostat"),
        ({"constraints": "all-bonds"}, "constraints"),
        ({"cutoff_A": 0}, "cutoff_A"),
        ({"anneal": [[1, 420], [50, 298.1]]}, "anneal"),
        ({"anneal": [[0, 420], [0, 298.1]]}, "anneal"),
        ({"anneal": [[0, 0], [50, 298.1]]}, "anneal"),
        ({"anneal": [[0, 420], [50, 300]]}, "anneal: found 300.0 K at the end"),
        ({"frame_every_ps": 0.0011}, "frame_every_ps"),
        ({"frame_every_ps": 24}, "frame_every_ps"),
        ({"production_ps": 13}, "production_ps: found 13.0, expected a multiple"),
        ({"barostat": "none"}, "barostat: found an unknown key"),
    ],
)
def test_protocol_that_cannot_run_is_refused(changes, item):
    """The message names the key."""
    with pytest.raises(InputError, match=f"config: aa.protocol.{item}"):
        ProtocolSpec.from_config(section(**changes))


def test_missing_key_is_named():
    """A key that is not there is said to be missing."""
    short = section()
    del short["cutoff_A"]
    with pytest.raises(InputError, match="cutoff_A: found missing"):
        ProtocolSpec.from_config(short)


def test_mdp_of_each_stage():
    """The physical choices reach GROMACS' parameters; units are nm and ps there.

    Cannot tell whether grompp understands them (the integration tests do).
    """
    protocol = ProtocolSpec.from_config(section())
    mdp = {stage: gromacs.mdp(stage, protocol, 7) for stage in ("minimise", "equilibrate", "produce")}
    for options in mdp.values():
        assert (options["rcoulomb"], options["rvdw"], options["coulombtype"]) == ("0.7", "0.7", "PME")
        assert options["vdw-modifier"] == options["coulomb-modifier"] == "None"
        assert options["DispCorr"] == "EnerPres"
    assert (mdp["minimise"]["integrator"], mdp["minimise"]["nsteps"]) == ("steep", "500")
    warm, run = mdp["equilibrate"], mdp["produce"]
    assert (warm["nsteps"], warm["tcoupl"], warm["gen-seed"]) == ("25000", "v-rescale", "7")
    assert (warm["annealing-time"], warm["annealing-temp"]) == ("0 10 20 50", "420 420 298.1 298.1")
    assert (run["nsteps"], run["nstxout"], run["nstfout"], run["nstvout"]) == ("6000", "1500", "1500", "0")
    assert (run["tcoupl"], run["tau-t"], run["ref-t"]) == ("nose-hoover", "0.5", "298.1")
    assert (run["constraints"], run["lincs-order"], run["lincs-iter"]) == ("h-bonds", "4", "2")
    plain = ProtocolSpec.from_config(section(dispersion_correction=False, constraints="none"))
    options = gromacs.mdp("produce", plain, 7)
    assert (options["DispCorr"], options["constraints"]) == ("no", "none")


def test_key_depends_on_what_determines_a_stage(stage):
    """Seed, included files, structure and the stage's own protocol count; other stages' values do not."""

    def key(job, name="produce"):
        return stage_key("gromacs", name, job, gromacs.mdp(name, job.protocol, job.seed))

    def with_protocol(**changes):
        return replace(stage, protocol=ProtocolSpec.from_config(section(**changes)))

    first = key(stage)
    assert key(replace(stage, threads=8, device="cuda")) == first
    assert key(with_protocol(minimise_steps=9, anneal=[[0, 298.1]])) == first
    assert key(with_protocol(production_ps=15)) != first
    assert key(with_protocol(production_ps=15), "equilibrate") == key(stage, "equilibrate")
    assert key(replace(stage, seed=6)) != first
    assert stage_key("openmm", "produce", stage, {}) != first
    (stage.topology.parent / "types.itp").write_text("; other types\n")
    assert key(stage) != first


def test_cutoff_beyond_half_the_cell(stage):
    """Minimum image: the message gives the limit."""
    with pytest.raises(InputError, match=r"cutoff_A: found 8.0 A, expected less than half .* 8.00 A"):
        check_cutoff(replace(stage, protocol=ProtocolSpec.from_config(section(cutoff_A=8.0))))
    assert check_cutoff(stage).cell_A[0] == 16.0


def test_production_needs_velocities(stage):
    """A structure without velocities would start the production at 0 K."""
    with pytest.raises(InputError, match="velocities"):
        require_velocities(stage)


def test_missing_gromacs_names_its_package(stage, tmp_path, monkeypatch):
    """Without gmx on PATH the message says where to get it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="program gmx.*apt-get install gromacs"):
        gromacs.minimise(stage, tmp_path / "out.gro")


def test_engine_that_cannot_make_data():
    """source: files is for given trajectories; it makes none."""
    with pytest.raises(InputError, match="aa.source: found files, expected one of gromacs, openmm"):
        engine("files")


def test_engine_without_its_package(monkeypatch):
    """Where OpenMM is not installed the message says how to install it."""
    import sys

    for name in [name for name in sys.modules if name.startswith("cgdistill.aa.openmm")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "openmm", None)
    with pytest.raises(InputError, match="package openmm: found not installed.*pip install openmm"):
        engine("openmm")


def test_joined_pieces_hold_each_frame_once(stage, tmp_path):
    """Overlapping pieces, as interruptions leave them, give one trajectory in A and kcal/mol/A."""
    protocol, rng = stage.protocol, np.random.default_rng(0)
    x, f = rng.uniform(0, 16, (5, 2, 3)), rng.normal(0, 10, (5, 2, 3))
    for name, frames in (("a", (0, 1, 2)), ("b", (2, 3, 4))):
        writer = FrameWriter(tmp_path / f"{name}.trr", protocol)
        for index in frames:
            writer.write(index, x[index], f[index], np.array([16.0, 17.0, 18.0]))
        writer.close()
    join_frames([tmp_path / "a.trr", tmp_path / "b.trr"], tmp_path / "all.trr", protocol)
    import MDAnalysis

    steps = MDAnalysis.coordinates.TRR.TRRReader(str(tmp_path / "all.trr"))
    assert [step.time for step in steps] == [0, 3, 6, 9, 12]
    for index, step in enumerate(steps):
        np.testing.assert_allclose(step.positions, x[index], atol=1e-5)
        np.testing.assert_allclose(step.forces / 4.184, f[index], atol=1e-5)
        np.testing.assert_allclose(step.dimensions, [16, 17, 18, 90, 90, 90], atol=1e-5)
        assert not step.has_velocities


def test_missing_frame_is_an_error(stage, tmp_path):
    """A gap must not pass as a shorter trajectory."""
    writer = FrameWriter(tmp_path / "a.trr", stage.protocol)
    for index in (0, 1, 3, 4):
        writer.write(index, np.zeros((2, 3)), np.zeros((2, 3)), np.full(3, 16.0))
    writer.close()
    with pytest.raises(RuntimeError, match="2 frames, expected 5"):
        join_frames([tmp_path / "a.trr"], tmp_path / "all.trr", stage.protocol)
    assert not (tmp_path / "all.trr").exists()


def test_a_stage_writes_its_outputs(stage, tmp_path, monkeypatch):
    """Input from the config as from its parts, and every file handed to the engine under its own name."""
    files = {"topology": str(stage.topology), "structure": str(stage.structure)}
    job = StageInput.from_config(section(), **files, checkpoints=str(stage.checkpoints), seed=5)
    assert job == stage
    calls = []
    for name in ("minimise", "equilibrate", "produce"):
        monkeypatch.setattr(gromacs, name, lambda *given, name=name: calls.append((name, *given)))
    run_stage("minimise", "gromacs", job, {"structure": "a.gro"})
    run_stage("equilibrate", "gromacs", job, {"structure": "b.gro"})
    run_stage("produce", "gromacs", job, {"thermo": "c.csv", "structure": "c.gro", "trajectory": "c.trr"})
    assert calls == [
        ("minimise", job, Path("a.gro")),
        ("equilibrate", job, Path("b.gro")),
        ("produce", job, Path("c.trr"), Path("c.gro"), Path("c.csv")),
    ]
