"""RDF against freud, mdtraj, the ideal gas and a lattice."""

from __future__ import annotations

import freud
import mdtraj
import numpy as np
import pytest
from cgdistill.geometry.cells import perpendicular_widths_A
from cgdistill.structure.grids import Grid
from cgdistill.structure.metrics.rdf import RDF
from structure_cases import CUBIC, NAMES, TRICLINIC, gas, nearest_vectors, shared_by_hand

GRID = Grid(0.0, 8.0, 0.1, "A")


def curves_of(positions, cells, types, grid=GRID):
    """RDF by item."""
    rdf = RDF(NAMES, types, grid)
    rdf.add(positions, cells)
    return {curve.item: curve.values for curve in rdf.curves()}


@pytest.mark.parametrize("cell", [CUBIC, TRICLINIC], ids=["cubic", "triclinic"])
def test_rdf_agrees_with_freud(cell):
    """Cannot detect a wrong weight of frames whose volumes differ: freud's box is the same in all frames."""
    positions, cells, types = gas(4, 300, cell, seed=1, spread=2)
    found = curves_of(positions, cells, types)
    box = freud.box.Box.from_matrix(cell.T)
    for a in range(3):
        for b in range(a, 3):
            mode = "finite_size" if a == b else "exact"
            expected = freud.density.RDF(bins=GRID.n_bins, r_max=GRID.stop, normalization_mode=mode)
            for frame in positions:
                wrapped = box.wrap(frame)
                system = freud.AABBQuery(box, wrapped[types == b])
                neighbours = {"r_max": GRID.stop, "exclude_ii": a == b}
                expected.compute((box, system.points), wrapped[types == a], neighbors=neighbours, reset=False)
            # freud works in single precision: a few pairs may fall into the next bin.
            shells = np.diff(GRID.edges**3)
            difference = np.abs(found[f"{NAMES[a]}-{NAMES[b]}"] - expected.rdf) * shells
            assert difference.sum() < 2e-3 * (expected.rdf * shells).sum()


@pytest.mark.parametrize("cell", [CUBIC, TRICLINIC], ids=["cubic", "triclinic"])
def test_rdf_agrees_with_mdtraj(cell):
    """mdtraj works in single precision. Frames of different volumes are not compared: it averages 1/V of the frames."""
    positions, cells, types = gas(4, 300, cell, seed=5, spread=2)
    found = curves_of(positions, cells, types)
    topology = mdtraj.Topology()
    chain = topology.add_chain()
    for _ in types:
        topology.add_atom("X", None, topology.add_residue("X", chain))
    trajectory = mdtraj.Trajectory(positions / 10.0, topology)
    trajectory.unitcell_vectors = cells / 10.0
    for a in range(3):
        for b in range(a, 3):
            pairs = topology.select_pairs(np.flatnonzero(types == a), np.flatnonzero(types == b))
            _, expected = mdtraj.compute_rdf(trajectory, pairs, r_range=(0.0, GRID.stop / 10.0), n_bins=GRID.n_bins)
            shells = np.diff(GRID.edges**3)
            difference = np.abs(found[f"{NAMES[a]}-{NAMES[b]}"] - expected) * shells
            assert difference.sum() < 2e-3 * (expected * shells).sum(), (a, b)


def test_ideal_gas_is_one():
    """A systematic fault below the statistical error (1 % per wide bin, 0.2 % overall) would pass."""
    positions, cells, types = gas(60, 300, TRICLINIC, seed=2)
    grid = Grid(0.0, 8.0, 1.0, "A")
    for item, values in curves_of(positions, cells, types, grid).items():
        shells = np.diff(grid.edges**3) / grid.stop**3
        assert values[3:] == pytest.approx(1.0, abs=0.03), item
        assert (values * shells).sum() == pytest.approx(1.0, abs=0.01), item


def test_two_beads_are_exactly_the_ideal_gas():
    """The factor N_b - delta_ab: one pair in a known shell, by hand."""
    positions = np.array([[[0.5, 0.5, 0.5], [19.0, 0.5, 0.5]]])
    grid = Grid(0.0, 8.0, 1.0, "A")
    values = curves_of(positions, CUBIC[None], np.zeros(2, dtype=int), grid)["Cho-Cho"]
    expected = np.zeros(8)
    expected[1] = 8000.0 / (4 / 3 * np.pi * (2**3 - 1**3))
    assert values == pytest.approx(expected)


def test_lattice_coordination_numbers():
    """Simple cubic lattice: 6, 12 and 8 neighbours at a, sqrt 2 a, sqrt 3 a."""
    a = 4.0
    positions = np.stack(np.meshgrid(*[np.arange(5) * a] * 3), -1).reshape(1, -1, 3)
    grid = Grid(0.0, 8.5, 0.5, "A")
    values = curves_of(positions + 0.01, np.eye(3)[None] * 5 * a, np.zeros(125, dtype=int), grid)["Cho-Cho"]
    neighbours = values * 4 / 3 * np.pi * np.diff(grid.edges**3) * 124 / (5 * a) ** 3
    assert neighbours[8] + neighbours[7] == pytest.approx(6)
    assert neighbours[11] == pytest.approx(12)
    assert neighbours[13] == pytest.approx(8)


def test_each_frame_counts_with_its_own_volume():
    """An ideal gas in cells of two sizes still has g = 1, and the mean is that of the frames."""
    small, large = gas(1, 200, CUBIC, seed=3), gas(1, 200, 1.5 * CUBIC, seed=4)
    types = small[2]
    both = curves_of(np.concatenate([small[0], large[0]]), np.concatenate([small[1], large[1]]), types)
    one, two = curves_of(*small[:2], types), curves_of(*large[:2], types)
    for item, values in both.items():
        assert values == pytest.approx(0.5 * (one[item] + two[item]))


def test_type_with_one_bead_has_no_curve_of_its_own():
    """Neither NaN nor a division by zero."""
    items = curves_of(*gas(1, 3, CUBIC, seed=0)[:2], np.array([0, 1, 1]))
    assert set(items) == {"Cho-Cl", "Cl-Cl"}


def test_perpendicular_widths():
    """Against the height formula of a sheared cell."""
    cell = np.array([[10.0, 0, 0], [10.0, 10.0, 0], [0, 0, 10.0]])
    assert perpendicular_widths_A(cell) == pytest.approx([10 / np.sqrt(2), 10.0, 10.0])


def test_convention_of_travis_by_hand():
    """Linear sharing, and N_a N_b for like pairs too; the program itself: tests/integration/test_travis.py."""
    positions, cells, types = gas(2, 80, TRICLINIC, seed=9, spread=1)
    rdf = RDF(NAMES, types, GRID, "travis")
    rdf.add(positions, cells)
    counts = np.bincount(types)
    shells = 4 / 3 * np.pi * np.diff(GRID.edges**3)
    for curve in rdf.curves():
        a, b = (NAMES.index(name) for name in curve.item.split("-"))
        expected = np.zeros(GRID.n_bins)
        for frame in positions:
            distances = np.linalg.norm(nearest_vectors(frame, TRICLINIC), axis=-1)
            pairs = distances[np.ix_(types == a, types == b)]
            if a == b:
                pairs = pairs[~np.eye(len(pairs), dtype=bool)]
            expected += shared_by_hand(pairs.ravel(), GRID)
        expected *= np.linalg.det(TRICLINIC) / (2 * counts[a] * counts[b] * shells)
        assert curve.values == pytest.approx(expected), curve.item
    assert rdf.value_unit != RDF(NAMES, types, GRID).value_unit


def test_unknown_convention_is_refused():
    with pytest.raises(ValueError, match="convention 'gromacs'"):
        RDF(NAMES, np.zeros(3, dtype=int), GRID, "gromacs")
