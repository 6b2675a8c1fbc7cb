"""Cells and positions as LAMMPS wants them.

What LAMMPS makes of the files is tested with the simulations, not here.
"""

from __future__ import annotations

import numpy as np
import pytest
from cgdistill.core.errors import InputError
from cgdistill.data.beads import BeadTopology
from cgdistill.geometry.cells import is_restricted, restricted_cell, wrap
from cgdistill.io.lammps_dump import read_dump
from cgdistill.md.lammps_files import write_data_file, write_dump
from cgdistill.md.system import BeadSystem, Frame
from scipy.spatial.transform import Rotation

TILTED = np.array([[20.0, 0.0, 0.0], [-4.0, 18.0, 0.0], [3.0, 5.0, 19.0]])


def topology(kinds, masses):
    """Beads of the types A and B."""
    n = len(kinds)
    return BeadTopology(("A", "B"), np.array(kinds), ("X",) * n, np.array(masses), np.arange(n), np.empty(0, int))


def test_restricted_cell_is_left_alone():
    """Nothing is turned that need not be: the same numbers come back."""
    cell, rotation = restricted_cell(TILTED)
    assert np.array_equal(cell, TILTED) and np.array_equal(rotation, np.eye(3))


def test_rounding_errors_of_a_file_do_not_rotate_a_cell():
    """They are removed, since the data files of LAMMPS have no place for them."""
    rounded = TILTED + np.triu(np.full((3, 3), 1e-7), 1)
    assert is_restricted(rounded) and not is_restricted(TILTED + np.triu(np.full((3, 3), 1e-3), 1))
    cell, rotation = restricted_cell(rounded)
    assert np.array_equal(cell, TILTED) and np.array_equal(rotation, np.eye(3))


@pytest.mark.parametrize("seed", range(4))
def test_turned_cell_comes_back(seed):
    """A cell turned at random is turned back by a proper rotation, vectors with it."""
    turn = Rotation.random(rng=np.random.default_rng(seed)).as_matrix()
    assert not is_restricted(TILTED @ turn)
    cell, rotation = restricted_cell(TILTED @ turn)
    np.testing.assert_allclose(cell, TILTED, atol=1e-12)
    np.testing.assert_allclose(turn @ rotation, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1.0)


@pytest.mark.parametrize("cell", [TILTED[[1, 0, 2]], np.zeros((3, 3)), TILTED * np.nan, -np.eye(3)])
def test_cells_that_are_refused(cell):
    """Left-handed, flat, not a number."""
    with pytest.raises(InputError, match="right-handed"):
        restricted_cell(cell)


def test_wrap():
    """Wrapped positions lie in the cell and differ by the lattice vectors counted; also on its faces."""
    rng = np.random.default_rng(1)
    positions = np.vstack([rng.uniform(-60, 60, (50, 3)), TILTED, [[0, 0, 0], [-1e-17, 0, 0]]])
    wrapped, images = wrap(positions, TILTED)
    np.testing.assert_allclose(wrapped + images @ TILTED, positions, atol=1e-10)
    fractions = np.linalg.solve(TILTED.T, wrapped.T).T
    assert (fractions > -1e-14).all() and (fractions < 1).all()


def test_data_file_refuses_a_turned_cell(tmp_path):
    """LAMMPS could not hold it."""
    with pytest.raises(ValueError, match="restricted_cell"):
        write_data_file(tmp_path / "a", np.zeros((1, 3)), TILTED.T, np.zeros(1, int), ["A"], np.ones(1))


def test_system_checks_its_frame():
    """Wrong shape, not finite, two masses in one type; a type without beads gets a mass."""
    beads = topology([0, 0, 0], [35.0] * 3)
    system = BeadSystem.from_frame(np.full((3, 3), 45.0), TILTED, beads)
    assert system.type_masses_g_mol.tolist() == [35.0, 1.0]
    for positions in (np.zeros((2, 3)), np.full((3, 3), np.nan)):
        with pytest.raises(InputError, match="positions_A"):
            BeadSystem.from_frame(positions, TILTED, beads)
    with pytest.raises(InputError, match="one mass per type"):
        BeadSystem.from_frame(np.zeros((3, 3)), TILTED, topology([0, 0, 1], [35.0, 36.0, 60.0]))


@pytest.mark.parametrize("signs", [(-1, 1, 1), (1, 1, 1), (-1, -1, -1), (1, -1, 1), (0, 0, 0)])
def test_dump_is_read_back(tmp_path, signs):
    """Two frames, in cells tilted either way: what a reader gets is what was written, to the digits written."""
    cell = TILTED.copy()
    cell[1, 0], cell[2, 0], cell[2, 1] = signs * np.array([4.0, 3.0, 5.0])
    rng, kinds = np.random.default_rng(1), np.array([0, 1, 1])
    frames = [Frame(step, *(rng.normal(0, size, (3, 3)) for size in (40.0, 0.01, 300.0))) for step in (0, 250)]
    write_dump(tmp_path / "x.lammpstrj", frames, cell, kinds, 4.0)
    for found, frame in zip(read_dump(tmp_path / "x.lammpstrj"), frames, strict=True):
        assert (found.step, found.units, found.unwrapped) == (frame.step, "real", True)
        assert found.time_ps == frame.step * 0.004 and (found.types - 1 == kinds).all()
        np.testing.assert_allclose(found.cell_A, cell, atol=1e-12)
        np.testing.assert_allclose(found.origin_A, 0.0, atol=1e-12)
        np.testing.assert_allclose(found.positions_A, frame.positions_A, atol=5.1e-6)
        np.testing.assert_allclose(found.velocities_A_fs, frame.velocities_A_fs, rtol=1e-7)
        np.testing.assert_allclose(found.forces_kcal_mol_A, frame.forces_kcal_mol_A, rtol=1e-7)
