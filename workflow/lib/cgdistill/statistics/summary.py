"""Means of the total absolute error (TAE) of a variant with their intervals and the level of noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from ..core.errors import InputError
from ..core.vocabulary import RUN_KEY, RunStatus
from ..structure.tae import SUMMARY_COLUMNS as MEAN_COLUMNS
from ..structure.tae import average_runs, curve_keys
from .blocks import Blocks, Layout, random_signs, read_blocks, reference_of
from .spec import StatisticsSpec

SUMMARY_COLUMNS = [*MEAN_COLUMNS, "ci_low", "ci_high", "ci_of", "noise", "noise_high"]
SEVERAL, ONE = "replicas and blocks", "blocks of one run"
#: Draws worked on at once: small enough for the processor's cache.
_CHUNK = 50


@dataclass(frozen=True)
class Draws:
    """TAE of one variant under resampling; all arrays (n_rows,) but for ``of_runs`` (n_runs, n_rows).

    Attributes
    ----------
    reference_variance: of the mean over runs, when the reference is resampled.
    of_runs: variance of the TAE of each run, when the blocks of the run are resampled.
    noise, noise_high: mean and upper quantile of the mean over runs, when nothing but noise sets runs and
        reference apart.
    """

    reference_variance: np.ndarray
    of_runs: np.ndarray
    noise: np.ndarray
    noise_high: np.ndarray


def resample(layout: Layout, reference: Blocks, runs: Sequence[Blocks], spec: StatisticsSpec, seed: int) -> Draws:
    """Resample the blocks of the runs of one variant and of the reference.

    Runs of one block have no noise that could be seen: NaN.
    """
    rng = np.random.default_rng(seed)
    deviations = [blocks.deviations(layout).astype(np.float32) for blocks in runs]
    offsets = [(blocks.mean - reference.mean).astype(np.float32) for blocks in runs]
    base = reference.deviations(layout).astype(np.float32)
    widths = layout.widths.astype(np.float32)
    by_reference, by_noise, by_run = [], [], []
    for start in range(0, spec.resamples, _CHUNK):
        n = min(_CHUNK, spec.resamples - start)
        shared = random_signs(len(reference), n, rng).astype(np.float32) @ base
        sums = np.zeros((2, n, len(layout.keys)))
        own = np.empty((len(runs), n, len(layout.keys)))
        for run, (deviation, offset) in enumerate(zip(deviations, offsets, strict=True)):
            drawn = random_signs(len(deviation), n, rng).astype(np.float32) @ deviation
            sums[0] += np.abs(offset - shared) @ widths
            sums[1] += np.abs(drawn - shared) @ widths
            own[run] = np.abs(offset + drawn) @ widths
        by_reference.append(sums[0] / len(runs))
        by_noise.append(sums[1] / len(runs))
        by_run.append(own)
    noise = np.concatenate(by_noise)
    return Draws(
        np.concatenate(by_reference).var(axis=0, ddof=1),
        np.concatenate(by_run, axis=1).var(axis=1, ddof=1),
        noise.mean(axis=0),
        np.quantile(noise, spec.confidence, axis=0),
    )


def summarise(
    tae: pd.DataFrame,
    runs: pd.DataFrame,
    reference_blocks: pd.DataFrame,
    blocks: pd.DataFrame,
    spec: StatisticsSpec,
    seed: int,
) -> pd.DataFrame:
    """Mean, spread, interval and noise of the TAE over the finished runs of each variant.

    Parameters
    ----------
    tae: table of `structure.tae.tae_table`.
    runs: columns variant, member, replica, status.
    reference_blocks, blocks: curves of the blocks of the reference and of every finished run.
    seed: of the resampling; the same seed gives the same table.

    Returns
    -------
    Columns `SUMMARY_COLUMNS`. ``ci_low`` and ``ci_high`` bound the mean TAE that runs like these would have
    against a reference like this one. ``ci_of`` says what they hold: ``replicas and blocks``, or
    ``blocks of one run``, where nothing tells how far another run would be off. ``noise`` and ``noise_high`` are mean
    and upper quantile (``spec.confidence``) of what a perfect model would have with runs as noisy as these.

    Raises
    ------
    InputError
        What `structure.tae.average_runs` refuses, or finished runs without blocks.
    """
    layout, reference = reference_of(reference_blocks)
    by_run = read_blocks(blocks, layout, "blocks") if len(blocks) else {}
    means = average_runs(tae, runs)
    rows = {key: row for row, key in enumerate(layout.keys)}
    order = np.array([rows.get(key, -1) for key in curve_keys(means)])
    if (order < 0).any():
        raise InputError("reference blocks", "curves", "curves missing", "those of the errors")
    parts = []
    for variant, part in means.groupby("variant", sort=False):
        finished = tae[(tae["variant"] == variant) & (tae["status"] == RunStatus.FINISHED)]
        listed = list(finished[RUN_KEY].drop_duplicates().itertuples(index=False, name=None))
        missing = ["/".join(map(str, key)) for key in listed if key not in by_run]
        if missing:
            raise InputError("blocks", missing[0], "no blocks", "blocks of each finished run")
        if not listed:
            parts.append(part.assign(ci_low=np.nan, ci_high=np.nan, ci_of="", noise=np.nan, noise_high=np.nan))
            continue
        values = _values(finished, layout.keys, listed)
        draws = resample(layout, reference, [by_run[key] for key in listed], spec, seed)
        sizes = [len(by_run[key]) for key in listed]
        half, several = half_width(values, listed, draws, sizes, len(reference), spec.confidence)
        place = order[part.index]
        parts.append(
            part.assign(
                ci_low=np.maximum(part["mean"] - half[place], 0.0),
                ci_high=part["mean"] + half[place],
                ci_of=SEVERAL if several else ONE,
                noise=draws.noise[place],
                noise_high=draws.noise_high[place],
            )
        )
    return pd.concat(parts)[SUMMARY_COLUMNS]


def _values(finished: pd.DataFrame, keys: Sequence, listed: Sequence[tuple]) -> np.ndarray:
    """(n_runs, n_rows) TAE of the finished runs."""
    place = {key: number for number, key in enumerate(listed)}
    row = {key: number for number, key in enumerate(keys)}
    values = np.full((len(listed), len(keys)), np.nan)
    names = finished[RUN_KEY].itertuples(index=False, name=None)
    for name, key, tae in zip(names, curve_keys(finished), finished["tae"], strict=True):
        values[place[name], row[key]] = tae
    return values


def half_width(
    values: np.ndarray,
    runs: Sequence[tuple],
    draws: Draws,
    n_blocks: Sequence[int],
    n_reference: int,
    confidence: float,
) -> tuple[np.ndarray, bool]:
    """Half the width of the interval of the mean over runs.

    The unit is the member where there are several, else the run. The spread of units holds the noise of
    their frames already; that noise is added only where units differ by less than it. Student's t with the
    degrees of freedom of Welch and Satterthwaite.

    Parameters
    ----------
    values: (n_runs, n_rows) TAE.
    runs: variant, member and replica of each run.
    n_blocks: of each run; ``n_reference``: of the reference.

    Returns
    -------
    (n_rows,) half widths, and whether there are several units. NaN where nothing varies, or where the
    only run is one block.
    """
    members = [key[1] for key in runs]
    groups = members if len(set(members)) > 1 else list(range(len(runs)))
    names = list(dict.fromkeys(groups))
    shares = np.array([[group == name for group in groups] for name in names], dtype=np.float64)
    shares /= shares.sum(axis=1, keepdims=True)
    units, n = shares @ values, len(names)
    own = (shares**2 @ draws.of_runs).mean(axis=0)
    if n > 1:
        own = np.nan_to_num(own)
    between = units.var(axis=0, ddof=1) if n > 1 else np.zeros(values.shape[1])
    parts = [
        (between / n, max(n - 1, 1)),
        (np.maximum(own - between, 0.0) / n, max(sum(n_blocks) - len(n_blocks), 1)),
        (np.nan_to_num(draws.reference_variance), max(n_reference - 1, 1)),
    ]
    variance = np.sum([part for part, _ in parts], axis=0)
    spread = np.sum([part**2 / freedom for part, freedom in parts], axis=0)
    freedom = np.divide(variance**2, spread, out=np.full_like(variance, np.inf), where=spread > 0)
    half = stats.t.ppf(0.5 + confidence / 2, freedom) * np.sqrt(variance)
    return np.where(variance > 0, half, np.nan), n > 1
