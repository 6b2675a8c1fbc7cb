"""Pairwise splines as ``pair_style table`` in LAMMPS against the model itself, on a frame of the demo."""

from __future__ import annotations

import numpy as np
import pytest
from cgdistill.forcefield.lammps_style import LammpsStyle, lammps_commands
from cgdistill.forcefield.pair_spline.basis import PairSplineSpec, SplineBasis
from cgdistill.forcefield.pair_spline.equations import NormalEquations, add_frames
from cgdistill.forcefield.pair_spline.fit import fit
from cgdistill.forcefield.pair_spline.table import choose_points, style, write_tables
from cgdistill.geometry.cells import restricted_cell
from cgdistill.geometry.neighbours import NeighbourList
from cgdistill.md.lammps_files import write_data_file
from cgdistill.runtime.lammps_library import load_lammps
from demo_beads import demo_beads

SPEC = PairSplineSpec(cutoff_A=9.0)


@pytest.fixture(scope="module")
def fitted(root, tmp_path_factory):
    """A model of 20 frames, and those frames."""
    frames, topology = demo_beads(root, tmp_path_factory.mktemp("beads"), 20)
    equations = NormalEquations(SplineBasis.of(SPEC), topology.n_types, ("F",))
    labels = {"F": frames.forces_kcal_mol_A}
    add_frames(equations, zip(frames.positions_A, frames.cells_A, strict=True), topology.bead_types, labels)
    return fit(equations, SPEC, {"F": 1.0}, topology.type_names)[0], frames, topology


def in_lammps(folder, model, tables, positions, cell, topology, overlay):
    """Energy, kcal/mol, forces, kcal/mol/A, and pressures xx, yy, zz, xy, xz, yz of the virial, atm."""
    write_tables(folder / "model.table", model, tables)
    masses = topology.type_masses_g_mol()
    write_data_file(folder / "start.data", positions, cell, topology.bead_types, topology.type_names, masses)
    zero = LammpsStyle("pair", "zero", "9.0 nocoeff", (("* *", ""),))
    table = style(model, tables, str(folder / "model.table"))
    lmp = load_lammps().lammps(cmdargs=["-screen", "none", "-log", "none", "-nocite"])
    commands = [
        "units real",
        "atom_modify map array sort 0 0",
        "box tilt large",
        f"read_data {folder / 'start.data'}",
        *lammps_commands([table, zero] if overlay else [table]),
        "compute virial all pressure NULL virial",
        "thermo_style custom pe c_virial[1] c_virial[2] c_virial[3] c_virial[4] c_virial[5] c_virial[6]",
        "run 0 post no",
    ]
    try:
        for command in commands:
            lmp.command(command)
        n = len(positions)
        forces = np.array(lmp.gather_atoms("f", 1, 3)).reshape(n, 3)
        return lmp.get_thermo("pe"), forces, np.array(lmp.extract_compute("virial", 0, 1)[:6])
    finally:
        lmp.close()


@pytest.mark.parametrize("overlay", [False, True])
@pytest.mark.parametrize("bound", [1e-2, 1e-3])
def test_lammps_computes_the_model(fitted, tmp_path, overlay, bound):
    """Energy, forces and pressure within the announced error of the tables, in a sheared cell; beads near the core too.

    Errors of a pair add up over some 40 neighbours of a bead in random directions.
    """
    model, frames, topology = fitted
    shear = np.array([[1.0, 0.0, 0.0], [0.15, 1.0, 0.0], [-0.1, 0.2, 1.0]])
    cell, rotation = restricted_cell(frames.cells_A[0] @ shear)
    positions = np.round(frames.positions_A[0] @ shear @ rotation, 9)
    tables = choose_points(model, bound)
    energy, forces, pressures = in_lammps(tmp_path, model, tables, positions, cell, topology, overlay)
    first, second, vectors = NeighbourList(SPEC.cutoff_A, 0.0).pairs(positions, cell)
    expected = model.evaluate(first, second, vectors, topology.bead_types)
    assert abs(expected.energy_kcal_mol) > 1.0 and tables.force_error_kcal_mol_A <= bound
    n_pairs = len(first) / 2
    assert energy == pytest.approx(expected.energy_kcal_mol, abs=np.sqrt(n_pairs) * tables.energy_error_kcal_mol)
    error = np.abs(forces - expected.forces_kcal_mol_A).max()
    assert error < 3 * tables.force_error_kcal_mol_A
    volume = np.linalg.det(cell)
    scale = 68568.415 / volume  # atm per kcal/mol/A^3, LAMMPS' nktv2p of units real
    largest = scale * np.sqrt(n_pairs) * tables.force_error_kcal_mol_A * SPEC.cutoff_A
    np.testing.assert_allclose(pressures, scale * expected.virial_kcal_mol, rtol=0, atol=largest)
    assert np.abs(pressures).min() > 10 * largest
