"""Curves of the blocks of a trajectory as arrays, and the noise of their mean.

A trajectory is cut into K blocks of consecutive frames. The blocks' curves scatter about their mean; how
much tells the noise of the mean, if neighbouring blocks are independent. Where they are not, the
variance is multiplied by an inflation, found from how alike neighbours are (`inflation`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from ..core.errors import InputError
from ..core.vocabulary import CURVE_KEY, OVERALL, RUN_KEY
from ..structure.tae import CurveName, curve_keys

_GRID = [*CURVE_KEY, "x", "x_unit", "value_unit"]


@dataclass(frozen=True)
class Layout:
    """Places of the curves of a table in one array of bins.

    Attributes
    ----------
    grid: columns metric, item, parameter, x, x_unit, value_unit of each bin.
    starts: (n_items,) first bin of each curve.
    keys: the rows of a table of errors: the curves, then the ``overall`` sums.
    widths: (n_bins, n_rows) width of a bin where it counts for a row, else 0.
    """

    grid: pd.DataFrame
    starts: np.ndarray
    keys: tuple[CurveName, ...]
    widths: np.ndarray

    @classmethod
    def of(cls, curves: pd.DataFrame, source: str = "curves") -> Layout:
        """Layout of one set of curves, each in consecutive rows.

        Raises
        ------
        InputError
            A curve of one bin, or one that is not in one piece.
        """
        grid = curves[_GRID].reset_index(drop=True)
        names = curve_keys(grid)
        starts = [row for row, name in enumerate(names) if row == 0 or name != names[row - 1]]
        items: list[CurveName] = [names[row] for row in starts]
        if len(set(items)) != len(items) or min(np.diff([*starts, len(names)]), default=0) < 2:
            raise InputError(source, "curves", "a curve of one bin or in pieces", "each in consecutive rows")
        sums = {(metric, OVERALL, at): None for metric, _, parameter in items for at in (None, parameter)}
        keys = (*items, *sums)
        widths = np.zeros((len(grid), len(keys)))
        x = grid["x"].to_numpy()
        for (metric, _, parameter), first, end in zip(items, starts, [*starts[1:], len(grid)], strict=True):
            width = (x[end - 1] - x[first]) / (end - 1 - first)
            for row, (of_metric, item, at) in enumerate(keys):
                if item == OVERALL:
                    counts = of_metric == metric and at in (parameter, None)
                else:
                    counts = keys[row] == names[first]
                widths[first:end, row] = width * counts
        return cls(grid, np.array(starts), keys, widths)

    def errors(self, differences: np.ndarray) -> np.ndarray:
        """Total absolute error (..., n_rows) of differences of curves (..., n_bins)."""
        return np.asarray(np.abs(differences) @ self.widths)


@dataclass(frozen=True)
class Blocks:
    """Curves of the blocks of one trajectory.

    Attributes
    ----------
    values: (n_blocks, n_bins).
    n_frames: (n_blocks,) frames of each.
    """

    values: np.ndarray
    n_frames: np.ndarray

    def __len__(self) -> int:
        return len(self.values)

    @property
    def mean(self) -> np.ndarray:
        """(n_bins,) mean over blocks, weighted by their frames."""
        return np.average(self.values, axis=0, weights=self.n_frames)

    def deviations(self, layout: Layout) -> np.ndarray:
        """(n_blocks, n_bins) whose sums with signs of `random_signs` are draws of the noise of the mean.

        They have the covariance of the mean as the blocks estimate it, times the `inflation`. NaN for one block.
        """
        n_blocks = len(self)
        if n_blocks < 2:
            return np.full((n_blocks, self.values.shape[1]), np.nan)
        raw = self.values - self.mean
        factors = inflation(raw, layout)
        by_bin = layout.grid["metric"].map(factors).to_numpy(dtype=np.float64)
        scale = np.sqrt(by_bin * n_blocks / (2 * (n_blocks // 2)))
        return np.asarray(raw * (self.n_frames / self.n_frames.sum())[:, None] * scale)


def random_signs(n_blocks: int, n_draws: int, rng: np.random.Generator) -> np.ndarray:
    """(n_draws, n_blocks) of -1 and 1, as many of each, in random order (one 0 where the number is odd).

    Signs keep the size of each deviation. Weights that vary (as of the ordinary bootstrap) would
    make the noise of all bins of a draw large or small together, which it is not.
    """
    half = n_blocks // 2
    signs = np.concatenate([np.ones(half), np.zeros(n_blocks % 2), -np.ones(half)])
    return rng.permuted(np.tile(signs, (n_draws, 1)), axis=1)


def inflation(deviations: np.ndarray, layout: Layout) -> dict[str, float]:
    """Factor by metric on the variance of the mean, since neighbouring blocks are alike; 1 to K.

    The mean square of the difference of neighbours over twice the variance (von Neumann's ratio) is 1 for
    independent blocks and smaller the more alike neighbours are. The factor is that of a first-order
    autoregressive sequence of K blocks with this ratio. Bins are summed, each curve with the same
    weight: of one number K blocks would tell too little.

    Parameters
    ----------
    deviations: (K, n_bins) from the mean.
    """
    ratios, factors = _autoregressive(len(deviations))
    squares = np.add.reduceat(deviations**2, layout.starts, axis=1).sum(axis=0)
    steps = np.add.reduceat(np.diff(deviations, axis=0) ** 2, layout.starts, axis=1).sum(axis=0) / 2.0
    found = {}
    metrics = layout.grid["metric"].to_numpy()[layout.starts]
    for metric in dict.fromkeys(metrics):
        own = (metrics == metric) & (squares > 0)
        ratio = float(np.mean(steps[own] / squares[own])) if own.any() else 1.0
        found[str(metric)] = float(np.interp(ratio, ratios, factors))
    return found


@lru_cache
def _autoregressive(n_blocks: int) -> tuple[np.ndarray, np.ndarray]:
    """Von Neumann's ratio (ascending) and inflation of sequences of correlation 0.99 to 0."""
    correlation = np.linspace(0.99, 0.0, 199)[:, None]
    lag = np.arange(1, n_blocks)
    mean_variance = (1 + 2 * ((1 - lag / n_blocks) * correlation**lag).sum(axis=1)) / n_blocks
    sample_variance = n_blocks / (n_blocks - 1) * (1 - mean_variance)
    factors = np.minimum(mean_variance * n_blocks / sample_variance, n_blocks)
    ratios = (1 - correlation[:, 0]) / sample_variance
    # For two blocks the ratio is 1 whatever the correlation.
    return (ratios, factors) if n_blocks > 2 else (np.array([1.0]), np.array([1.0]))


def read_blocks(table: pd.DataFrame, layout: Layout, source: str) -> dict[tuple[str, str, int], Blocks]:
    """Blocks of each run of a table (columns RUN, block, n_frames and those of curves).

    Raises
    ------
    InputError
        A column missing, or other curves, grids or units than those of the layout.
    """
    for column in (*RUN_KEY, "block", "n_frames", *_GRID, "value"):
        if column not in table.columns:
            raise InputError(source, "columns", list(table.columns), f"a column '{column}'")
    found = {}
    for key, part in table.groupby(RUN_KEY, sort=False):
        part = part.sort_values("block", kind="stable")
        n_blocks, n_bins = part["block"].nunique(), len(layout.grid)
        name = f"blocks of {'/'.join(map(str, key))}"
        if len(part) != n_blocks * n_bins:
            raise InputError(source, name, f"{len(part)} rows", f"{n_blocks} blocks of {n_bins} bins")
        _check_grid(part, layout, n_blocks, source, name)
        values = part["value"].to_numpy(dtype=np.float64).reshape(n_blocks, n_bins)
        found[key] = Blocks(values, part["n_frames"].to_numpy(dtype=np.float64)[::n_bins])
    return found


def _check_grid(part: pd.DataFrame, layout: Layout, n_blocks: int, source: str, name: str) -> None:
    for column in _GRID:
        expected, values = layout.grid[column].to_numpy(), part[column].to_numpy().reshape(n_blocks, -1)
        if column in ("parameter", "x"):
            same = np.allclose(values, expected, rtol=1e-9, atol=1e-9, equal_nan=True)
        else:
            same = bool((values == expected).all())
        if not same:
            raise InputError(source, name, f"another {column}", "the curves of the reference in their order")


def reference_of(table: pd.DataFrame, source: str = "reference blocks") -> tuple[Layout, Blocks]:
    """Layout and blocks of the reference from its table of blocks, one run."""
    if table.empty or len(table[RUN_KEY].drop_duplicates()) != 1:
        raise InputError(source, "runs", len(table[RUN_KEY].drop_duplicates()), "the blocks of one trajectory")
    layout = Layout.of(table[table["block"] == table["block"].iloc[0]], source)
    return layout, next(iter(read_blocks(table, layout, source).values()))
