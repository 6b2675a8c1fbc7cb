"""What sampling alone makes of the total absolute error (TAE).

Two finite trajectories of one and the same ensemble have different curves, so that a perfect model has a
TAE above zero. Assumptions: the noise of a curve is normal with the covariance that the blocks of its
own trajectory show (`blocks`), and the noise of model and reference is independent.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..core.errors import InputError
from ..core.vocabulary import CURVE_KEY
from .blocks import Blocks, inflation, random_signs, reference_of
from .spec import StatisticsSpec

NOISE_COLUMNS = [
    *CURVE_KEY, "halves", "random_halves", "random_halves_high", "inflation", "n_frames",
    "statistical_inefficiency",
]  # fmt: skip


def reference_noise(reference_blocks: pd.DataFrame, spec: StatisticsSpec, seed: int) -> pd.DataFrame:
    """TAE of the reference against itself.

    Parameters
    ----------
    reference_blocks: columns RUN, block, n_frames, statistical_inefficiency and those of curves.

    Returns
    -------
    One row per metric, item and parameter, and the ``overall`` sums; columns `NOISE_COLUMNS`. ``halves``: first half of
    the blocks against the second; ``random_halves``: mean of the same over random halves of the blocks, as
    if they were independent, and its upper quantile (``spec.confidence``). Halves far above it say that the
    blocks are shorter than the correlation time, or that the reference drifts. ``inflation``: of the
    variance of the mean, from how alike neighbouring blocks are (1: independent).

    Raises
    ------
    InputError
        Fewer than two blocks.
    """
    layout, blocks = reference_of(reference_blocks)
    n_blocks = len(blocks)
    if n_blocks < 2:
        raise InputError("reference", "blocks", n_blocks, "at least two, or there is no noise to be seen")
    halves = np.concatenate([np.ones(n_blocks // 2), np.zeros(n_blocks % 2), -np.ones(n_blocks // 2)])
    signs = random_signs(n_blocks, spec.resamples, np.random.default_rng(seed))
    draws = layout.errors(_half_differences(blocks, signs))
    table = pd.DataFrame(layout.keys, columns=CURVE_KEY).astype({"parameter": float})
    inefficiency = reference_blocks.groupby("metric")["statistical_inefficiency"].first()
    return table.assign(
        halves=layout.errors(_half_differences(blocks, halves)),
        random_halves=draws.mean(axis=0),
        random_halves_high=np.quantile(draws, spec.confidence, axis=0),
        inflation=table["metric"].map(inflation(blocks.values - blocks.mean, layout)),
        n_frames=int(blocks.n_frames.sum()),
        statistical_inefficiency=table["metric"].map(inefficiency),
    )[NOISE_COLUMNS]


def _half_differences(blocks: Blocks, signs: np.ndarray) -> np.ndarray:
    """Mean curve of the blocks of sign 1 less that of sign -1."""
    plus, minus = (signs > 0) * blocks.n_frames, (signs < 0) * blocks.n_frames
    weights = plus / plus.sum(axis=-1, keepdims=True) - minus / minus.sum(axis=-1, keepdims=True)
    return np.asarray(weights @ blocks.values)
