"""Noise and intervals against trajectories whose noise is known."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
from cgdistill.core.errors import InputError
from cgdistill.statistics import NOISE_COLUMNS, SUMMARY_COLUMNS, StatisticsSpec, reference_noise, summarise
from cgdistill.statistics.blocks import Blocks, Layout, inflation, random_signs, read_blocks
from cgdistill.statistics.summary import Draws, half_width
from cgdistill.structure.tae import tae_table
from scipy import stats
from statistics_cases import LAYOUT, World, block_table, coverage, curve_table, cut, grid, noise_check

WHITE, BIASED = World(), World(bias=0.3)
SPEC = StatisticsSpec(resamples=200, confidence=0.95)


def reference_table(rng, world=WHITE, layout=None):
    """Curves and blocks of a reference."""
    layout = grid() if layout is None else layout
    blocks = world.reference(rng)
    return curve_table(blocks, layout, "AA", "AA", 0), block_table(blocks, layout, "AA", "AA", 0)


def run_tables(rng, names, world=BIASED):
    """Curves, blocks and list of finished runs."""
    made = [(world.run(rng), name) for name in names]
    runs = pd.DataFrame([(*name, "finished") for name in names], columns=["variant", "member", "replica", "status"])
    return (
        pd.concat([curve_table(blocks, grid(), *name) for blocks, name in made]),
        pd.concat([block_table(blocks, grid(), *name) for blocks, name in made]),
        runs,
    )


def test_layout_holds_items_and_sums():
    """Errors by items and their sums, as structure.tae has them, radii included."""
    parts = [grid("rdf", (3, 4)), grid("adf", (5,)).assign(parameter=6.0), grid("adf", (5,)).assign(parameter=7.5)]
    layout = Layout.of(pd.concat(parts, ignore_index=True))
    values = np.arange(17.0) - 3
    errors = dict(zip(layout.keys, layout.errors(values), strict=True))
    reference = pd.concat(parts, ignore_index=True).assign(variant="AA", member="AA", replica=0, value=0.0)
    model = reference.assign(variant="M", value=values)
    table = tae_table(reference, model)
    assert len(table) == len(errors) == 8
    for row in table.itertuples():
        key = (row.metric, row.item, None if np.isnan(row.parameter) else row.parameter)
        assert errors[key] == pytest.approx(row.tae)


def test_signs_give_the_covariance_of_the_mean():
    """Draws of independent blocks have the sample covariance over K; odd numbers of blocks too."""
    rng = np.random.default_rng(0)
    for n_blocks in (2, 7, 10):
        raw = rng.normal(size=(n_blocks, 3))
        deviations = raw - raw.mean(axis=0)
        scale = np.sqrt(1 / (n_blocks * 2 * (n_blocks // 2)))
        drawn = random_signs(n_blocks, 200_000, rng) @ deviations * scale
        expected = np.cov(raw, rowvar=False) / n_blocks
        assert np.cov(drawn, rowvar=False) == pytest.approx(expected, abs=0.02 * np.abs(expected).max())


def test_deviations_are_scaled_so():
    """Their draws have the standard error of the mean of white noise: 1 over the root of 100 frames."""
    rng = np.random.default_rng(1)
    drawn = [random_signs(10, 50, rng) @ World().run(rng).deviations(LAYOUT) for _ in range(40)]
    assert np.std(drawn) == pytest.approx(0.1, rel=0.05)


def test_inflation_of_autoregressive_blocks():
    """Against the variance of the mean over many sequences; 1 for independent blocks, at most their number."""
    rng = np.random.default_rng(2)
    correlation, n_blocks, n_bins = 0.5, 10, 4000
    layout = Layout.of(grid("rdf", (n_bins,)))
    state = rng.normal(size=n_bins)
    sequence = []
    for _ in range(n_blocks):
        state = correlation * state + np.sqrt(1 - correlation**2) * rng.normal(size=n_bins)
        sequence.append(state)
    values = np.array(sequence)
    deviations = values - values.mean(axis=0)
    truth = np.mean(values.mean(axis=0) ** 2) * n_blocks / values.var(axis=0, ddof=1).mean()
    assert inflation(deviations, layout)["rdf"] == pytest.approx(truth, rel=0.1)
    white = rng.normal(size=(n_blocks, n_bins))
    assert inflation(white - white.mean(axis=0), layout)["rdf"] == pytest.approx(1.0, abs=0.1)
    drift = np.linspace(-1, 1, n_blocks)[:, None] * np.ones(n_bins)
    assert inflation(drift, layout)["rdf"] == n_blocks
    assert inflation(np.zeros((n_blocks, n_bins)), layout)["rdf"] == pytest.approx(1.0)
    assert inflation(white[:2] - white[:2].mean(axis=0), layout)["rdf"] == 1.0


@pytest.mark.parametrize(
    ("world", "low", "high", "beyond"),
    [(World(), 0.95, 1.05, 0.11), (World(memory=0.9, slow=0.5), 0.9, 1.15, 0.2)],
    ids=["independent frames", "19 frames per uncorrelated one"],
)
def test_noise_of_a_perfect_model(world, low, high, beyond):
    """Predicted noise against the mean TAE of two samples of one distribution, and how often its upper quantile
    (0.95) is exceeded. Of the correlated run only five uncorrelated frames are left, in blocks half as long as
    the correlation: hence more often than 0.05. 150 repeats cannot tell 0.05 from 0.08.
    """
    ratio, rate = noise_check(world, 150, SPEC)
    assert (ratio > low).all() and (ratio < high).all()
    assert (rate < beyond).all()
    assert rate.max() > 0.005


@pytest.mark.parametrize("world", [World(bias=0.2), World(memory=0.8, slow=0.3, bias=0.5, between=0.15)])
def test_intervals_hold_the_mean(world):
    """Nominal 0.95 with eight runs; 150 repeats give the rate within 0.02."""
    rates = coverage(world, 8, 150, SPEC)
    assert (rates >= 0.90).all(), rates


def test_one_run_holds_its_own_sampling_only():
    """Covered while runs differ by sampling alone; not once they differ by more, which one run cannot show."""
    same = coverage(World(bias=0.5), 1, 100, SPEC)
    differing = coverage(World(bias=0.5, between=0.5), 1, 100, SPEC)
    assert same.min() > 0.85 and differing.max() < 0.7


def test_summary_of_variants():
    """Columns, intervals around the mean, what they are of, failed variants, and that members are the unit."""
    rng = np.random.default_rng(4)
    reference, reference_blocks = reference_table(rng)
    names = [("A", "seed-1", 1), ("A", "seed-1", 2), ("A", "seed-2", 1), ("A", "seed-2", 2), ("B", "ensemble", 1)]
    curves, blocks, runs = run_tables(rng, names)
    runs.loc[len(runs)] = ["C", "ensemble", 1, "blown up"]
    tae = tae_table(reference, curves, runs, {"A": "a"})
    table = summarise(tae, runs, reference_blocks, blocks, SPEC, 7)
    assert list(table.columns) == SUMMARY_COLUMNS
    assert list(table["variant"].unique()) == ["A", "B", "C"]
    first, second, third = (table[table["variant"] == name] for name in "ABC")
    assert set(first["ci_of"]) == {"replicas and blocks"} and set(second["ci_of"]) == {"blocks of one run"}
    for part in (first, second):
        assert (part["ci_low"] < part["mean"]).all() and (part["mean"] < part["ci_high"]).all()
        assert (part["noise"] < part["noise_high"]).all()
    assert third[["mean", "ci_low", "ci_high", "noise"]].isna().all(axis=None) and (third["n_failed"] == 1).all()
    pd.testing.assert_frame_equal(table, summarise(tae, runs, reference_blocks, blocks, SPEC, 7))
    other = summarise(tae, runs, reference_blocks, blocks, SPEC, 8)
    assert (other["ci_high"] != table["ci_high"]).any() and np.allclose(
        other["noise"], table["noise"], rtol=0.1, equal_nan=True
    )


def test_members_are_the_unit():
    """Two members far apart: an interval over their four runs as if independent would be three times too narrow."""
    rng = np.random.default_rng(5)
    reference, reference_blocks = reference_table(rng, World(fast=1e-3))
    names = [("A", f"seed-{member}", replica) for member in (1, 2) for replica in (1, 2)]
    parts = [run_tables(rng, [name], World(fast=1e-3, bias=float(name[1][-1]))) for name in names]
    curves, blocks, runs = (pd.concat([part[i] for part in parts], ignore_index=True) for i in range(3))
    tae = tae_table(reference, curves, runs)
    row = summarise(tae, runs, reference_blocks, blocks, SPEC, 1).iloc[0]
    values = tae[(tae["item"] == "I0")].groupby("member")["tae"].mean()
    half = 12.706 * values.std(ddof=1) / np.sqrt(2)  # Student's t of one degree of freedom
    assert row["ci_high"] - row["mean"] == pytest.approx(half, rel=0.01)
    assert row["ci_low"] == 0.0


def test_noise_of_the_reference():
    """Halves of white noise are like random ones; a drift sets them apart and inflates the variance."""
    rng = np.random.default_rng(6)
    white = reference_noise(reference_table(rng)[1], SPEC, 1)
    assert list(white.columns) == NOISE_COLUMNS
    assert list(white["item"]) == ["I0", "I1", "overall"]
    assert (white["n_frames"] == 300).all() and (white["statistical_inefficiency"] == 1.5).all()
    # sqrt(2/pi) x the standard deviation of the difference of halves x the width of all bins
    expected = np.sqrt(2 / np.pi) * np.sqrt(2 / 150) * 0.1 * np.array([60, 40, 100])
    assert white["random_halves"].to_numpy() == pytest.approx(expected, rel=0.15)
    assert white["halves"].to_numpy() == pytest.approx(expected, rel=0.25)
    frames = World().frames(300, rng) + 0.6 * np.linspace(-1, 1, 300)[:, None]
    drifting = reference_noise(block_table(cut(frames), grid(), "AA", "AA", 0), SPEC, 1)
    assert (drifting["halves"] > drifting["random_halves_high"]).all()
    assert (drifting["inflation"] > 3 * white["inflation"]).all()


def test_blocks_that_do_not_fit_are_refused():
    rng = np.random.default_rng(7)
    reference, reference_blocks = reference_table(rng)
    curves, blocks, runs = run_tables(rng, [("A", "m", 1)])
    tae = tae_table(reference, curves, runs)
    for wrong, match in (
        (blocks.assign(x=blocks["x"] + 0.01), "another x"),
        (blocks.assign(value_unit="1/A"), "another value_unit"),
        (blocks.iloc[1:], "999 rows"),
        (blocks.drop(columns="n_frames"), "a column 'n_frames'"),
        (blocks.assign(variant="B"), "A/m/1: found no blocks"),
    ):
        with pytest.raises(InputError, match=match):
            summarise(tae, runs, reference_blocks, wrong, SPEC, 1)
    with pytest.raises(InputError, match="blocks of one trajectory"):
        summarise(tae, runs, pd.concat([reference_blocks, blocks]), blocks, SPEC, 1)
    with pytest.raises(InputError, match="at least two"):
        reference_noise(reference_blocks[reference_blocks["block"] == 0], SPEC, 1)


def test_run_of_one_block_has_no_noise_of_its_own():
    """Nor an interval, which would count it as exact."""
    rng = np.random.default_rng(8)
    reference, reference_blocks = reference_table(rng)
    one = Blocks(World(bias=0.3).run(rng).mean[None], np.array([1.0]))
    runs = pd.DataFrame({"variant": ["A"], "member": ["m"], "replica": [1], "status": ["finished"]})
    tae = tae_table(reference, curve_table(one, grid(), "A", "m", 1), runs)
    table = summarise(tae, runs, reference_blocks, block_table(one, grid(), "A", "m", 1), SPEC, 1)
    assert table[["noise", "noise_high", "ci_low", "ci_high"]].isna().all(axis=None)


def test_spec_refuses_what_makes_no_sense():
    good = {"blocks": 10, "resamples": 500, "confidence": 0.95}
    assert StatisticsSpec.from_config(good) == StatisticsSpec(500, 0.95)
    assert StatisticsSpec.from_config(good).level == pytest.approx(0.05)
    for key, value in (("resamples", 10), ("confidence", 1.0), ("confidence", 95)):
        with pytest.raises(InputError, match=f"statistics.{key}"):
            StatisticsSpec.from_config(good | {key: value})
    with pytest.raises(InputError, match="a key 'resamples'"):
        StatisticsSpec.from_config({"blocks": 10, "confidence": 0.95})


def test_large_variant_takes_seconds():
    """64 runs of 10 blocks of 3,000 bins, 200 of the 1,000 resamples of a paper's run: a fifth of its time."""
    rng = np.random.default_rng(9)
    layout = Layout.of(grid("rdf", (300,) * 10))
    reference = Blocks(rng.normal(size=(10, 3000)), np.full(10, 10.0))
    runs = [Blocks(rng.normal(size=(10, 3000)), np.full(10, 10.0)) for _ in range(64)]
    from cgdistill.statistics.summary import resample

    start = time.perf_counter()
    resample(layout, reference, runs, SPEC, 1)
    assert time.perf_counter() - start < 20
    assert len(read_blocks(block_table(runs[0], layout.grid, "A", "m", 1), layout, "x")) == 1


@pytest.mark.parametrize(("own", "expected"), [(0.5, 1.0), (1.0, 1.0), (9.0, 9.0)])
def test_noise_of_frames_counts_once(own, expected):
    """Four runs whose TAE has variance 1: noise of their own frames is in it already, unless it is larger still."""
    values = np.array([[-1.0], [-1.0], [1.0], [1.0]]) * np.sqrt(0.75) + 5.0
    draws = Draws(np.zeros(1), np.full((4, 1), own), np.zeros(1), np.zeros(1))
    runs = [("S8", "ensemble", replica) for replica in range(4)]
    half, several = half_width(values, runs, draws, [10] * 4, 10, 0.95)
    parts = [(1.0 / 4, 3), (max(own - 1.0, 0.0) / 4, 36)]
    freedom = sum(part for part, _ in parts) ** 2 / sum(part**2 / degrees for part, degrees in parts)
    assert several
    assert half[0] == pytest.approx(stats.t.ppf(0.975, freedom) * np.sqrt(expected / 4))
