"""Both all-atom engines on a box of 152 atoms: the same potential, whole products, restarts.

Programs that are not installed skip their tests and say so.
"""

import math
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from aa_forces import engine_forces
from cgdistill.aa.engines import engine
from cgdistill.aa.gro import read_gro, write_gro
from cgdistill.aa.stage import StageInput
from cgdistill.aa.system import SystemSpec, build_box, write_topology
from cgdistill.config.aa_protocol import ProtocolSpec
from cgdistill.core.errors import InputError
from cgdistill.io.csv_tables import read_provenance, read_table
from MDAnalysis.lib.formats.libmdaxdr import TRRFile

ENGINES = ["gromacs", "openmm"]
CELL_A = 16.0


def require(name):
    """Skip where a program is not installed."""
    if name == "openmm":
        pytest.importorskip("openmm", reason="OpenMM is not installed (pip install openmm)")
    elif shutil.which(name) is None:
        pytest.skip(f"{name} is not installed (apt-get install {'gromacs' if name == 'gmx' else name})")


def system_section(root, urea=None):
    """Config section aa.system: 4 choline, 4 chloride, 8 urea."""
    opls = root / "resources" / "opls-des"
    rows = [("CHOL", 4, "choline"), ("Cl", 4, "chloride"), ("UREA", 8, "urea")]
    molecules = [
        {"name": name, "count": count, "structure": str(opls / f"{stem}.pdb"), "topology": str(opls / f"{stem}.itp")}
        for name, count, stem in rows
    ]
    if urea is not None:
        molecules[2]["topology"] = str(urea)
    return {
        "molecules": molecules,
        "force_field": [str(opls / "forcefield.itp")],
        "cell_A": [CELL_A] * 3,
        "packing_tolerance_A": 1.8,
    }


def protocol(**changes):
    """A protocol of a few ps at 7 A cutoff."""
    return ProtocolSpec.from_config(
        {
            "timestep_fs": 2.0,
            "temperature_K": 298.1,
            "thermostat": "nose-hoover",
            "thermostat_time_ps": 0.5,
            "cutoff_A": 7.0,
            "dispersion_correction": True,
            "constraints": "hydrogen-bonds",
            "minimise_steps": 300,
            "anneal": [[0, 320], [0.3, 320], [0.6, 298.1]],
            "production_ps": 0.6,
            "frame_every_ps": 0.1,
        }
        | changes
    )


@pytest.fixture(scope="session")
def box(root, tmp_path_factory):
    """Topology and packed structure."""
    require("packmol")
    folder = tmp_path_factory.mktemp("box")
    spec = SystemSpec.from_config(system_section(root))
    build_box(spec, 11, folder / "system.top", folder / "packed.gro", folder / "packmol")
    return folder


@pytest.fixture(scope="session")
def warm(box):
    """A stage's input at a thermal configuration (GROMACS: minimised, 0.6 ps); also the folder of its products."""
    require("gmx")
    maker = engine("gromacs")
    job = StageInput(box / "system.top", box / "packed.gro", protocol(), box / "checkpoints", 3, 1, "cpu")
    maker.minimise(job, box / "minimised.gro")
    maker.equilibrate(replace(job, structure=box / "minimised.gro"), box / "equilibrated.gro")
    return replace(job, structure=box / "equilibrated.gro")


def test_packed_box_keeps_its_distances(box):
    """No two molecules closer than the tolerance, periodic images included; the order is the topology's.

    A tenth is allowed below the tolerance: Packmol stops at a precision of its own.
    """
    structure = read_gro(box / "packed.gro")
    assert structure.residue_names == ("CHOL",) * 84 + ("Cl",) * 4 + ("UREA",) * 64
    assert list(np.unique(structure.residue_numbers)) == list(range(1, 17))
    gap = structure.positions_A[:, None] - structure.positions_A[None]
    gap -= CELL_A * np.round(gap / CELL_A)
    other = structure.residue_numbers[:, None] != structure.residue_numbers[None]
    assert np.sqrt((gap**2).sum(-1))[other].min() > 0.9 * 1.8


def test_same_seed_packs_the_same_box(root, box, tmp_path):
    """The packing is a function of its seed."""
    spec = SystemSpec.from_config(system_section(root))
    for seed, same in ((11, True), (12, False)):
        build_box(spec, seed, tmp_path / "system.top", tmp_path / "packed.gro", tmp_path / "packmol")
        again = read_gro(tmp_path / "packed.gro").positions_A
        assert np.array_equal(again, read_gro(box / "packed.gro").positions_A) is same


def test_impossible_packing_is_named(root, tmp_path):
    """A cell far too small for its molecules ends with the tolerance and the cell in the message."""
    require("packmol")
    section = system_section(root) | {"cell_A": [6.0] * 3}
    section["molecules"] = section["molecules"][2:]
    with pytest.raises(InputError, match="packmol: packing: .*1.8 A apart in 6 x 6 x 6 A"):
        build_box(SystemSpec.from_config(section), 1, tmp_path / "a.top", tmp_path / "a.gro", tmp_path / "work")


@pytest.mark.parametrize("constraints", ["none", "hydrogen-bonds"])
@pytest.mark.parametrize("pairs", [False, True], ids=["no pairs", "pairs"])
def test_engines_compute_the_same_potential(root, warm, tmp_path, pairs, constraints):
    """Forces of a thermal configuration agree to 1e-3 (RMS, relative), energies to 0.02 kcal/mol.

    With [ pairs ] listed for urea both scale its 1-4 interactions, without them neither computes any;
    the two cases must differ. Cannot detect what both engines read wrongly from one topology.
    """
    require("openmm")
    urea = tmp_path / "urea.itp"
    text = (root / "resources" / "opls-des" / "urea.itp").read_text()
    listed = "[ pairs ]\n" + "".join(f"{i} {j} 1\n" for i in (2, 3) for j in (5, 6)) if pairs else ""
    urea.write_text(text + "\n" + listed)
    write_topology(SystemSpec.from_config(system_section(root, urea)), tmp_path / "system.top")
    job = replace(
        warm,
        topology=tmp_path / "system.top",
        protocol=protocol(dispersion_correction=False, constraints=constraints),
        checkpoints=tmp_path / "checkpoints",
    )
    energy, forces = zip(*(engine_forces(name, job) for name in ENGINES), strict=True)
    rms = math.sqrt((forces[0] ** 2).mean())
    assert rms > 5.0
    assert math.sqrt(((forces[0] - forces[1]) ** 2).mean()) < 1e-3 * rms
    assert energy[0] == pytest.approx(energy[1], abs=0.02)
    if pairs:
        without, _ = engine_forces("gromacs", replace(job, topology=warm.topology))
        assert abs(energy[0] - without) > 1.0


@pytest.mark.parametrize("source", ENGINES)
def test_broken_molecules_have_the_same_forces(warm, tmp_path, source):
    """Atoms wrapped one by one into a shifted cell: the same forces, in their atoms' order."""
    require("gmx" if source == "gromacs" else "openmm")
    whole = read_gro(warm.structure)
    moved = whole.positions_A + np.array([5.0, 3.0, 8.0])
    wrapped = moved - CELL_A * np.floor(moved / CELL_A)
    assert np.abs(wrapped - moved).max() > 1.0
    write_gro(tmp_path / "wrapped.gro", replace(whole, positions_A=wrapped))
    _, expected = engine_forces(source, replace(warm, checkpoints=tmp_path / "a"))
    _, forces = engine_forces(source, replace(warm, structure=tmp_path / "wrapped.gro", checkpoints=tmp_path / "b"))
    # The mesh is not invariant under a shift; positions are rounded to 1e-4 A.
    assert np.sqrt(((forces - expected) ** 2).mean() / (expected**2).mean()) < 5e-3


def test_dispersion_correction_agrees(warm, tmp_path):
    """Its energy is the same in both engines to 3%: GROMACS leaves out excluded pairs, OpenMM does not."""
    require("openmm")
    shift = []
    for name in ENGINES:
        values = [
            engine_forces(
                name, replace(warm, protocol=protocol(dispersion_correction=on), checkpoints=tmp_path / name)
            )[0]
            for on in (True, False)
        ]
        shift.append(values[0] - values[1])
    assert shift[0] < -0.5
    assert shift[0] == pytest.approx(shift[1], rel=0.03)


@pytest.mark.parametrize("source", ENGINES)
def test_chain_makes_whole_products(box, tmp_path, source):
    """Minimise, equilibrate, produce: every frame with finite forces, temperature near its target.

    The mean of 7 correlated frames of 152 atoms lies within 80 K; a wrong unit or factor does not.
    """
    require("gmx" if source == "gromacs" else "openmm")
    maker = engine(source)
    job = StageInput(box / "system.top", box / "packed.gro", protocol(), tmp_path / "checkpoints", 3, 1, "cpu")
    maker.minimise(job, tmp_path / "minimised.gro")
    maker.equilibrate(replace(job, structure=tmp_path / "minimised.gro"), tmp_path / "equilibrated.gro")
    start = replace(job, structure=tmp_path / "equilibrated.gro")
    paths = [tmp_path / f"production.{suffix}" for suffix in ("trr", "gro", "csv")]
    maker.produce(start, *paths)
    with TRRFile(str(paths[0])) as trajectory:
        frames = list(trajectory)
    assert [round(frame.time, 4) for frame in frames] == [round(0.1 * i, 4) for i in range(7)]
    assert all(frame.hasf and not frame.hasv and np.isfinite(frame.f).all() for frame in frames)
    structure = read_gro(paths[1])
    np.testing.assert_allclose(frames[0].box * 10, np.diag(structure.cell_A), atol=1e-5)
    move = frames[0].x * 10 - structure.positions_A
    assert np.abs(move - CELL_A * np.round(move / CELL_A)).max() < 0.05
    table = read_table(paths[2], ["time_ps", "potential_energy_kcal_mol", "temperature_K"])
    assert abs(table["temperature_K"].mean() - 298.1) < 80
    record = read_provenance(paths[2])
    assert record["n_frames"] == 7 and source in record["versions"] and record["ns_per_day"] > 0


@pytest.mark.parametrize("source", ENGINES)
def test_written_forces_belong_to_their_positions(warm, tmp_path, source):
    """Forces of the trajectory's first frame against a single evaluation of the start structure.

    The start is moved by constraints by up to its rounding (0.01 A), hence 15%; forces of another
    time or in another unit would be off by more than their own size.
    """
    require("gmx" if source == "gromacs" else "openmm")
    maker = engine(source)
    job = replace(warm, protocol=protocol(production_ps=0.1), checkpoints=tmp_path / "checkpoints")
    maker.produce(job, *(tmp_path / f"production.{suffix}" for suffix in ("trr", "gro", "csv")))
    with TRRFile(str(tmp_path / "production.trr")) as trajectory:
        written = trajectory.read().f / 41.84
    _, forces = engine_forces(source, job)
    assert np.sqrt(((written - forces) ** 2).mean() / (forces**2).mean()) < 0.15


_RUN = """
import sys
from pathlib import Path
from cgdistill.aa import gromacs
from cgdistill.aa.engines import engine
from cgdistill.config.aa_protocol import ProtocolSpec
from cgdistill.aa.stage import StageInput
from cgdistill.runtime.job import job
import json
values = json.loads(sys.argv[1])
folder = Path(sys.argv[2])
gromacs._CHECKPOINT_MINUTES = float(sys.argv[5])
with job(folder / "log"):
    spec = ProtocolSpec.from_config(values)
    stage = StageInput(Path(sys.argv[3]), Path(sys.argv[4]), spec, folder / "work", 3, 1, "cpu")
    engine("gromacs").produce(stage, folder / "p.trr", folder / "p.gro", folder / "p.csv")
"""


def start_production(warm, folder, spec, checkpoint_minutes=2.0):
    """A process with a production by GROMACS, once it has written some frames."""
    import json
    from dataclasses import asdict

    values = json.dumps(asdict(spec))
    command = [sys.executable, "-c", _RUN, values, str(folder), str(warm.topology), str(warm.structure)]
    # A shell that starts the tests in the background has its children ignore SIGINT.
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(
        [*command, str(checkpoint_minutes)], stderr=subprocess.DEVNULL, start_new_session=True, preexec_fn=heed
    )
    wait_for(process, lambda: any(path.stat().st_size > 40_000 for path in folder.glob("work/produce-*/run.trr")))
    return process


def wait_for(process, reached):
    """Wait until something is so, while the process runs."""
    deadline = time.monotonic() + 120
    while not reached():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)


def mdruns(folder):
    """Process numbers of the mdruns that work in a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if (path / "cwd").resolve() == folder.resolve() and b"mdrun" in (path / "cmdline").read_bytes():
                found.append(int(path.name))
        except OSError:  # it has ended
            pass
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_interrupted_gromacs_goes_on(warm, tmp_path, monkeypatch, number):
    """Ctrl-C, a time limit or its warning in mid-run, then the same call: every frame once, the first ones kept.

    Cannot tell whether the resumed run equals an uninterrupted one bit by bit (GROMACS does not).
    """
    spec = protocol(production_ps=12.0, frame_every_ps=0.04)
    process = start_production(warm, tmp_path, spec)
    process.send_signal(number)
    assert process.wait(60) == 128 + number
    work = next((tmp_path / "work").glob("produce-*"))
    assert (work / "run.cpt").is_file() and not (work / "run.gro").exists()
    assert not (tmp_path / "p.trr").exists()
    with TRRFile(str(work / "run.trr")) as trajectory:
        before = [frame.f.copy() for frame in trajectory]
    assert 5 < len(before) < spec.n_frames
    job = replace(warm, protocol=spec, checkpoints=tmp_path / "work")
    outputs = [tmp_path / name for name in ("p.trr", "p.gro", "p.csv")]
    engine("gromacs").produce(job, *outputs)
    assert (
        len(list((tmp_path / "work").iterdir())) == 1 and "Restarting from checkpoint" in (work / "run.log").read_text()
    )
    with TRRFile(str(tmp_path / "p.trr")) as trajectory:
        frames = list(trajectory)
    assert [round(frame.time, 3) for frame in frames] == [round(0.04 * i, 3) for i in range(spec.n_frames)]
    for old, new in zip(before[:5], frames, strict=False):
        np.testing.assert_array_equal(old, new.f)
    monkeypatch.setattr("cgdistill.aa.gromacs._mdrun", lambda *args: pytest.fail("a finished stage ran again"))
    engine("gromacs").produce(job, *outputs)


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc, and a kernel that tells children of a dead parent")
@pytest.mark.parametrize("checkpoint_minutes", [0.005, 2.0])
def test_killed_gromacs_goes_on(warm, tmp_path, checkpoint_minutes):
    """SIGKILL: mdrun dies too; the next call goes on from a regular checkpoint, or begins anew where there is none."""
    spec = protocol(production_ps=12.0, frame_every_ps=0.04)
    process = start_production(warm, tmp_path, spec, checkpoint_minutes)
    work = next((tmp_path / "work").glob("produce-*"))
    wait_for(process, lambda: checkpoint_minutes > 1 or (work / "run.cpt").is_file())
    assert len(mdruns(work)) == 1
    process.kill()
    assert process.wait(60) == -signal.SIGKILL
    deadline = time.monotonic() + 10
    while mdruns(work):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert not (work / "run.gro").exists() and not (tmp_path / "p.trr").exists()
    job = replace(warm, protocol=spec, checkpoints=tmp_path / "work")
    engine("gromacs").produce(job, *(tmp_path / name for name in ("p.trr", "p.gro", "p.csv")))
    resumed = "Restarting from checkpoint" in (work / "run.log").read_text()
    assert resumed == (checkpoint_minutes < 1)
    with TRRFile(str(tmp_path / "p.trr")) as trajectory:
        times = [round(frame.time, 3) for frame in trajectory]
    assert times == [round(0.04 * i, 3) for i in range(spec.n_frames)]
    assert not list(work.glob(".run.partial-*"))


_PARENT = """
import subprocess, sys, time
from cgdistill.aa.gromacs import _dying_with_parent
child = subprocess.Popen(["sleep", "60"], start_new_session=True, preexec_fn=_dying_with_parent())
print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs a kernel that tells children of a dead parent")
def test_program_dies_with_a_killed_job():
    """One that would not notice by itself: it writes nothing to its parent."""
    parent = subprocess.Popen([sys.executable, "-c", _PARENT], stdout=subprocess.PIPE)
    child = Path("/proc") / parent.stdout.readline().decode().strip()
    time.sleep(0.2)
    assert b"sleep" in (child / "cmdline").read_bytes()
    parent.kill()
    parent.wait(60)
    deadline = time.monotonic() + 10
    # A zombie, where nobody collects it, has no command line.
    while child.exists() and (child / "cmdline").read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_gromacs_killed_behind_its_last_step(warm, box, tmp_path, monkeypatch):
    """While it wrote the structure: that is no finished stage, and the structure comes from the checkpoint."""
    from cgdistill.aa import gromacs

    job = replace(warm, structure=box / "minimised.gro", checkpoints=tmp_path / "work")
    run = gromacs._mdrun

    def killed(command, folder, *rest):
        run(command, folder, *rest)
        structure = folder / command[command.index("-c") + 1]
        structure.write_bytes(structure.read_bytes()[:2000])
        # Without clean-up, as after SIGKILL.
        shutil.copytree(folder, tmp_path / "left", dirs_exist_ok=True)
        raise Stop

    monkeypatch.setattr(gromacs, "_mdrun", killed)
    with pytest.raises(Stop):
        gromacs.equilibrate(job, tmp_path / "out.gro")
    monkeypatch.undo()
    (folder,) = (tmp_path / "work").iterdir()
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "left", folder)
    gromacs.equilibrate(job, tmp_path / "out.gro")
    found, expected = read_gro(tmp_path / "out.gro"), read_gro(box / "equilibrated.gro")
    gaps = found.positions_A - expected.positions_A
    np.testing.assert_allclose(gaps - CELL_A * np.round(gaps / CELL_A), 0.0, atol=0.011)
    np.testing.assert_allclose(found.velocities_A_fs, expected.velocities_A_fs, atol=2e-6)


def test_gromacs_stopped_from_outside_is_explained(warm, tmp_path, monkeypatch):
    """mdrun ended by somebody else's signal is not a crash: the message says how to go on."""
    from cgdistill.aa import gromacs

    job = replace(warm, protocol=protocol(production_ps=40.0), checkpoints=tmp_path / "work")
    popen = subprocess.Popen

    def started(*args, **kwargs):
        process = popen(*args, **kwargs)
        if "mdrun" in args[0]:
            threading.Timer(1.0, process.terminate).start()
        return process

    monkeypatch.setattr(gromacs.subprocess, "Popen", started)
    with pytest.raises(RuntimeError, match=r"stopped by another process at step \d+; run again to resume"):
        gromacs.produce(job, *(tmp_path / name for name in ("p.trr", "p.gro", "p.csv")))
    assert list((tmp_path / "work").glob("*/run.cpt"))


class Stop(Exception):
    """Stands for a killed job."""


@pytest.mark.parametrize("stage", ["equilibrate", "produce"])
def test_interrupted_openmm_goes_on(warm, tmp_path, monkeypatch, stage):
    """A run stopped in mid-frame and called again gives what the uninterrupted run gives.

    The production, Nose-Hoover chain included, is the same to 1e-3 A after 0.4 ps. Langevin noise of a
    resumed equilibration is drawn anew, so that there only its step count and end can be checked.
    """
    require("openmm")
    from cgdistill.aa import openmm as module

    spec = protocol(production_ps=0.4, anneal=[[0, 300], [0.4, 298.1]])
    monkeypatch.setattr(module, "_CHECKPOINT_S", 0.0)
    monkeypatch.setattr(module, "_ANNEAL_STEP_PS", 0.1)

    def run(folder):
        job = replace(warm, protocol=spec, checkpoints=folder / "work")
        folder.mkdir(exist_ok=True)
        if stage == "equilibrate":
            module.equilibrate(job, folder / "out.gro")
            return read_gro(folder / "out.gro").positions_A
        module.produce(job, folder / "out.trr", folder / "out.gro", folder / "out.csv")
        with TRRFile(str(folder / "out.trr")) as trajectory:
            return np.array([frame.x * 10 for frame in trajectory])

    save, saved = module._save, []

    def stop_after_two(context, path):
        save(context, path)
        saved.append(context.getStepCount())
        if len(saved) == 2:
            raise Stop

    monkeypatch.setattr(module, "_save", stop_after_two)
    with pytest.raises(Stop):
        run(tmp_path / "stopped")
    assert not (tmp_path / "stopped" / "out.gro").exists()
    monkeypatch.setattr(module, "_save", save)
    steps = []
    monkeypatch.setattr(
        module, "_save", lambda context, path: (steps.append(context.getStepCount()), save(context, path))
    )
    resumed = run(tmp_path / "stopped")
    assert steps[0] > saved[1]
    if stage == "produce":
        whole = run(tmp_path / "whole")
        assert resumed.shape == whole.shape == (5, 152, 3)
        assert np.abs(whole[-1] - whole[0]).max() > 0.05
        np.testing.assert_allclose(resumed, whole, atol=1e-3)
    else:
        assert np.isfinite(resumed).all() and steps[-1] == 200


_OPENMM = """
import json, os, sys
from pathlib import Path
from cgdistill.aa import openmm
from cgdistill.config.aa_protocol import ProtocolSpec
from cgdistill.aa.stage import StageInput
from cgdistill.runtime.job import job
values, folder, stage, number, at = json.loads(sys.argv[1]), Path(sys.argv[2]), *sys.argv[5:]
step_to = openmm._step_to
def with_signal(context, target, stop):
    if context.getStepCount() < int(at) <= target:
        step_to(context, int(at), stop)
        os.kill(os.getpid(), int(number))
    return step_to(context, target, stop)
openmm._step_to = with_signal
with job(folder / "log"):
    spec = ProtocolSpec.from_config(values)
    given = StageInput(Path(sys.argv[3]), Path(sys.argv[4]), spec, folder / "work", 3, 1, "cpu")
    outputs = [folder / name for name in ("out.gro", "out.trr", "out.csv")]
    if stage == "produce":
        openmm.produce(given, outputs[1], outputs[0], outputs[2])
    else:
        openmm.equilibrate(given, outputs[0])
"""


@pytest.mark.parametrize(
    ("stage", "number", "frame_every_ps"),
    [("equilibrate", signal.SIGTERM, 0.1), ("produce", signal.SIGTERM, 0.1), ("produce", signal.SIGUSR1, 0.4)],
)
def test_openmm_told_to_stop_goes_on(warm, tmp_path, stage, number, frame_every_ps):
    """Between two frames, behind some or behind the start alone: exit status, state of that step, then all frames.

    Positions of a production as without interruption to 1e-3 A; Langevin noise of an equilibration is drawn anew.
    """
    require("openmm")
    import json
    from dataclasses import asdict

    from cgdistill.aa import openmm as module

    spec = protocol(production_ps=0.4, frame_every_ps=frame_every_ps, anneal=[[0, 300], [0.4, 298.1]])
    command = [sys.executable, "-c", _OPENMM, json.dumps(asdict(spec)), tmp_path, warm.topology, warm.structure]
    done = subprocess.run(list(map(str, [*command, stage, int(number), 130])), stderr=subprocess.DEVNULL, check=False)
    text = (tmp_path / "log").read_text()
    assert done.returncode == 128 + number, text
    assert re.search(rf"{number.name} in {stage}\w* at step 130", text) and "Traceback" not in text
    assert next(tmp_path.glob("work/*/state.xml")) and not list(tmp_path.glob("out.*"))
    job = replace(warm, protocol=spec, checkpoints=tmp_path / "work")
    if stage == "equilibrate":
        module.equilibrate(job, tmp_path / "out.gro")
        assert np.isfinite(read_gro(tmp_path / "out.gro").positions_A).all()
        return
    frames = []
    for one, folder in ((job, tmp_path), (replace(job, checkpoints=tmp_path / "other"), tmp_path / "whole")):
        module.produce(one, folder / "out.trr", folder / "out.gro", folder / "out.csv")
        with TRRFile(str(folder / "out.trr")) as trajectory:
            frames.append([(round(frame.time, 3), frame.x * 10) for frame in trajectory])
    times = [round(frame_every_ps * i, 3) for i in range(spec.n_frames)]
    assert [[time for time, _ in own] for own in frames] == [times, times]
    for (_, found), (_, expected) in zip(*frames, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-3)
    assert read_table(tmp_path / "out.csv")["time_ps"].round(3).tolist() == times


def test_openmm_refuses_what_it_cannot_do(warm, tmp_path):
    """The v-rescale thermostat and a platform that is not there are named before long work."""
    require("openmm")
    maker = engine("openmm")
    outputs = [tmp_path / name for name in ("a.trr", "a.gro", "a.csv")]
    with pytest.raises(InputError, match="thermostat: found v-rescale, expected nose-hoover with OpenMM"):
        maker.produce(replace(warm, protocol=protocol(thermostat="v-rescale")), *outputs)
    with pytest.raises(InputError, match="device: found quantum"):
        engine_forces("openmm", replace(warm, device="quantum"))


def test_refused_topology_is_explained(warm, tmp_path):
    """grompp's own complaint reaches the user: a type that the force field does not know."""
    text = warm.topology.read_text()
    broken = tmp_path / "broken.top"
    lines = [
        f'#include "{os.path.relpath((warm.topology.parent / line.split(chr(34))[1]).resolve(), tmp_path.resolve())}"'
        if line.startswith("#include")
        else line
        for line in text.splitlines()
    ]
    broken.write_text("\n".join(line.replace("UREA     8", "UREA     7") for line in lines) + "\n")
    with pytest.raises(InputError, match=r"broken.top: gmx grompp \(minimise\)"):
        engine("gromacs").minimise(replace(warm, topology=broken, checkpoints=tmp_path / "work"), tmp_path / "a.gro")
    assert not list(tmp_path.glob("work/*/run.tpr"))
    assert Path(tmp_path / "a.gro").exists() is False
