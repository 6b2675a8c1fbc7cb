"""Pairs of the structure analysis against vesin, on every kind of grid that the search makes."""

from __future__ import annotations

import numpy as np
import pytest
import vesin
from cgdistill.geometry.cells import perpendicular_widths_A
from cgdistill.structure import pairs as module
from cgdistill.structure.pairs import Frame, count_distances, find_pairs, near
from structure_cases import TRICLINIC

#: Cell, number of beads, cutoff (A), and the grid (cells along each vector) that the search makes of it.
CASES = {
    "one cell": (TRICLINIC, 200, 8.0, [1, 1, 1]),
    "some directions": (np.diag([12.0, 30.0, 90.0]), 400, 5.0, [1, 6, 18]),
    "tilted": (3.0 * TRICLINIC, 600, 6.0, [8, 9, 10]),
    "dense": (np.diag([24.0, 21.0, 40.0]), 3200, 6.0, [8, 7, 13]),
    "half of the cell": (np.diag([16.0, 48.0, 60.0]), 300, 8.0, [1, 6, 7]),
}


def frame_of(name):
    """Frame, positions, cell and cutoff of a case; beads lie in any image."""
    cell, n_beads, cutoff_A, _ = CASES[name]
    rng = np.random.default_rng(len(name))
    positions = (rng.random((n_beads, 3)) + rng.integers(-2, 3, (n_beads, 3))) @ cell
    return Frame.of(positions, cell), positions, cell, cutoff_A


def reference(positions, cell, cutoff_A):
    """Pairs of vesin, sorted: first < second, distances, vectors from the first to the second."""
    search = vesin.NeighborList(cutoff=cutoff_A, full_list=False)
    first, second, distances, vectors = search.compute(positions, cell, True, "ijdD")
    return in_order(first.astype(np.int64), second.astype(np.int64), distances, vectors)


def in_order(first, second, distances, vectors):
    turned = first > second
    low, high = np.where(turned, second, first), np.where(turned, first, second)
    vectors = np.where(turned[:, None], -vectors, vectors)
    order = np.lexsort([high, low])
    return low[order], high[order], distances[order], vectors[order]


@pytest.mark.parametrize("name", list(CASES))
def test_pairs_are_those_of_vesin(name):
    """Each once, with the vector of the nearest image; the grid is the one that the case is for."""
    frame, positions, cell, cutoff_A = frame_of(name)
    assert module._Sorted.of(frame, cutoff_A).n_cells.tolist() == CASES[name][3]
    found = near(frame, cutoff_A)
    found = in_order(found.first, found.second, found.distances_A, found.vectors_A)
    expected = reference(positions, cell, cutoff_A)
    assert len(expected[0]) > 300
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])
    np.testing.assert_allclose(found[2], expected[2], rtol=1e-12)
    np.testing.assert_allclose(found[3], expected[3], atol=1e-11)


@pytest.mark.parametrize("name", list(CASES))
def test_counted_distances_are_those_of_the_pairs(name):
    """By groups of unequal size, one of them empty."""
    frame, positions, cell, cutoff_A = frame_of(name)
    group = np.random.default_rng(0).choice([0, 1, 3], frame.n_beads, p=[0.1, 0.6, 0.3])
    groups = [np.flatnonzero(group == number) for number in range(4)]
    counts = count_distances(frame, groups, cutoff_A / 40, 40)
    first, second, distances, _ = reference(positions, cell, cutoff_A)
    for a in range(4):
        for b in range(4):
            of_pair = (np.minimum(group[first], group[second]) == a) & (np.maximum(group[first], group[second]) == b)
            expected, _ = np.histogram(distances[of_pair], 40, (0.0, cutoff_A))
            np.testing.assert_array_equal(counts[a, b], expected)


def test_widths_are_those_of_the_cell():
    assert Frame.of(np.zeros((1, 3)), TRICLINIC).widths_A == pytest.approx(perpendicular_widths_A(TRICLINIC))


def test_beads_on_the_faces_of_the_cell():
    """Rounding may put a bead at the coordinate 1.0, which is 0.0."""
    cell = np.diag([30.0, 30.0, 30.0])
    tiny = -1e-17
    positions = np.array([[tiny, tiny, tiny], [29.5, 0.0, 0.0], [0.0, 0.5, 30.0], [0.0, 0.0, 29.0]])
    found = near(Frame.of(positions, cell), 4.0)
    assert np.sort(found.distances_A) == pytest.approx(
        np.sort([0.5, 0.5, 1.0, np.sqrt(0.5), np.sqrt(1.25), np.sqrt(1.25)])
    )


def test_beyond_half_of_the_cell_all_images_are_listed_or_it_is_refused():
    """Two beads 4 A apart in a cell of 10 A: 4 and 6 A along x, and further images."""
    frame = Frame.of(np.array([[1.0, 1, 1], [5.0, 1, 1]]), np.diag([10.0, 30.0, 30.0]))
    assert np.sort(find_pairs(frame, 6.5).distances_A) == pytest.approx([4.0, 6.0])
    with pytest.raises(ValueError, match="half of the cell"):
        near(frame, 6.5)
    with pytest.raises(ValueError, match="half of the cell"):
        count_distances(frame, [np.arange(2)], 1.0, 6)
