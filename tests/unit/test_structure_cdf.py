"""CDF against scipy's single linkage and chains with known spacings."""

from __future__ import annotations

import numpy as np
import pytest
from cgdistill.structure.grids import Grid
from cgdistill.structure.metrics.cdf import CDF, merge_distances_A
from cgdistill.structure.pairs import Frame
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import squareform
from structure_cases import CUBIC, NAMES, TRICLINIC, gas, nearest_vectors

GRID = Grid(0.0, 12.0, 0.1, "A")


def single_linkage(positions, cell):
    """Merge distances from the matrix of nearest-image distances."""
    matrix = np.linalg.norm(nearest_vectors(positions, cell), axis=-1)
    return linkage(squareform(matrix, checks=False), method="single")[:, 2]


@pytest.mark.parametrize("cell", [CUBIC, TRICLINIC, 3.0 * TRICLINIC], ids=["cubic", "triclinic", "dilute"])
@pytest.mark.parametrize("n_beads", [2, 7, 150])
def test_merge_distances_agree_with_scipy(cell, n_beads):
    """In the dilute cell the first cutoff does not connect the beads, so it has to grow."""
    positions = gas(1, n_beads, cell, seed=n_beads, spread=2)[0][0]
    assert merge_distances_A(Frame.of(positions, cell)) == pytest.approx(single_linkage(positions, cell))


def test_curves_agree_with_scipy_per_type():
    """Each type clusters by itself; the histogram is a density per A over N - 1 mergers a frame."""
    positions, cells, types = gas(3, 120, TRICLINIC, seed=8, spread=1)
    cdf = CDF(NAMES, types, GRID)
    cdf.add(positions, cells)
    for curve in cdf.curves():
        chosen = types == NAMES.index(curve.item)
        merges = np.concatenate([single_linkage(frame[chosen], TRICLINIC) for frame in positions])
        expected, _ = np.histogram(merges, GRID.edges, density=True)
        assert curve.values == pytest.approx(expected)
        assert curve.values.sum() * GRID.width == pytest.approx(1.0)


def test_chain_with_known_spacings():
    """A line of beads merges at its spacings, through the boundary too; the widest gap never merges."""
    spacings = np.array([2.0, 9.5, 3.0, 17.0, 2.5, 4.0])
    cell = np.diag([60.0, 60.0, spacings.sum() + 18.0])
    z = 55.0 + np.concatenate([[0.0], np.cumsum(spacings)])
    positions = np.stack([np.full(7, 1.0), np.full(7, 59.5), z % cell[2, 2]], axis=1)
    assert merge_distances_A(Frame.of(positions, cell)) == pytest.approx(np.sort(spacings))


def test_beads_in_one_place_merge_at_zero():
    """Distances of zero are edges, which a sparse matrix would have dropped."""
    positions = np.array([[1.0, 1, 1], [1, 1, 1], [1, 1, 1], [4, 1, 1]])
    assert merge_distances_A(Frame.of(positions, CUBIC)) == pytest.approx([0.0, 0.0, 3.0])


def test_beyond_the_grid():
    """Mergers outside the grid are missing from the integral and are told."""
    positions = np.array([[[0.0, 0, 0], [2.05, 0, 0], [9.0, 0, 0]]])
    cdf = CDF(NAMES, np.zeros(3, dtype=int), Grid(0.0, 3.0, 0.1, "A"))
    cdf.add(positions, CUBIC[None] * 2)
    assert cdf.curves()[0].values[20] == pytest.approx(0.5 / 0.1)
    assert cdf.beyond() == pytest.approx({"Cho": 0.5})


def test_convention_of_travis_shares_each_merger():
    """At an edge half and half, at a centre whole, in the outermost half bins whole; in 100 frames."""
    spacings = np.array([0.3, 2.0, 2.75, 3.5, 5.8, 9.0])
    x = np.concatenate([[0.0], np.cumsum(spacings)])
    positions = np.stack([x, np.zeros(7), np.zeros(7)], axis=1)
    cdf = CDF(NAMES, np.zeros(7, dtype=int), Grid(0.0, 6.0, 1.0, "A"), "travis")
    for _ in range(2):
        cdf.add(positions[None], 80.0 * np.eye(3)[None])
    assert cdf.curves()[0].values == pytest.approx(100.0 * np.array([1.0, 0.5, 0.5 + 0.75, 1.25, 0.0, 1.0]))
    assert cdf.beyond() == pytest.approx({"Cho": 1 / 6})
    assert cdf.value_unit != CDF(NAMES, np.zeros(7, dtype=int), GRID).value_unit
