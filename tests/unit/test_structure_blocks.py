"""Blocks of frames, and the statistical inefficiency against processes with a known one."""

from __future__ import annotations

import numpy as np
import pytest
from cgdistill.structure.blocks import FineBlocks, block_table, statistical_inefficiency
from cgdistill.structure.curves import with_total
from cgdistill.structure.grids import Grid
from cgdistill.structure.metrics.accumulator import Accumulator, Curve
from pymbar import timeseries
from scipy.signal import lfilter

GRID = Grid(0.0, 4.0, 1.0, "A")


class Mean(Accumulator):
    """The plain mean of what is added, four bins."""

    metric = "rdf"
    _VALUE_UNITS = {"cgdistill": "1"}

    def measure(self, frame):
        raise NotImplementedError

    def curves(self):
        return [Curve("A-A", np.nan, self.total / self.n_frames)]


def processes(n, n_bins, memory, seed, share=1.0):
    """(n, n_bins) autoregressive noise of unit variance with white noise: ``share`` of the variance has a memory."""
    rng = np.random.default_rng(seed)
    kicks = rng.normal(size=(n, n_bins)) * np.sqrt(1 - memory**2)
    kicks[0] = rng.normal(size=n_bins)
    slow = lfilter([1], [1, -memory], kicks, axis=0)
    return np.sqrt(share) * slow + np.sqrt(1 - share) * rng.normal(size=(n, n_bins))


def truth(memory, share=1.0):
    """Their statistical inefficiency."""
    return 1 - share + share * (1 + memory) / (1 - memory)


def filled(series, n_blocks=10):
    """Fine blocks and the mean of all."""
    fine, mean = FineBlocks(n_blocks), Mean(("A",), np.zeros(2, dtype=int), GRID)
    for number, values in enumerate(series):
        fine.add(2.0 * number, [values])
        mean.accumulate(values)
    return fine, mean


@pytest.mark.parametrize(
    ("n", "memory", "share", "tolerance"),
    [
        (300, 0.0, 1.0, 0.05),
        (300, 0.8, 1.0, 0.10),
        (1000, 0.8, 1.0, 0.05),
        (100, 0.8, 1.0, 0.15),
        (300, 0.9, 0.1, 0.10),  # under shot noise of nine times its variance
        (1000, 0.95, 0.03, 0.15),
    ],
)
def test_known_memory(n, memory, share, tolerance):
    """200 bins: within the tolerance in the mean over three series."""
    found = [statistical_inefficiency(processes(n, 200, memory, seed, share)) for seed in range(3)]
    assert np.mean(found) == pytest.approx(truth(memory, share), rel=tolerance)


def test_one_long_series_as_pymbar():
    """Where there is one bin and the correction for the mean is small, the estimator is pymbar's."""
    series = processes(20000, 1, 0.8, seed=1)
    expected = timeseries.statistical_inefficiency(series[:, 0])
    assert statistical_inefficiency(series) == pytest.approx(expected, rel=0.05)


def test_scale_of_the_bins_does_not_matter_where_all_are_alike():
    """Bins count by their standard deviation; bins that never change do not count."""
    series = processes(500, 50, 0.7, seed=2)
    found = statistical_inefficiency(series)
    assert statistical_inefficiency(series * np.geomspace(1e-4, 1e4, 50)) == pytest.approx(found, rel=0.3)
    assert statistical_inefficiency(np.hstack([series, np.full((500, 30), 3.0)])) == pytest.approx(found)


def test_nothing_to_tell():
    """One block, or a constant."""
    assert statistical_inefficiency(np.ones((1, 5))) == statistical_inefficiency(np.ones((9, 5))) == 1.0


@pytest.mark.parametrize(("memory", "share"), [(0.0, 1.0), (0.9, 1.0), (0.98, 0.2)])
def test_merged_blocks_tell_the_same(memory, share):
    """Whether frames are kept one by one or in blocks of 16, the inefficiency is that of frames."""
    series = processes(16 * 400, 100, memory, seed=3, share=share)
    blocks = series.reshape(400, 16, 100)
    found = statistical_inefficiency(blocks.mean(axis=1), blocks[:, 0], 16)
    assert found == pytest.approx(truth(memory, share), rel=0.15)
    assert statistical_inefficiency(series) == pytest.approx(truth(memory, share), rel=0.15)


@pytest.mark.parametrize("n", [1, 7, 10, 301, 512, 513, 1024, 5000])
def test_blocks_are_contiguous_and_even(n):
    """Every frame is in one block, in order; memory is bounded; lengths differ by at most an eighth."""
    series = np.random.default_rng(n).random((n, 4))
    fine, mean = filled(series)
    assert len(fine.blocks) <= fine.most == 512
    table = block_table([mean], fine, 10)
    blocks = table.groupby("block").first()
    assert len(blocks) == min(10, n) and blocks["n_frames"].sum() == n
    if n <= 512:
        assert np.ptp(blocks["n_frames"]) <= 1
    assert blocks["n_frames"].max() <= 1.15 * blocks["n_frames"].min() + 1
    starts = np.concatenate([[0], np.cumsum(blocks["n_frames"])[:-1]])
    np.testing.assert_array_equal(blocks["first_ps"], 2.0 * starts)
    np.testing.assert_array_equal(blocks["last_ps"], 2.0 * (np.cumsum(blocks["n_frames"]) - 1))
    for number, part in table.groupby("block"):
        own = series[starts[number] : starts[number] + blocks.loc[number, "n_frames"]]
        np.testing.assert_allclose(part["value"], own.mean(axis=0), rtol=1e-12)


def test_many_blocks_of_a_long_trajectory():
    """100 blocks: enough fine ones are kept for them to be even."""
    fine, mean = filled(np.random.default_rng(0).random((3000, 4)), 100)
    sizes = block_table([mean], fine, 100).groupby("block")["n_frames"].first()
    assert len(sizes) == 100 and sizes.max() <= 1.15 * sizes.min() + 1


def test_sampling_noise_of_the_mean():
    """The inefficiency says how the mean of a trajectory scatters: over 200 of them, within 10 %.

    This is what it is for; the autocorrelations are not looked at.
    """
    means, predicted = [], []
    for seed in range(200):
        series = processes(300, 40, 0.8, seed, share=0.5)
        means.append(series.mean(axis=0))
        predicted.append(statistical_inefficiency(series) / 300)
    assert np.mean(predicted) == pytest.approx(np.var(means), rel=0.1)


def test_with_total_leaves_the_original_alone():
    """Another sum in a copy."""
    mean = Mean(("A",), np.zeros(2, dtype=int), GRID)
    mean.accumulate(np.arange(4.0))
    other = with_total(mean, np.full(4, 6.0), 3)
    assert other.curves()[0].values.tolist() == [2.0] * 4 and other.n_frames == 3
    assert mean.curves()[0].values.tolist() == [0.0, 1.0, 2.0, 3.0] and mean.n_frames == 1
