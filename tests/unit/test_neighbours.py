"""Neighbour list against a brute-force loop over images.

Brute force and list share the definition "r_second - r_first + lattice vector, distance <= cutoff"; a wrong
definition on both sides would pass here and fail in the comparison of a simulation with LAMMPS's own pairs.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from cgdistill.geometry.neighbours import NeighbourList

CELLS = {
    "cubic": np.diag([12.0, 12.0, 12.0]),
    "flat": np.diag([6.0, 9.0, 20.0]),
    "triclinic": np.array([[11.0, 0.0, 0.0], [-4.0, 10.0, 0.0], [3.0, 2.5, 9.0]]),
    "rotated": np.array([[7.0, 2.0, 1.0], [-1.0, 8.0, 0.5], [0.3, -2.0, 9.0]]),
}


def brute_force(positions, cell, cutoff_A):
    """Sorted rows (first, second, vector) of all directed pairs, by a loop over images."""
    heights = np.abs(np.linalg.det(cell)) / np.linalg.norm(np.cross(cell[[1, 2, 0]], cell[[2, 0, 1]]), axis=1)
    fractions = positions @ np.linalg.inv(cell)
    reach = np.ceil(cutoff_A / heights + np.ptp(fractions, axis=0)).astype(int)
    rows = []
    for image in itertools.product(*(range(-n, n + 1) for n in reach)):
        vectors = positions[None, :] - positions[:, None] + np.array(image) @ cell
        near = (vectors**2).sum(axis=2) <= cutoff_A**2
        if image == (0, 0, 0):
            near &= ~np.eye(len(positions), dtype=bool)
        for i, j in np.argwhere(near):
            rows.append((i, j, *vectors[i, j]))
    return in_order(np.array(rows).reshape(-1, 5))


def in_order(rows):
    """Rows ordered by value, rounded so that noise does not decide."""
    return rows[np.lexsort(np.round(rows, 6).T[::-1])]


def as_rows(pairs):
    """The three arrays of the list as ordered rows."""
    first, second, vectors = pairs
    return in_order(np.column_stack([first, second, vectors]))


@pytest.mark.parametrize("cutoff_A", [3.0, 5.9, 8.5])
@pytest.mark.parametrize("name", CELLS)
def test_agrees_with_brute_force(name, cutoff_A):
    """Any cell, also where the cutoff exceeds half of it and a bead sees itself.

    Positions lie outside the cell too. Cannot detect errors that need more beads than 25.
    """
    rng = np.random.default_rng(3)
    positions = rng.uniform(-0.7, 1.9, (25, 3)) @ CELLS[name]
    expected = brute_force(positions, CELLS[name], cutoff_A)
    assert len(expected) > 20
    for skin_A in (0.0, 1.0):
        found = as_rows(NeighbourList(cutoff_A, skin_A).pairs(positions, CELLS[name]))
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, atol=1e-9)


def test_rebuilt_only_when_half_the_skin_is_exceeded():
    """A bead that moves by less than half the skin leaves the list as it is, one that moves more does not."""
    positions = np.random.default_rng(4).uniform(0, 12, (30, 3))
    neighbours = NeighbourList(4.0, skin_A=1.0)
    neighbours.pairs(positions, CELLS["cubic"])
    moved = positions.copy()
    moved[7] += [0.0, 0.49, 0.0]
    neighbours.pairs(moved, CELLS["cubic"])
    assert neighbours.n_builds == 1
    moved[7] += [0.0, 0.02, 0.0]
    neighbours.pairs(moved, CELLS["cubic"])
    assert neighbours.n_builds == 2
    neighbours.pairs(moved, CELLS["cubic"] * 1.001)
    assert neighbours.n_builds == 3
    neighbours.pairs(moved[:-1], CELLS["cubic"] * 1.001)
    assert neighbours.n_builds == 4


def test_right_along_a_walk():
    """A list that is kept over many small moves gives the pairs of a list built anew at each of them."""
    rng = np.random.default_rng(5)
    cell = CELLS["triclinic"]
    positions = rng.uniform(0, 1, (40, 3)) @ cell
    kept = NeighbourList(4.0, skin_A=1.2)
    for _ in range(60):
        positions = positions + rng.normal(0, 0.05, positions.shape)
        fresh = NeighbourList(4.0, skin_A=0.0).pairs(positions, cell)
        found = kept.pairs(positions, cell)
        assert len(found[0]) == len(fresh[0])
        np.testing.assert_allclose(as_rows(found), as_rows(fresh), atol=1e-12)
    assert 2 < kept.n_builds < 30


def test_order_and_values_do_not_depend_on_the_history():
    """The same configuration gives the same arrays to the last bit, whenever the list was built."""
    rng = np.random.default_rng(6)
    cell = CELLS["flat"]
    positions = rng.uniform(0, 1, (40, 3)) @ cell
    old = NeighbourList(5.0, skin_A=2.0)
    old.pairs(positions + rng.uniform(-0.4, 0.4, positions.shape), cell)
    new = NeighbourList(5.0, skin_A=2.0)
    for before, after in zip(old.pairs(positions, cell), new.pairs(positions, cell), strict=True):
        assert np.array_equal(before, after)
    assert old.n_builds == 1
    first, second, _ = old.pairs(positions, cell)
    assert first.dtype == second.dtype == np.int64
    assert (np.diff(first * 1000 + second) >= 0).all()


def test_candidates_hold_the_pairs():
    """The list with its skin, filtered by hand, is what ``pairs`` returns."""
    rng = np.random.default_rng(7)
    cell = CELLS["rotated"]
    positions = rng.uniform(0, 1, (20, 3)) @ cell
    neighbours = NeighbourList(4.0, skin_A=1.5)
    found = neighbours.candidates(positions, cell)
    first, second = np.repeat(np.arange(len(positions)), found.ends - found.starts), found.second
    vectors = positions[second] - positions[first] + found.shifts_A[found.images]
    lengths = np.linalg.norm(vectors, axis=1)
    assert lengths.max() <= 5.5 and (lengths > 4.0).any()
    inside = lengths <= 4.0
    expected = neighbours.pairs(positions, cell)
    assert np.array_equal(first[inside], expected[0]) and np.array_equal(second[inside], expected[1])
    np.testing.assert_allclose(vectors[inside], expected[2], atol=1e-12)


def test_pairs_of_a_bead_are_sorted_by_type():
    """Types that alternate with the index; rows and pairs agree, and nothing but the order changes."""
    rng = np.random.default_rng(8)
    cell = CELLS["triclinic"]
    positions = rng.uniform(0, 1, (20, 3)) @ cell
    types = np.arange(20) % 3
    sorted_list, plain = NeighbourList(5.0, 1.0, types, 3), NeighbourList(5.0, 1.0)
    np.testing.assert_allclose(
        as_rows(sorted_list.pairs(positions, cell)), as_rows(plain.pairs(positions, cell)), atol=1e-12
    )
    first, second, _ = sorted_list.pairs(positions, cell)
    assert (np.diff((first * 3 + types[second]) * 100 + second) >= 0).all()
    found = sorted_list.candidates(positions, cell)
    for row, (start, end) in enumerate(zip(found.starts, found.ends, strict=True)):
        assert (types[found.second[start:end]] == row % 3).all()
    assert found.ends[-1] == len(found.second) > len(first)


def test_no_pairs():
    """Beads that are far apart, and no beads at all."""
    cell = np.diag([30.0, 30.0, 30.0])
    for positions in (np.array([[0.0, 0, 0], [15.0, 15.0, 15.0]]), np.empty((0, 3))):
        first, second, vectors = NeighbourList(3.0).pairs(positions, cell)
        assert len(first) == len(second) == 0 and vectors.shape == (0, 3)


@pytest.mark.parametrize("values", [(0.0, 1.0), (-1.0, 1.0), (3.0, -0.1), (float("nan"), 1.0)])
def test_refuses_nonsense(values):
    """Cutoff and skin must make sense."""
    with pytest.raises(ValueError, match="cutoff"):
        NeighbourList(*values)
