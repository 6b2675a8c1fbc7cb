"""Basis, energies, forces and virial of pairwise splines against scipy and finite differences; tables for LAMMPS."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from bead_cases import CELLS, TYPES, configuration
from cgdistill.core.errors import InputError
from cgdistill.forcefield.pair_spline.basis import PairSplineSpec, SplineBasis, pair_numbers
from cgdistill.forcefield.pair_spline.model import PairSplineModel
from cgdistill.forcefield.pair_spline.table import choose_points, style, write_tables
from cgdistill.geometry.neighbours import NeighbourList
from pair_spline_cases import SPEC, known_model
from scipy.integrate import quad
from scipy.interpolate import BSpline

SPECS = [SPEC, *(PairSplineSpec(5.0, 0.6, degree) for degree in (1, 2, 3, 5))]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.degree}-{spec.knot_spacing_A}")
def test_curves_are_those_of_scipy(spec):
    """Force as the B-spline, energy as its integral; both zero at the cutoff; the functions sum to one."""
    model, basis = known_model(spec), SplineBasis.of(spec)
    assert basis.breaks_A[0] <= 0 and basis.breaks_A[-1] == spec.cutoff_A
    r = np.linspace(0.01, spec.cutoff_A, 400)
    ones = BSpline(basis.knots_A, np.ones(basis.n_functions), spec.degree)
    np.testing.assert_allclose(ones(r), 1.0, atol=1e-12)
    for pair in range(3):
        spline = BSpline(basis.knots_A, model.coefficients[pair], spec.degree)
        energy, force = model.pair_values(np.full(len(r), pair), r)
        np.testing.assert_allclose(force[:-1], spline(r[:-1]), atol=1e-10)
        assert energy[-1] == force[-1] == 0.0
        assert abs(model.pair_values(np.array([pair]), np.array([spec.cutoff_A - 1e-9]))[1][0]) < 1e-7
        for place in (3, 150, 390):
            expected = quad(spline, r[place], spec.cutoff_A, points=basis.breaks_A[1:-1], limit=200)[0]
            assert energy[place] == pytest.approx(expected, abs=1e-9)


def test_second_differences_vanish_for_linear_forces_alone():
    basis = SplineBasis.of(SPEC)
    centres = np.array([basis.knots_A[k + 1 : k + 4].mean() for k in range(basis.n_functions)])
    np.testing.assert_allclose(basis.second_differences @ (3.0 - 2.0 * centres), 0.0, atol=1e-10)
    assert np.abs(basis.second_differences @ centres**2).min() > 0.1
    np.testing.assert_allclose(basis.second_differences[3, 3:6], [1.0, -2.0, 1.0])


def test_pairs_are_numbered_along_the_rows():
    assert pair_numbers(3).tolist() == [[0, 1, 2], [1, 3, 4], [2, 4, 5]]


def evaluated(model, positions, cell, types):
    return model.evaluate(*NeighbourList(model.cutoff_A, 0.0, types, len(TYPES)).pairs(positions, cell), types)


@pytest.mark.parametrize("cell", [*CELLS, "narrow"])
def test_forces_and_virial_are_derivatives_of_the_energy(cell):
    """Central differences, in cells down to less than the cutoff, with beads inside the linear core."""
    cell_A = np.diag([4.5, 8.0, 9.0]) if cell == "narrow" else CELLS[cell]
    positions, types = configuration(cell_A, seed=7)
    model = replace(known_model(), shortest_A=np.full(3, 2.5))
    found = evaluated(model, positions, cell_A, types)
    assert found.energy_kcal_mol == pytest.approx(found.bead_energies_kcal_mol.sum())
    step = 1e-5

    def energy(strain=None, shift=None):
        turn = np.eye(3) + (0.0 if strain is None else strain)
        moved = positions + (0.0 if shift is None else shift)
        return evaluated(model, moved @ turn, cell_A @ turn, types).energy_kcal_mol

    for bead in (0, 5, 13):
        for axis in range(3):
            shift = np.zeros_like(positions)
            shift[bead, axis] = step
            slope = (energy(shift=shift) - energy(shift=-shift)) / (2 * step)
            assert found.forces_kcal_mol_A[bead, axis] == pytest.approx(-slope, abs=2e-5)
    for number, (a, b) in enumerate([(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)]):
        strain = np.zeros((3, 3))
        strain[a, b] = strain[b, a] = step if a == b else step / 2
        slope = (energy(strain=strain) - energy(strain=-strain)) / (2 * step)
        assert found.virial_kcal_mol[number] == pytest.approx(-slope, abs=1e-3)


def test_energy_is_smooth_at_the_cutoff():
    """Energy falls as the square of the distance to the cutoff, the force linearly."""
    model = known_model()
    for pair in range(3):
        energy, force = model.pair_values(np.full(2, pair), SPEC.cutoff_A - np.array([1e-3, 1e-4]))
        assert abs(energy[0] / energy[1]) == pytest.approx(100, rel=0.05)
        assert abs(force[0] / force[1]) == pytest.approx(10, rel=0.05)
        beyond = model.pair_values(np.full(2, pair), SPEC.cutoff_A + np.array([0.0, 2.0]))
        assert not np.any(beyond)


def test_a_bead_alone_has_its_constant():
    model = known_model()
    found = evaluated(model, np.zeros((1, 3)), 30 * np.eye(3), np.array([1]))
    assert found.energy_kcal_mol == model.constants_kcal_mol[1] and not found.forces_kcal_mol_A.any()


def test_models_come_back_from_arrays():
    model = replace(known_model(), shortest_A=np.array([2.0, 2.5, np.inf]))
    found = PairSplineModel.from_arrays(model.arrays(), model.settings())
    assert found.spec == model.spec and found.type_names == model.type_names
    for name, values in model.arrays().items():
        np.testing.assert_array_equal(found.arrays()[name], values)
    rows = model.describe()["pairs"]
    assert [row["shortest_A"] for row in rows] == [2.0, 2.5, None]
    r = np.linspace(2.0, 5.0, 5000)
    assert rows[0]["lowest_energy_kcal_mol"] == pytest.approx(model.curve(0, 0, r).energy_kcal_mol.min(), abs=1e-4)


def test_damaged_arrays_are_refused():
    model = known_model()
    arrays, settings = model.arrays(), model.settings()
    changes = {
        "coefficients": [arrays["coefficients"][:2], np.full_like(arrays["coefficients"], np.nan)],
        "shortest_A": [np.full(3, np.nan), np.zeros(3)],
        "constants_kcal_mol": [np.zeros(3)],
    }
    for name, values in changes.items():
        for value in values:
            with pytest.raises(InputError, match=name):
                PairSplineModel.from_arrays(arrays | {name: value}, settings)
    with pytest.raises(InputError, match="coefficients.*cutoff"):
        PairSplineModel.from_arrays(arrays | {"coefficients": arrays["coefficients"] + 1.0}, settings)
    with pytest.raises(InputError, match="those of a written model"):
        PairSplineModel.from_arrays({}, settings)
    with pytest.raises(InputError, match="those of a written model"):
        PairSplineModel.from_arrays(arrays, {"type_names": TYPES, "spec": {"knots": 3}})


def sections(path):
    """Rows (n, 4) of each section of a table file and its header line."""
    found, lines = {}, path.read_text().splitlines()
    for number, line in enumerate(lines):
        if line.startswith("PAIR"):
            n = int(lines[number + 1].split()[1])
            rows = [list(map(float, row.split())) for row in lines[number + 3 : number + 3 + n]]
            found[line] = (lines[number + 1], np.array(rows))
    return found


def test_tables_hold_the_model(tmp_path):
    """Even in r² up to the cutoff; the force is minus the slope of the energy; errors are those announced."""
    model = replace(known_model(), shortest_A=np.full(3, 2.5))
    tables = choose_points(model, 0.02, inner_A=0.5)
    write_tables(tmp_path / "model.table", model, tables)
    assert (tmp_path / "model.table").read_text().startswith("# UNITS: real\n")
    found = sections(tmp_path / "model.table")
    assert list(found) == ["PAIR_1_1", "PAIR_1_2", "PAIR_2_2"]
    rng = np.random.default_rng(0)
    for pair, (header, rows) in enumerate(found.values()):
        assert header == f"N {tables.n_points} RSQ 0.5 5.0" and len(rows) == tables.n_points
        r, energy, force = rows[:, 1], rows[:, 2], rows[:, 3]
        np.testing.assert_allclose(np.diff(r**2), (25 - 0.25) / (tables.n_points - 1), rtol=1e-6)
        assert energy[-1] == force[-1] == 0.0
        slope = np.diff(energy) / np.diff(r)
        np.testing.assert_allclose(-slope, (force[1:] + force[:-1]) / 2, atol=0.05)
        places = rng.uniform(0.5, 5.0, 3000)
        exact_energy, exact_force = model.pair_values(np.full(3000, pair), places)
        linear_force = np.interp(places**2, r**2, force / r) * places
        linear_energy = np.interp(places**2, r**2, energy)
        assert np.abs(linear_force - exact_force).max() < 1.1 * tables.force_error_kcal_mol_A < 0.022
        assert np.abs(linear_energy - exact_energy).max() < 1.1 * tables.energy_error_kcal_mol
    assert choose_points(model, 0.002, inner_A=0.5).n_points > tables.n_points
    assert choose_points(model).inner_A == 1.25
    found = style(model, tables, "a.table")
    assert (found.category, found.style, found.arguments) == ("pair", "table", f"linear {tables.n_points}")
    assert found.coefficients[1] == ("1 2", "a.table PAIR_1_2 5.0")


def test_tables_that_cannot_be_are_refused():
    with pytest.raises(InputError, match="force_error"):
        choose_points(replace(known_model(), shortest_A=np.full(3, 2.5)), 1e-15)
    with pytest.raises(InputError, match="inner_A"):
        choose_points(known_model(), inner_A=6.0)
