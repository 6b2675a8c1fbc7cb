"""Distances, clusters, peaks and windows against slow or exact answers."""

from __future__ import annotations

import numpy as np
import pytest
from cgdistill.structure.grids import Grid
from cgdistill.structure.metrics.cdf import CDF, mergers
from cgdistill.structure.metrics.rdf import RDF
from cgdistill.structure.pairs import Frame
from cgdistill.structure.series import (
    FrameMeasures,
    Windows,
    cluster_cutoffs,
    first_peak,
    highest_peak,
    largest_share,
    min_distance_A,
)
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from structure_cases import CUBIC, NAMES, TRICLINIC, gas, nearest_vectors

LENGTHS = Grid(0.0, 8.0, 0.1, "A")


def distances(positions, cell):
    return np.linalg.norm(nearest_vectors(positions, cell), axis=-1)


@pytest.mark.parametrize("cell", [CUBIC, TRICLINIC])
@pytest.mark.parametrize("n", [2, 5, 150])
def test_min_distance(cell, n):
    """As by all pairs; whatever pair's distance is given as a bound."""
    positions, cells, _ = gas(1, n, cell, seed=n)
    every = distances(positions[0], cell)[np.triu_indices(n, 1)]
    frame = Frame.of(positions[0], cells[0])
    for bound in (np.inf, every.max(), np.median(every), every.min()):
        assert min_distance_A(frame, bound) == pytest.approx(every.min())


def test_min_distance_at_extremes():
    """Beads on one spot need no fine grid of cells; one bead has no distance."""
    positions = np.vstack([np.random.default_rng(0).random((300, 3)) * 20.0, [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0 + 1e-9]]])
    assert min_distance_A(Frame.of(positions, CUBIC), 1e-9) == pytest.approx(1e-9, rel=1e-3)
    assert np.isnan(min_distance_A(Frame.of(positions[:1], CUBIC)))


@pytest.mark.parametrize("cell", [CUBIC, TRICLINIC])
def test_largest_cluster_as_scipy(cell):
    """Single linkage of scipy on all nearest-image distances, cut at several heights."""
    positions, cells, _ = gas(1, 120, cell, seed=4)
    tree = linkage(squareform(distances(positions[0], cell), checks=False), "single")
    lengths, largest = mergers(Frame.of(positions[0], cells[0]))
    np.testing.assert_allclose(lengths, tree[:, 2])
    for cutoff in (0.01, 1.0, 2.0, 2.5, 3.0, 3.5, 20.0):
        expected = np.bincount(fcluster(tree, cutoff, "distance")).max() / 120
        assert largest_share(lengths, largest, cutoff) == pytest.approx(expected), cutoff
    assert largest_share(*mergers(Frame.of(positions[0, :1], cells[0])), 3.0) == 1.0


def test_cutoffs_are_medians():
    """Over the merge distances of all frames; a type with one bead has none."""
    positions, cells, _ = gas(4, 61, CUBIC, seed=5)
    types = np.array([0] * 30 + [1] * 30 + [2])
    found = cluster_cutoffs(zip(positions, cells, strict=True), NAMES, types)
    lengths = [linkage(squareform(distances(p[:30], CUBIC), checks=False), "single")[:, 2] for p in positions]
    assert found["Cho"] == pytest.approx(np.median(lengths))
    assert set(found) == {"Cho", "Cl"}


def test_measures_of_a_frame():
    """What the CDF measures itself, and rows of the types that have a cutoff; unlike beads may be the nearest."""
    positions, cells, types = gas(1, 90, TRICLINIC, seed=6)
    positions[0, np.flatnonzero(types == 0)[0]] = positions[0, np.flatnonzero(types == 1)[0]] + [0.0, 0.0, 0.05]
    cdf = CDF(NAMES, types, LENGTHS)
    measures = FrameMeasures(cdf, {"Cho": 3.0, "Urea": 0.0})
    frame = Frame.of(positions[0], cells[0])
    counts, values = measures.measure(frame)
    np.testing.assert_array_equal(counts, cdf.measure(frame))
    assert [row[:2] for row in measures.rows] == [
        ("min_distance", "all"),
        ("largest_cluster", "Cho"),
        ("largest_cluster", "Urea"),
    ]
    assert values[0] == pytest.approx(0.05)
    assert values[2] == pytest.approx(1 / (types == 2).sum()) and values[1] > values[2]


@pytest.mark.parametrize("place", [3.02, 3.05, 3.08])
@pytest.mark.parametrize("peak", [first_peak, highest_peak])
def test_place_of_a_peak(peak, place):
    """Between the bins, within 0.01 A; smoothing lowers a Gaussian of width s to s/sqrt(s^2 + 0.3^2) of its height."""
    x = LENGTHS.centres
    found, height = peak(x, 2.0 * np.exp(-0.5 * ((x - place) / 0.4) ** 2))
    assert found == pytest.approx(place, abs=0.01)
    assert height == pytest.approx(2.0 * 0.4 / 0.5, rel=0.02)


def test_first_and_highest():
    """A first peak of 85 % of the highest is the first, one of 70 % is not; an empty curve has none."""
    x = LENGTHS.centres

    def two(first):
        return first * np.exp(-((x - 2.0) ** 2) / 0.2) + np.exp(-((x - 5.0) ** 2) / 0.2)

    assert first_peak(x, two(0.85))[0] == pytest.approx(2.0, abs=0.02)
    assert first_peak(x, two(0.7))[0] == pytest.approx(5.0, abs=0.02)
    assert highest_peak(x, two(0.85))[0] == pytest.approx(5.0, abs=0.02)
    assert np.isnan(first_peak(x, 0 * x)).all() and np.isnan(highest_peak(x, 0 * x)).all()


def windows_of(times, every=4.0, phases=None):
    """Windows over frames of three beads whose spacing is the frame's number."""
    types = np.zeros(3, dtype=int)
    rdf, cdf = RDF(("A",), types, LENGTHS), CDF(("A",), types, LENGTHS)
    windows = Windows(rdf, cdf, every)
    for number, time in enumerate(times):
        spacing = 1.05 + 0.1 * number
        frame = Frame.of(np.array([[0.0, 0, 0], [spacing, 0, 0], [2 * spacing, 0, 0]]), CUBIC)
        phase = phases[number] if phases else "production"
        windows.add(time, phase, rdf.measure(frame), cdf.measure(frame))
    return windows


@pytest.mark.parametrize(
    ("times", "starts", "counts"),
    [
        (np.arange(0, 12.1, 1.0), [0, 4, 8], [5, 4, 4]),  # the frame at the end of a window belongs to it
        (np.arange(1, 13) * 0.4 + 4.0, [4, 8], [10, 2]),
        (np.arange(0, 19, 3.0), [0, 4, 8, 12, 16], [2, 1, 2, 1, 1]),
        (np.arange(100, 109, 2.0), [100, 104], [3, 2]),
        ([5.0, 50.0], [4, 48], [1, 1]),  # no rows for windows without frames
        ([2.0], [0], [1]),
    ],
)
def test_windows(times, starts, counts):
    """Which frames a window holds, and that its CDF is their average."""
    table = windows_of(times).resolved()
    assert table["time_ps"].unique().tolist() == starts
    first = 0
    for start, count in zip(starts, counts, strict=True):
        curve = table[table["time_ps"] == start]
        expected = np.zeros(LENGTHS.n_bins)
        for number in range(first, first + count):
            expected[round(10 * (1.05 + 0.1 * number) - 0.5)] += 1 / count
        np.testing.assert_allclose(curve["value"] * LENGTHS.width, expected, atol=1e-12)
        np.testing.assert_allclose(curve["x"], LENGTHS.centres)
        first += count


def test_series_of_windows():
    """Peaks at the start of each window; a window with a frame of equilibration is of equilibration."""
    windows = windows_of([0.0, 3.0, 6.0, 9.0], phases=["equilibration"] * 3 + ["production"])
    windows.resolved()
    peaks = [row for row in windows.series if row[2] == "cdf_peak"]
    assert [row[:2] for row in peaks] == [(0.0, "equilibration"), (4.0, "equilibration"), (8.0, "production")]
    assert [row[4] for row in peaks] == pytest.approx([1.1, 1.25, 1.35], abs=0.01)
    assert {row[2] for row in windows.series} == {"cdf_peak", "rdf_peak", "rdf_peak_height"}


def test_no_frames_no_windows():
    """An empty table with its columns."""
    table = windows_of([]).resolved()
    assert len(table) == 0 and table.columns[0] == "time_ps"
