"""Curves of blocks of consecutive frames, and how many frames make an uncorrelated one.

Blocks carry the sampling noise of a trajectory: their means scatter as the time average does. A pass over a trajectory
of unknown length keeps a few hundred fine blocks, merging neighbours when there are too many; the blocks asked for
are groups of them.

The statistical inefficiency g of a metric (frames per uncorrelated frame, at least 1) comes from the autocorrelation of
all bins of its curves together,

    C(t) = sum_b w_b < d_b(0) d_b(t) > / sum_b w_b < d_b(0)^2 >        g = 1 + 2 sum_t (1 - t/n) C(t)

with d_b the deviation of bin b from its mean and w_b = 1/sigma_b, so that a bin weighs as in a total absolute error;
the sum over times ends where C first reaches zero. For one bin this is the estimator of Chodera et al., J. Chem. Theory
Comput. 2007, 3, 26, that pymbar implements. The many bins make C(t) far less noisy than that of one observable, so
that a small slow part under the shot noise of counts is seen, as it has to be: it is what blocks have in common. A
principal component in place of the sum would find the slowest combination of the noise (for 300 equal bins g comes out
three times too large). Deviations from a sample mean instead of the true one lower C by g/n, which is put right.
Relaxation slower than a tenth of the trajectory is still underestimated; nothing in the trajectory tells of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from .curves import curve_table, with_total
from .files import BLOCK_COLUMNS, CURVE_COLUMNS
from .metrics.accumulator import Accumulator

#: Fine blocks at most, and fine blocks per block asked for at least (of a long trajectory).
_MOST = 512
_PER_BLOCK = 8
_ITERATIONS = 100


@dataclass
class FineBlock:
    """Some consecutive frames: by metric, the sum of what was measured and what the first of them gave."""

    totals: list[np.ndarray]
    first: list[np.ndarray]
    n_frames: int
    first_ps: float
    last_ps: float

    def extend(self, totals: Sequence[np.ndarray], n_frames: int, last_ps: float) -> None:
        """Take up the frames that follow."""
        self.totals = [own + other for own, other in zip(self.totals, totals, strict=True)]
        self.n_frames += n_frames
        self.last_ps = last_ps


class FineBlocks:
    """The frames of a trajectory in blocks of equal size (the last may be shorter), never more than a fixed number.

    Parameters
    ----------
    n_blocks: blocks that will be asked for.
    """

    def __init__(self, n_blocks: int) -> None:
        self.most = max(_MOST, 2 * -(-_PER_BLOCK * n_blocks // 2))
        self.size = 1
        self.blocks: list[FineBlock] = []

    def add(self, time_ps: float, measured: Sequence[np.ndarray]) -> None:
        """Add what one frame gave, by metric."""
        if self.blocks and self.blocks[-1].n_frames < self.size:
            self.blocks[-1].extend(measured, 1, time_ps)
            return
        if len(self.blocks) == self.most:
            for block, other in zip(self.blocks[::2], self.blocks[1::2], strict=True):
                block.extend(other.totals, other.n_frames, other.last_ps)
            self.blocks = self.blocks[::2]
            self.size *= 2
            self.add(time_ps, measured)
            return
        self.blocks.append(FineBlock(list(measured), list(measured), 1, time_ps, time_ps))

    def grouped(self, n_blocks: int) -> list[FineBlock]:
        """The frames in ``n_blocks`` blocks of nearly equal length; as many as frames where there are fewer."""
        groups = np.array_split(np.arange(len(self.blocks)), min(n_blocks, len(self.blocks)))
        joined = []
        for members in groups:
            head = self.blocks[members[0]]
            block = FineBlock(list(head.totals), head.first, head.n_frames, head.first_ps, head.last_ps)
            for index in members[1:]:
                other = self.blocks[index]
                block.extend(other.totals, other.n_frames, other.last_ps)
            joined.append(block)
        return joined


def block_table(accumulators: Sequence[Accumulator], fine: FineBlocks, n_blocks: int) -> pd.DataFrame:
    """Curves of contiguous blocks with the statistical inefficiency of their metric.

    Parameters
    ----------
    accumulators: of all frames, in the order of what was added to ``fine``.

    Returns
    -------
    Columns `BLOCK_COLUMNS` and `CURVE_COLUMNS`.
    """
    blocks = fine.grouped(n_blocks)
    tables = []
    for index, accumulator in enumerate(accumulators):
        curves = curve_table(accumulator)
        inefficiency = inefficiency_of(accumulator, index, fine)
        for number, block in enumerate(blocks):
            values = _values(accumulator, block.totals[index], block.n_frames)
            head = (number, block.n_frames, block.first_ps, block.last_ps, inefficiency)
            tables.append(curves.assign(value=values, **dict(zip(BLOCK_COLUMNS, head, strict=True))))
    return pd.concat(tables, ignore_index=True)[BLOCK_COLUMNS + CURVE_COLUMNS]


def inefficiency_of(accumulator: Accumulator, index: int, fine: FineBlocks) -> float:
    """Frames per uncorrelated frame of one metric, see `statistical_inefficiency`."""
    means = np.stack([_values(accumulator, block.totals[index], block.n_frames) for block in fine.blocks])
    singles = means if fine.size == 1 else np.stack([_values(accumulator, b.first[index], 1) for b in fine.blocks])
    # The last block may be shorter than the others.
    whole = [block.n_frames == fine.size for block in fine.blocks]
    return statistical_inefficiency(means[whole], singles[whole], fine.size)


def statistical_inefficiency(means: np.ndarray, singles: np.ndarray | None = None, size: int = 1) -> float:
    """Frames per uncorrelated frame of the curves of a metric, at least 1.

    The variance of block means against that of single frames says what the blocks hide, the autocorrelation of the
    block means what they show.

    Parameters
    ----------
    means: (n, n_bins) mean of consecutive blocks.
    singles: (n, n_bins) one frame of each block; ``means`` where a block is a frame.
    size: frames of a block.

    Returns
    -------
    1 where nothing fluctuates or there are fewer than two blocks.
    """
    singles = means if singles is None else singles
    if len(means) < 2:
        return 1.0
    spread = singles.std(axis=0)
    used = spread > 0
    if not used.any():
        return 1.0
    scale = 1.0 / np.sqrt(spread[used])
    blocks = (means[:, used] - means[:, used].mean(axis=0)) * scale
    frames = (singles[:, used] - singles[:, used].mean(axis=0)) * scale
    between = float((blocks**2).sum() / (frames**2).sum()) * size
    return max(1.0, between * _sum_of_correlations(blocks))


def _sum_of_correlations(deviations: np.ndarray) -> float:
    """1 + 2 sum (1 - t/n) C(t) of series (n, n_bins), deviations from their means."""
    n = len(deviations)
    power = (np.abs(np.fft.rfft(deviations, 2 * n, axis=0)) ** 2).sum(axis=1)
    if power.sum() == 0.0:
        return 1.0
    times = np.arange(1, n)
    found = np.fft.irfft(power)[:n]
    found = found[1:] / found[0] * (n / (n - times))
    g = 1.0
    for _ in range(_ITERATIONS):
        missing = min(g / n, 0.5)
        corrected = found * (1.0 - missing) + missing
        ended = np.flatnonzero(corrected <= 0.0)
        stop = ended[0] if len(ended) else n - 1
        better = max(1.0, 1.0 + 2.0 * float(((1.0 - times / n) * corrected)[:stop].sum()))
        if abs(better - g) < 1e-3 * g:
            break
        g = 0.5 * (g + better)
    return g


def _values(accumulator: Accumulator, total: np.ndarray, n_frames: int) -> np.ndarray:
    """The values of all curves of a metric, one after the other, of another sum over frames."""
    return np.concatenate([curve.values for curve in with_total(accumulator, total, n_frames).curves()])
