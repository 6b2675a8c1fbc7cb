"""ADF against an O(N^3) loop, isotropic neighbours and a lattice."""

from __future__ import annotations

import numpy as np
import pytest
from cgdistill.structure.grids import Grid
from cgdistill.structure.metrics.adf import ADF
from structure_cases import CUBIC, NAMES, TRICLINIC, gas, nearest_vectors, shared_by_hand

GRID = Grid(0.0, 180.0, 2.0, "deg")


def brute_force(positions, cell, types, triplet):
    """All angles of one frame by three loops: (n, 2), the angle and the longer of the two distances."""
    vectors = nearest_vectors(positions, cell)
    distances = np.linalg.norm(vectors, axis=-1)
    left, centre, right = triplet
    found = []
    for j in np.flatnonzero(types == centre):
        for i in np.flatnonzero(types == left):
            for k in np.flatnonzero(types == right):
                if i == j or k == j or i == k or (left == right and i > k):
                    continue
                reach = max(distances[j, i], distances[j, k])
                if reach < 7.5:
                    cosine = vectors[j, i] @ vectors[j, k] / (distances[j, i] * distances[j, k])
                    found.append((np.degrees(np.arccos(np.clip(cosine, -1, 1))), reach))
    return np.array(found)


@pytest.mark.parametrize("cell", [CUBIC, TRICLINIC], ids=["cubic", "triclinic"])
def test_adf_agrees_with_brute_force(cell):
    """Counts are equal one by one; the normalisation is tested below."""
    positions, cells, types = gas(2, 90, cell, seed=5, spread=2)
    triplets, radii = [(0, 0, 0), (0, 1, 2), (1, 2, 2)], [7.0, 5.0, 6.0]
    adf = ADF(NAMES, types, GRID, triplets, radii)
    adf.add(positions, cells)
    for t, triplet in enumerate(triplets):
        angles = np.concatenate([brute_force(frame, cell, types, triplet) for frame in positions])
        for m, radius in enumerate(sorted(radii)):
            expected, _ = np.histogram(angles[angles[:, 1] < radius, 0], GRID.edges)
            assert expected.sum() > 10
            assert adf.total[t, m] == pytest.approx(expected), (triplet, radius)


def test_isotropic_neighbours_are_flat():
    """P = 1/180 per degree; a bias below 4 % of it would pass."""
    positions, cells, _ = gas(12, 1500, CUBIC, seed=6)
    adf = ADF(NAMES, np.arange(1500) % 3, Grid(0.0, 180.0, 10.0, "deg"), [(0, 0, 0), (0, 1, 2)], [3.5])
    adf.add(positions, cells)
    for curve in adf.curves():
        assert curve.values == pytest.approx(1 / 180, rel=0.04), curve.item


def test_integral_is_one_and_items_are_named_by_type():
    """At each radius."""
    positions, cells, types = gas(2, 200, TRICLINIC, seed=7)
    adf = ADF(NAMES, types, GRID, [(0, 1, 2)], [5.0, 7.0])
    adf.add(positions, cells)
    curves = adf.curves()
    assert [(curve.item, curve.parameter) for curve in curves] == [("Cho-Cl-Urea", 5.0), ("Cho-Cl-Urea", 7.0)]
    for curve in curves:
        assert curve.values.sum() * GRID.width == pytest.approx(1.0)


def test_simple_cubic_lattice():
    """Six neighbours: 12 angles of 90 degrees and 3 of 180, each divided by its belt on the sphere."""
    a, grid = 4.0, Grid(0.0, 180.0, 20.0, "deg")
    positions = np.stack(np.meshgrid(*[np.arange(5) * a] * 3), -1).reshape(1, -1, 3)
    adf = ADF(NAMES, np.zeros(125, dtype=int), grid, [(0, 0, 0)], [1.2 * a])
    adf.add(positions, np.eye(3)[None] * 5 * a)
    right = 12 / (np.cos(np.radians(80)) - np.cos(np.radians(100)))
    straight = 3 / (np.cos(np.radians(160)) - np.cos(np.radians(180)))
    expected = np.zeros(9)
    expected[4], expected[8] = right, straight
    assert adf.curves()[0].values == pytest.approx(expected / expected.sum() / 20.0, abs=1e-12)


@pytest.mark.parametrize("angle", [31.0, 61.0, 119.0])
def test_known_angle_of_one_triplet(angle):
    """A bent A-B-C across the boundary; the wrong centre would give another angle."""
    centre = np.array([0.3, 0.2, 19.9])
    ends = [[0.0, 0.0, 3.0], [0.0, 4.0 * np.sin(np.radians(angle)), 4.0 * np.cos(np.radians(angle))]]
    positions = np.array([[centre, *(centre + np.array(ends))]]) % 20.0
    adf = ADF(NAMES, np.array([1, 0, 2]), GRID, [(0, 1, 2)], [4.5])
    adf.add(positions, CUBIC[None])
    assert GRID.centres[adf.curves()[0].values.argmax()] == pytest.approx(angle)
    assert np.count_nonzero(adf.curves()[0].values) == 1


def test_bead_on_its_neighbour_spans_no_angle():
    """Two beads in one place give neither NaN nor an invented angle of 90 degrees."""
    positions = np.array([[[1.0, 1, 1], [1.0, 1, 1], [3.0, 1, 1]]])
    adf = ADF(NAMES, np.array([0, 1, 2]), GRID, [(0, 1, 2)], [4.0])
    adf.add(positions, CUBIC[None])
    assert not adf.curves()[0].values.any()


def test_convention_of_travis_by_hand():
    """Linear sharing before the cone correction, mean over bins 100; the program itself: tests/integration."""
    positions, _, types = gas(1, 90, TRICLINIC, seed=10)
    triplets = [(0, 0, 0), (0, 1, 2)]
    adf = ADF(NAMES, types, GRID, triplets, [5.0, 7.0], "travis")
    adf.add(positions, TRICLINIC[None])
    belts = np.cos(np.radians(GRID.edges[:-1])) - np.cos(np.radians(GRID.edges[1:]))
    for curve, triplet in zip(adf.curves(), np.repeat(triplets, 2, axis=0), strict=True):
        angles = brute_force(positions[0], TRICLINIC, types, tuple(triplet))
        weights = shared_by_hand(angles[angles[:, 1] < curve.parameter, 0], GRID) / belts
        assert curve.values == pytest.approx(100.0 * weights / weights.mean()), curve.item
    assert adf.value_unit != ADF(NAMES, types, GRID, triplets, [5.0]).value_unit


def test_angles_start_at_zero_unless_travis_counts():
    short = Grid(1.0, 180.0, 1.0, "deg")
    with pytest.raises(ValueError, match="from 0 to 180"):
        ADF(NAMES, np.zeros(3, dtype=int), short, [(0, 0, 0)], [5.0])
    positions = np.array([[[1.0, 1, 1], [1.0, 1, 4], [1.001, 1, 4.5], [1.0, 4, 1]]])
    types = np.array([0, 1, 1, 1])
    adf = ADF(NAMES, types, short, [(1, 0, 1)], [4.0], "travis")
    adf.add(positions, CUBIC[None])
    assert adf.total.sum() == pytest.approx(2.0)  # the angle of 0.02 degrees is left out
