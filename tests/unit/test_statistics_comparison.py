"""Tests between models against known values, and their rates of error on made-up errors."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from cgdistill.core.errors import InputError
from cgdistill.statistics import COMPARISON_COLUMNS, StatisticsSpec, compare_variants
from cgdistill.statistics.comparison import holm
from scipy import stats

SPEC = StatisticsSpec(500, 0.95)
SEEDS = [f"seed-{number}" for number in range(1, 9)]


def tables(errors, failed=(), replicas=1):
    """tae and runs of variants with the given errors by run; several members where the name starts with T_ or S1.

    Runs of the k-th place start from frame 100 + k. ``failed``: (variant, place).
    """
    tae, runs = [], []
    for variant, values in errors.items():
        for place, value in enumerate(values):
            several = variant.startswith(("T_", "S1"))
            member = SEEDS[place // replicas] if several else "ensemble"
            name = {"variant": variant, "member": member, "replica": (place % replicas if several else place) + 1}
            status = "blown up" if (variant, place) in failed else "finished"
            runs.append(name | {"status": status, "number": place})
            value = np.nan if status != "finished" else value
            for item, tae_of in (("A-B", value / 2), ("overall", value)):
                tae.append(name | {"label": f"l{variant}", "metric": "rdf", "item": item, "parameter": np.nan,
                                   "tae": tae_of, "status": status})  # fmt: skip
    return pd.DataFrame(tae), pd.DataFrame(runs)


def kinds_of(tae):
    """Kinds by the start of the name."""
    kinds = {"T_": "teacher", "T8": "teacher_ensemble", "S1": "single", "S8": "ensemble"}
    return {name: kinds[name[:2]] for name in tae["variant"].unique()}


def compare(errors, **options):
    """Comparisons of variants with the given errors."""
    tae, runs = tables(errors, **options)
    return compare_variants(tae, runs, kinds_of(tae), SPEC)


def test_holm_against_known_values():
    """R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm") and p.adjust(c(0.02, 0.02, 0.9), "holm"); NaN does not count."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.02, np.nan, 0.02, 0.9]) == pytest.approx([0.06, np.nan, 0.06, 0.9], nan_ok=True)
    assert holm([0.5, 0.6]) == pytest.approx([1.0, 1.0])
    assert np.isnan(holm([np.nan])).all()


def test_pairs_by_teacher():
    """T and S1 of the same teachers: the paired test on member means, as scipy does it."""
    rng = np.random.default_rng(0)
    teachers = rng.normal(5, 1, 8)
    students = teachers - 0.3 + 0.1 * rng.normal(size=8)
    row = compare({"T_": teachers, "S1a": students}).iloc[0]
    expected = stats.ttest_rel(teachers, students)
    interval = expected.confidence_interval(0.95)
    assert list(compare({"T_": teachers, "S1a": students}).columns) == COMPARISON_COLUMNS
    assert row["test"] == "paired by teacher" and (row["n_a"], row["n_b"]) == (8, 8)
    assert row["p"] == row["p_holm"] == pytest.approx(expected.pvalue)
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((interval.low, interval.high))
    assert row["difference"] == pytest.approx(np.mean(teachers - students))
    assert (row["label_a"], row["label_b"], row["outcome"]) == ("lT_", "lS1a", "worse")


def test_members_of_several_runs_count_once():
    """Two runs of each of four teachers are four units, not eight."""
    values = np.array([1.0, 3.0, 2.0, 4.0, 5.0, 5.0, 1.0, 2.0])
    table = compare({"T_": values, "S8a": values + 1}, replicas=2)
    row = table.iloc[0]
    assert (row["n_a"], row["n_b"], row["test"]) == (4, 8, "Welch")
    means = values.reshape(4, 2).mean(axis=1)
    expected = stats.ttest_ind(means, values + 1, equal_var=False)
    assert row["p"] == pytest.approx(expected.pvalue)


def test_pairs_by_start_frame():
    """T8 and S8 from the same frames, in whatever order the rows stand; without start frames Welch's test."""
    rng = np.random.default_rng(1)
    first = rng.normal(5, 1, 6)
    second = first + 0.2 + 0.05 * rng.normal(size=6)
    tae, runs = tables({"T8": first, "S8a": second})
    shuffled = tae.sample(frac=1, random_state=2), runs.sample(frac=1, random_state=3)
    row = compare_variants(*shuffled, kinds_of(tae), SPEC).iloc[0]
    a, b = (first, second) if row["variant_a"] == "T8" else (second, first)
    assert row["test"] == "paired by start frame" and row["p"] == pytest.approx(stats.ttest_rel(a, b).pvalue)
    unknown = compare_variants(tae, runs.drop(columns="number"), kinds_of(tae), SPEC).iloc[0]
    assert unknown["test"] == "Welch"
    assert unknown["p"] == pytest.approx(stats.ttest_ind(first, second, equal_var=False).pvalue)
    frames = runs.drop(columns="number").assign(start_frame=runs["number"] + 100)
    assert compare_variants(tae, frames, kinds_of(tae), SPEC).iloc[0]["test"] == "paired by start frame"


def test_few_units_have_few_degrees_of_freedom():
    """Welch with two runs on a side: one degree of freedom, where Welch's own would be some seven."""
    eight, two = np.linspace(4, 6, 8), np.array([7.0, 7.2])
    row = compare({"T_": eight, "S8a": two}).iloc[0]
    statistic = stats.ttest_ind(eight, two, equal_var=False).statistic
    assert row["p"] == pytest.approx(2 * stats.t.sf(abs(statistic), 1))
    assert row["outcome"] == "not distinguishable"


def test_one_run_is_not_tested():
    row = compare({"T8": [5.0], "S8a": [1.0, 1.1]}).iloc[0]
    assert row["test"] == "not tested" and np.isnan(row["p"]) and row["outcome"] == "not distinguishable"
    assert row["reason"] == "lT8: one run only" and row["difference"] == pytest.approx(3.95)


def test_blown_up_runs_are_left_out_and_counted():
    """The pair goes with either of its runs; a variant without runs is not tested."""
    values = np.array([1.0, 2.0, 3.0, 4.0, 5.5])
    errors = {"T8": values, "S8a": values + 1 + 0.01 * values, "S8b": values[:2]}
    table = compare(errors, failed=[("T8", 0), ("S8a", 4), ("S8b", 0), ("S8b", 1)])
    row = table.iloc[0]
    assert (row["n_a"], row["n_b"], row["test"]) == (3, 3, "paired by start frame")
    assert row["mean_a"] == pytest.approx(3.0) and row["outcome"] == "better"
    assert "1 of 5 runs of lT8 did not finish and are left out; 1 of 5 runs of lS8a did not finish" in row["reason"]
    assert table.iloc[1]["reason"].startswith("lS8b: no finished run; 1 of 5 runs of lT8")
    assert np.isnan(table.iloc[1]["mean_b"])


def test_nothing_varies():
    """Differences that are all the same: a test cannot divide by their spread of zero."""
    table = compare({"T8": [1.0, 2.0], "S8a": [1.0, 2.0], "S8b": [2.0, 3.0]})
    same, shifted = table.iloc[0], table.iloc[1]
    assert (same["p"], same["outcome"]) == (1.0, "not distinguishable")
    assert (shifted["p"], shifted["outcome"]) == (0.0, "better")


def test_variant_without_kind_is_refused():
    tae, runs = tables({"T8": [1.0, 2.0]})
    with pytest.raises(InputError, match="T8: found no kind"):
        compare_variants(tae, runs, {}, SPEC)


def rates(n_runs, spread, lower, repeats, seed):
    """Share of repeats in which equal models were told apart, and mean share of pairs with the better one that were.

    T and two kinds of S1 with eight members of spread 1; T8 and three S8 with ``n_runs`` of spread ``spread``, of which
    the last is better by ``lower``.
    """
    rng = np.random.default_rng(seed)
    wrong, found = [], []
    for _ in range(repeats):
        errors = {"T_": rng.normal(5, 1, 8)} | {f"S1{name}": rng.normal(5, 1, 8) for name in "ab"}
        errors |= {name: rng.normal(5, spread, n_runs) for name in ("T8", "S8a", "S8b")}
        errors["S8z"] = rng.normal(5 - lower, spread, n_runs)
        table = compare(errors)
        better = (table["variant_a"] == "S8z") | (table["variant_b"] == "S8z")
        told = table["outcome"] != "not distinguishable"
        wrong.append((told & ~better).any() if lower else told.any())
        found.append(told[better].mean())
    return np.mean(wrong), np.mean(found)


@pytest.mark.parametrize(("n_runs", "spread"), [(2, 1.0), (4, 1.0), (8, 0.3)])
def test_rates_of_error(n_runs, spread):
    """Of equal models any pair is told apart in one of twenty repeats at most (0.10 here, as 80 repeats cannot tell
    better). More repeats: benchmarks/error_rates.py.
    """
    wrong, _ = rates(n_runs, spread, 0.0, 80, 5)
    assert wrong <= 0.10


def test_power():
    """A model better by ten standard deviations of its runs is told from all others with eight of them."""
    _, found = rates(8, 0.3, 3.0, 20, 6)
    assert found == 1.0
