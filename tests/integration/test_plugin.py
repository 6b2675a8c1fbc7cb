"""The pair style cgdistill, compiled and run by LAMMPS: numbers of hippynn's graph, ranks, boxes, refusals.

What these tests cannot detect: faults on other processors and compilers, another LAMMPS, more than two ranks, and what
float32 does to the energy over long times.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from cgdistill.cli.main import main
from cgdistill.core.errors import InputError
from cgdistill.data.beads import BeadTopology
from cgdistill.export.model_folder import export_model
from cgdistill.forcefield.forcefield import ForceField
from cgdistill.forcefield.hipnn.model import BeadModel, NetworkSpec
from cgdistill.forcefield.hipnn.network_potential import NetworkPotential
from cgdistill.forcefield.hipnn.plugin_build import build_plugin, find_compiler
from cgdistill.forcefield.hipnn.plugin_model import write_plugin_model
from cgdistill.forcefield.lammps_style import LammpsStyle, lammps_commands
from cgdistill.forcefield.model_files import save_model
from cgdistill.forcefield.prior.repulsion import Repulsion
from cgdistill.forcefield.prior.terms import PriorTerms
from cgdistill.io.lammps_dump import read_dump
from cgdistill.md.lammps_files import write_data_file
from cgdistill.md.protocol import Minimisation, SimulationSpec

try:
    find_compiler()
except InputError as missing:
    pytest.skip(str(missing), allow_module_level=True)

BIN = Path(sys.executable).parent
TYPES, MASSES_g_mol = ("Cho", "Cl", "Urea"), np.array([104.2, 35.5, 60.1])
CELLS_A = {
    "cubic": np.diag([15.0, 14.0, 14.5]),
    "triclinic": np.array([[15.0, 0.0, 0.0], [-4.0, 14.5, 0.0], [3.0, 5.0, 14.0]]),
    # Beads interact with their own images.
    "narrow": np.diag([5.5, 9.0, 14.0]),
}
EDGES = {"cubic": (4, 4, 4), "triclinic": (4, 4, 4), "narrow": (2, 3, 4)}
#: kcal/mol per A^3 in atm, of LAMMPS's units real.
PRESSURE = 68568.415


def prior():
    """As fits give them: one that is steep, with a large prefactor."""
    energy = np.array([[300.0, 200.0, 1.0e12], [200.0, 150.0, 250.0], [1.0e12, 250.0, 200.0]])
    a = np.array([[2.6, 2.4, 10.0], [2.4, 2.2, 2.5], [10.0, 2.5, 2.3]])
    return PriorTerms(TYPES, (Repulsion(TYPES, energy, a),))


def network(order, seed=1, n_atom_layers=2, n_sensitivities=7, n_features=9, cutoff_A=6.0):
    """Untrained network, with a larger readout so that its forces are some kcal/mol/A."""
    spec = NetworkSpec(order, 1, n_atom_layers, n_sensitivities, n_features, cutoff_A, 2.0, cutoff_A - 0.5)
    model = BeadModel(spec, TYPES, seed).eval()
    with torch.no_grad():
        for name, weight in model._named_weights().items():
            if name.startswith("energy"):
                weight.mul_(20.0)
    return model


#: Networks of other architectures and cutoffs.
MODELS = {
    "order 0": lambda: [network(0)],
    "order 1": lambda: [network(1, n_sensitivities=20, n_features=33)],
    "order 2": lambda: [network(2, n_sensitivities=17, n_features=16, n_atom_layers=1)],
    "ensemble": lambda: [network(2), network(2, 2), network(1, 3, 3, 10, 20, 5.0), network(0, 4)],
}


@dataclass(frozen=True)
class Box:
    """Beads of a case, in the digits of a data file."""

    positions_A: np.ndarray
    types: np.ndarray
    cell_A: np.ndarray

    @classmethod
    def of(cls, case, seed=3):
        rng, counts = np.random.default_rng(seed), np.array(EDGES[case])
        grid = np.stack(np.meshgrid(*map(np.arange, counts), indexing="ij"), axis=-1).reshape(-1, 3)
        fractions = (grid + rng.uniform(0.4, 0.6, grid.shape)) / counts
        return cls(np.round(fractions @ CELLS_A[case], 8), rng.integers(0, len(TYPES), len(grid)), CELLS_A[case])


@dataclass(frozen=True)
class Answer:
    """What LAMMPS says of a configuration; rows by bead."""

    forces: np.ndarray
    energies: np.ndarray
    stress: np.ndarray
    energy: float
    virial: np.ndarray


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    """The plugin, compiled by the command of users."""
    path = tmp_path_factory.mktemp("plugin") / "pair_cgdistill.so"
    assert main(["lammps-plugin", "--output", str(path)]) == 0
    return path


@pytest.fixture
def lammps(plugin, tmp_path):
    """Run a script in ``tmp_path``; returns status and output. ``PLUGIN`` in it is the plugin."""

    def run(text, ranks=1):
        (tmp_path / "in.lammps").write_text(text.replace("PLUGIN", str(plugin)), encoding="utf-8")
        command = [str(BIN / "lmp"), "-in", "in.lammps"]
        if ranks > 1:
            command = [str(BIN / "mpiexec"), "-n", str(ranks), *command]
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PMI", "SLURM"))}
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120, env=environment
        )
        return done.returncode, done.stdout + done.stderr

    return run


def head(box, tmp_path, style="", names=TYPES, replicate="1 1 1", extra="", before="", styles=()):
    """First lines of a script with the model of ``tmp_path`` and more styles; ``names`` of the LAMMPS types."""
    order = [names.index(name) for name in TYPES]
    masses = np.empty(len(names))
    masses[order] = MASSES_g_mol
    write_data_file(tmp_path / "start.data", box.positions_A, box.cell_A, np.array(order)[box.types], names, masses)
    network = LammpsStyle("pair", "cgdistill", style, (("* *", f"model.cgdistill {' '.join(names)}"),))
    interactions = "\n".join(lammps_commands([network, *styles]))
    return (
        f"units real\natom_style atomic\n{before}boundary p p p\nbox tilt large\nread_data start.data {extra}\n"
        f"replicate {replicate}\nplugin load PLUGIN\n{interactions}\nneighbor 1.0 bin\nthermo_modify norm no\n"
    )


EVALUATE = """
compute energies all pe/atom
compute stress all stress/atom NULL virial
variable energy equal pe
dump frame all custom 1 forces.dump id fx fy fz c_energies c_stress[*]
dump_modify frame sort id format float %.17g
thermo_style custom step pe pxx pyy pzz pxy pxz pyz
run 0
print "RESULT $(pe:%.17g) $(pxx:%.17g) $(pyy:%.17g) $(pzz:%.17g) $(pxy:%.17g) $(pxz:%.17g) $(pyz:%.17g) $(vol:%.17g)"
"""


@pytest.fixture
def evaluate(lammps, tmp_path):
    """Answer of LAMMPS for the box of a case and models."""

    def call(box, models, ranks=1, **keywords):
        write_plugin_model(tmp_path / "model.cgdistill", models)
        status, text = lammps(head(box, tmp_path, **keywords) + EVALUATE, ranks)
        assert status == 0, text[-2000:]
        (line,) = [line for line in text.splitlines() if line.startswith("RESULT")]
        values = np.array(line.split()[1:], dtype=np.float64)
        rows = np.loadtxt(tmp_path / "forces.dump", skiprows=9)[:, 1:]
        virial = values[1:7] * values[7] / PRESSURE
        return Answer(rows[:, :3], rows[:, 3], -rows[:, 4:] / PRESSURE, values[0], virial)

    return call


def reference(box, models, dtype=torch.float64, evaluation="stock"):
    """hippynn's own graph, one network after another."""
    return NetworkPotential(models, dtype=dtype, evaluation=evaluation).evaluate(box.positions_A, box.cell_A, box.types)


def assert_same(answer, expected, tolerance):
    """Deviations below ``tolerance`` of the largest force; virial: of the cutoff times it."""
    scale = np.abs(expected.forces_kcal_mol_A).max()
    np.testing.assert_allclose(answer.forces, expected.forces_kcal_mol_A, rtol=0, atol=tolerance * scale)
    np.testing.assert_allclose(answer.energies, expected.bead_energies_kcal_mol, rtol=0, atol=tolerance * scale)
    total = tolerance * scale * len(answer.energies)
    assert answer.energy == pytest.approx(expected.energy_kcal_mol, rel=0, abs=total)
    np.testing.assert_allclose(answer.virial, expected.virial_kcal_mol, rtol=0, atol=6.0 * total)
    np.testing.assert_allclose(answer.stress.sum(axis=0), expected.virial_kcal_mol, rtol=0, atol=6.0 * total)


@pytest.mark.parametrize("case", list(CELLS_A))
@pytest.mark.parametrize("name", list(MODELS))
def test_numbers_are_those_of_the_graph_of_hippynn(evaluate, name, case):
    """Forces, energy, per-bead energies and virial, in double precision."""
    box, models = Box.of(case), MODELS[name]()
    expected = reference(box, models)
    assert np.abs(expected.forces_kcal_mol_A).max() > 0.1
    assert_same(evaluate(box, models, style="precision double"), expected, 1e-11)


@pytest.mark.parametrize("case", list(CELLS_A))
@pytest.mark.parametrize("ranks", [1, 2])
def test_styles_of_lammps_add_the_prior(evaluate, case, ranks):
    """Networks and prior overlaid: energy, forces and virial of the whole force field."""
    box, models = Box.of(case), MODELS["order 2"]()
    force_field = ForceField(prior(), tuple(models))
    expected = force_field.potential(dtype=torch.float64).evaluate(box.positions_A, box.cell_A, box.types)
    alone = reference(box, models)
    assert np.abs(expected.forces_kcal_mol_A - alone.forces_kcal_mol_A).max() > 0.1
    answer = evaluate(box, models, ranks, style="precision double", styles=prior().lammps_styles())
    assert_same(answer, expected, 1e-11)


def test_single_precision(evaluate):
    """As close as the library's own float32, and not double precision in disguise."""
    box, models = Box.of("cubic"), MODELS["ensemble"]()
    exact = reference(box, models)
    scale = np.abs(exact.forces_kcal_mol_A).max()
    for style in ("", "precision single"):
        answer = evaluate(box, models, style=style)
        assert np.abs(answer.forces - exact.forces_kcal_mol_A).max() > 1e-9 * scale
        assert_same(answer, exact, 5e-6)


@pytest.mark.parametrize("names", [("Urea", "Cho", "Cl"), ("Cl", "Urea", "Cho")])
def test_types_in_any_order(evaluate, names):
    """The names behind the file tell LAMMPS's types."""
    box, models = Box.of("cubic"), MODELS["order 2"]()
    assert_same(evaluate(box, models, style="precision double", names=names), reference(box, models), 1e-11)


@pytest.mark.parametrize("case", list(CELLS_A))
def test_two_ranks_are_one(evaluate, case):
    """Forces on ghosts come back to their owners, whatever the cut."""
    box, models = Box.of(case), MODELS["ensemble"]()
    one = evaluate(box, models, style="precision double")
    two = evaluate(box, models, ranks=2, style="precision double")
    scale = np.abs(one.forces).max()
    np.testing.assert_allclose(two.forces, one.forces, rtol=0, atol=1e-13 * scale)
    np.testing.assert_allclose(two.energies, one.energies, rtol=0, atol=1e-13 * scale)
    np.testing.assert_allclose(two.stress, one.stress, rtol=0, atol=1e-12 * scale)
    np.testing.assert_allclose(two.virial, one.virial, rtol=0, atol=1e-12 * scale * len(one.energies))


def test_a_narrow_box_is_its_replica(evaluate):
    """A box smaller than the cutoff sees as many images as are within it: twice the box, each bead twice."""
    box, models = Box.of("narrow"), MODELS["order 2"]()
    one = evaluate(box, models, style="precision double")
    many = evaluate(box, models, style="precision double", replicate="3 2 1")
    scale = np.abs(one.forces).max()
    np.testing.assert_allclose(many.forces, np.tile(one.forces, (6, 1)), rtol=0, atol=1e-12 * scale)
    np.testing.assert_allclose(many.energies, np.tile(one.energies, 6), rtol=0, atol=1e-12 * scale)
    assert many.energy == pytest.approx(6 * one.energy, rel=1e-12)


def test_beads_without_a_type_do_not_count(lammps, evaluate, tmp_path):
    """NULL: a fourth LAMMPS type of another pair style, between the beads."""
    box, models = Box.of("cubic"), MODELS["order 1"]()
    alone = evaluate(box, models, style="precision double")
    text = head(box, tmp_path, extra="extra/atom/types 1").split("plugin load")[0] + (
        "mass 4 40.0\ncreate_atoms 4 random 40 77 NULL\nplugin load PLUGIN\n"
        "pair_style hybrid/overlay cgdistill precision double zero 3.0\n"
        "pair_coeff * * cgdistill model.cgdistill Cho Cl Urea NULL\npair_coeff * * zero\nthermo_modify norm no\n"
    )
    status, out = lammps(text + EVALUATE)
    assert status == 0, out[-2000:]
    rows = np.loadtxt(tmp_path / "forces.dump", skiprows=9)[:, 1:]
    assert len(rows) == len(box.types) + 40
    np.testing.assert_allclose(rows[: len(box.types), :4], np.column_stack([alone.forces, alone.energies]), atol=1e-10)
    assert not rows[len(box.types) :].any()
    (line,) = [line for line in out.splitlines() if line.startswith("RESULT")]
    values = np.array(line.split()[1:], dtype=np.float64)
    np.testing.assert_allclose(values[1:7] * values[7] / PRESSURE, alone.virial, rtol=1e-9, atol=1e-8)


def test_virial_summed_over_pairs(lammps, evaluate, tmp_path):
    """Beside a pair style for grains LAMMPS asks for it instead of making it of all forces; none of them touch."""
    box, models = Box.of("cubic"), MODELS["ensemble"]()
    alone = evaluate(box, models, style="precision double")
    x, y, z = np.diag(box.cell_A).tolist()
    text = (
        "units real\natom_style sphere\nboundary p p p\ncomm_modify vel yes\n"
        f"region cell block 0 {x!r} 0 {y!r} 0 {z!r}\ncreate_box 3 cell\nplugin load PLUGIN\n"
    )
    for kind, place in zip(box.types, box.positions_A, strict=True):
        text += f"create_atoms {kind + 1} single {' '.join(map(repr, place.tolist()))}\n"
    text += (
        "set group all diameter 0.1\nset group all density 1.0\n"
        "pair_style hybrid/overlay cgdistill precision double gran/hooke/history 1.0 0.0 0.0 0.0 0.0 0\n"
        "pair_coeff * * cgdistill model.cgdistill Cho Cl Urea\n"
        "pair_coeff * * gran/hooke/history\nthermo_modify norm no\n"
    )
    status, out = lammps(text + EVALUATE)
    assert status == 0, out[-2000:]
    (line,) = [line for line in out.splitlines() if line.startswith("RESULT")]
    values = np.array(line.split()[1:], dtype=np.float64)
    np.testing.assert_allclose(values[1:7] * values[7] / PRESSURE, alone.virial, rtol=1e-9, atol=1e-8)


def test_pressure_is_the_change_of_energy_with_the_box(lammps, tmp_path):
    """-dE/dstrain along each axis, over the volume, by differences of the energy: at no velocity it is the pressure."""
    box = Box.of("cubic")
    write_plugin_model(tmp_path / "model.cgdistill", MODELS["ensemble"]())
    step = 2e-5
    text = head(box, tmp_path, style="precision double")
    text += "thermo_style custom step pe pxx pyy pzz vol\nrun 0\n"
    text += 'print "RESULT $(pxx:%.17g) $(pyy:%.17g) $(pzz:%.17g) $(vol:%.17g)"\n'
    for axis, sign in itertools.product("xyz", (1, -1)):
        factor = 1.0 + sign * step
        text += f"change_box all {axis} scale {factor!r} remap\nrun 0\nprint 'RESULT $(pe:%.17g)'\n"
        text += f"change_box all {axis} scale {1.0 / factor!r} remap\n"
    status, out = lammps(text)
    assert status == 0, out[-2000:]
    lines = [line.split()[1:] for line in out.splitlines() if line.startswith("RESULT")]
    *pressure, volume = map(float, lines[0])
    energies = np.array([float(line[0]) for line in lines[1:]]).reshape(3, 2)
    expected = -(energies[:, 0] - energies[:, 1]) / (2 * step) / volume * PRESSURE
    np.testing.assert_allclose(pressure, expected, rtol=1e-5)


def test_energy_is_conserved(lammps, tmp_path):
    """NVE on two ranks, through rebuilds of the neighbour list: a quarter of the time step, a sixteenth of the error.

    Forces that are not the gradient of the energy leave an error that does not shrink.
    """
    box = Box.of("cubic")
    write_plugin_model(tmp_path / "model.cgdistill", [network(2, cutoff_A=5.0)])
    spreads = []
    for timestep_fs, every in ((8.0, 1), (2.0, 4)):
        text = head(box, tmp_path, style="precision double", styles=prior().lammps_styles()) + (
            "minimize 0 0 30 100\nreset_timestep 0 time 0\nvelocity all create 400 5 mom yes rot no dist gaussian\n"
            f"neighbor 0.3 bin\nfix integrate all nve\ntimestep {timestep_fs}\nthermo {every}\n"
            f"thermo_style custom step etotal ke\nthermo_modify norm no format float %.12g\nrun {100 * every}\n"
        )
        status, out = lammps(text, ranks=2)
        assert status == 0, out[-2000:]
        table = out.rsplit("Step", 1)[1].splitlines()[1:102]
        total, kinetic = np.array([line.split()[1:] for line in table], dtype=np.float64).T
        builds = int(out.rsplit("Neighbor list builds =", 1)[1].split()[0])
        assert builds > 3
        assert np.ptp(total) < 0.02 * kinetic.mean()
        assert np.ptp(kinetic) > 10 * np.ptp(total)
        spreads.append(np.ptp(total))
    # The start leaves a little.
    assert spreads[1] < spreads[0] / 8


def with_checksum(text):
    """A file of the given content that passes as whole."""
    body = text.rsplit("crc32", 1)[0]
    return f"{body}crc32 {zlib.crc32(body.encode()):08x}\n"


DAMAGE = {
    "cut short": (lambda text: text[: len(text) // 2], "no checksum"),
    "empty": (lambda text: "", "no checksum"),
    "a digit changed": (lambda text: text.replace("3", "4", 1), "checksum does not fit"),
    "last line cut": (lambda text: text[:-4] + "\n", "checksum does not fit"),
    "a line too many": (lambda text: text + "x\n", "checksum does not fit"),
    "other version": (lambda text: with_checksum(text.replace("model 2", "model 1")), "line 1: expected 2, found 1"),
    "other units": (lambda text: with_checksum(text.replace("units real", "units metal")), "line 2: expected real"),
    "too large": (
        lambda text: with_checksum(text.replace("features 9", "features 9999")),
        "numbers of interaction, found a file that is too short",
    ),
    "larger than any": (
        lambda text: with_checksum(text.replace("features 9", "features 99999999")),
        "features between 1 and 10000",
    ),
    "a word for a number": (
        lambda text: with_checksum(text.replace("\nwidth\n", "\nwidth\nx ")),
        "expected a number of width",
    ),
    "not finite": (
        lambda text: with_checksum(text.replace("\nouter\n", "\nouter\nnan ")),
        "expected a number of outer",
    ),
    "order too high": (
        lambda text: with_checksum(text.replace("tensor_order 0", "tensor_order 3")),
        "expected tensor_order between 0 and 2",
    ),
    "tail": (lambda text: with_checksum(text.replace("\nend\n", "\nend\nend\n")), "after the end"),
}  # fmt: skip


@pytest.mark.parametrize("name", list(DAMAGE))
def test_damaged_model_files_are_refused(lammps, tmp_path, name):
    """With the file and what is wrong with it, on one rank and on two, before anything is computed."""
    change, message = DAMAGE[name]
    path = tmp_path / "model.cgdistill"
    write_plugin_model(path, [network(0)])
    whole = path.read_text(encoding="utf-8")
    damaged = change(whole)
    assert damaged != whole
    path.write_text(damaged, encoding="utf-8")
    status, out = lammps(head(Box.of("cubic"), tmp_path) + "run 0\n", ranks=2 if name == "cut short" else 1)
    assert status != 0
    assert "ERROR" in out
    assert "model.cgdistill" in out
    assert message in out


REFUSED = {
    "newton off": (("pair_style", "newton off\npair_style"), "expected newton on", {"before": "newton off\n"}),
    "units metal": (("units real", "units metal"), "expected real", {}),
    "unknown bead": (("model.cgdistill Cho Cl Urea", "model.cgdistill Cho Na Urea"), "no bead type Na", {}),
    "a name too few": (("model.cgdistill Cho Cl Urea", "model.cgdistill Cho Cl"), "names of 3 bead types", {}),
    "single types": (("pair_coeff * *", "pair_coeff 1 1"), "* *", {}),
    "no file": (("model.cgdistill", "other.cgdistill"), "cannot read the model file other.cgdistill", {}),
    "other precision": (("cgdistill precision double", "cgdistill precision half"), "precision single", {}),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_wrong_settings_are_refused(lammps, tmp_path, name):
    (old, new), message, keywords = REFUSED[name]
    write_plugin_model(tmp_path / "model.cgdistill", [network(0)])
    text = head(Box.of("cubic"), tmp_path, style="precision double", **keywords)
    if not keywords:
        assert old in text
        text = text.replace(old, new)
    status, out = lammps(text + "run 0\n")
    assert status != 0
    assert "ERROR" in out
    assert message in out


def test_networks_beyond_reach_are_not_written(tmp_path):
    """More interaction layers need the features of ghosts."""
    spec = NetworkSpec(1, 2, 1, 5, 6, 6.0, 2.0, 5.5)
    with pytest.raises(InputError, match="2 interaction layers"):
        write_plugin_model(tmp_path / "model.cgdistill", [BeadModel(spec, TYPES)])
    assert not (tmp_path / "model.cgdistill").exists()


@pytest.mark.parametrize(("n_layers", "written"), [(1, True), (2, False)])
def test_exported_folder_runs_by_itself(plugin, tmp_path, n_layers, written):
    """The folder's script on two ranks, its start frame twice; nothing is written for networks beyond reach."""
    spec = NetworkSpec(1, n_layers, 1, 5, 6, 6.0, 2.0, 5.5)
    save_model(tmp_path / "one", BeadModel(spec, TYPES, 3), prior(), {})
    box = Box.of("cubic")
    names = tuple(TYPES[kind] for kind in box.types)
    topology = BeadTopology(
        TYPES, box.types, names, MASSES_g_mol[box.types], np.arange(len(names)), np.empty(0, dtype=np.int64)
    )
    protocol = SimulationSpec(
        minimise=Minimisation(5), equilibration_ps=0.02, production_ps=0.04, frame_every_ps=0.02, thermo_every_ps=0.02
    )
    facts = {"name": "S1/one", "label": "S1", "variant": "S1", "member": "one", "metrics": {}}
    folder = tmp_path / "folder"
    export_model(folder, {"one": tmp_path / "one"}, topology, (box.positions_A, box.cell_A), protocol, facts, 5)
    assert (folder / "model.cgdistill").exists() == written
    assert (folder / "in.plugin.lammps").exists() == written
    assert ("pair_cgdistill.so" in (folder / "README.md").read_text(encoding="utf-8")) == written
    if not written:
        return
    command = [BIN / "mpiexec", "-n", "2", BIN / "lmp", "-in", "in.plugin.lammps", "-var", "nx", "2", "-var", "plugin"]
    done = subprocess.run([*command, plugin], cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]
    frames = list(read_dump(folder / "trajectory.lammpstrj"))
    assert len(frames) >= 2
    assert all(len(frame.positions_A) == 2 * len(box.types) for frame in frames)


def test_what_is_missing_is_named(tmp_path, capsys, monkeypatch):
    """Compiler, LAMMPS's headers, MPI's header, a compiler that fails."""
    monkeypatch.chdir(tmp_path)
    for arguments, message in (
        (["--cxx", "no-such-compiler"], "no-such-compiler, which is not there"),
        (["--lammps-headers", str(tmp_path)], "pair.h"),
        (["--cxx", "false"], "mpi.h"),
    ):
        assert main(["lammps-plugin", *arguments]) == 1
        assert message in capsys.readouterr().err
    monkeypatch.setenv("CXXFLAGS", "-DLAMMPS_SMALLBIG_ -include no-such-file.h")
    with pytest.raises(InputError, match="no-such-file"):
        build_plugin(tmp_path / "plugin.so")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    assert main(["lammps-plugin"]) == 1
    assert "C++ compiler" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.so"))
