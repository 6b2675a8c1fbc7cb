"""Total absolute error: analytic values, tables of runs, failed runs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from cgdistill.core.errors import InputError
from cgdistill.structure.tae import average_runs, tae_table, total_absolute_error

X = np.arange(0.05, 10.0, 0.1)


def one_curve(metric, item, values, r_max=np.nan, x=X):
    """Rows of one curve."""
    unit = {"rdf": ("A", "1"), "adf": ("deg", "1/deg"), "cdf": ("A", "1/A")}[metric]
    return pd.DataFrame(
        {"metric": metric, "item": item, "parameter": r_max, "x": x, "x_unit": unit[0]}
        | {"value": np.broadcast_to(values, x.shape), "value_unit": unit[1]}
    )


def run_curves(variant, member, replica, shift):
    """Curves that differ from those of shift 0 by known areas."""
    table = pd.concat(
        [
            one_curve("rdf", "Cho-Cho", 1.0 + shift),
            one_curve("rdf", "Cho-Cl", 2.0 - 2 * shift),
            one_curve("adf", "Cho-Cho-Cho", 0.1 + 0.1 * shift, 6.0),
            one_curve("adf", "Cl-Cl-Cl", 0.1 + 0.2 * shift, 6.0),
            one_curve("adf", "Cho-Cho-Cho", 0.1 + 0.3 * shift, 6.5),
            one_curve("adf", "Cl-Cl-Cl", 0.1 + 0.4 * shift, 6.5),
            one_curve("cdf", "Cho", 0.2 + 0.5 * shift),
        ],
        ignore_index=True,
    )
    return table.assign(variant=variant, member=member, replica=replica)


REFERENCE = run_curves("AA", "AA", 0, 0.0)
RUNS = pd.DataFrame(
    [
        ("T", "seed-1", 1, "finished"),
        ("T", "seed-2", 1, "finished"),
        ("T", "seed-3", 1, "blown up"),
        ("T", "seed-4", 1, "blown up"),
        ("T8", "ensemble", 1, "finished"),
    ],
    columns=["variant", "member", "replica", "status"],
)
CURVES = pd.concat(
    [
        run_curves("T", "seed-1", 1, 0.1),
        run_curves("T", "seed-2", 1, 0.3),
        run_curves("T", "seed-3", 1, 99.0),  # the frames before it blew up
        run_curves("T8", "ensemble", 1, 0.2),
    ]
)


def pick(table, **values):
    """The one row with these values (None: NaN)."""
    for column, value in values.items():
        table = table[table[column].isna() if value is None else table[column] == value]
    assert len(table) == 1
    return table.iloc[0]


def test_constant_difference_is_its_area():
    """0.3 over 10 A."""
    assert total_absolute_error(X, np.full(100, 1.0), np.full(100, 0.7)) == pytest.approx(3.0)


def test_triangle_against_the_integral():
    """|x - 5| over 0..10 has the area 25; the midpoint sum is exact for straight lines between bins."""
    assert total_absolute_error(X, np.zeros(100), X - 5.0) == pytest.approx(25.0)


def test_disjoint_densities_are_two_apart_and_order_does_not_matter():
    """The largest error of two normalised curves."""
    one, two = np.where(X < 4, 1 / 4, 0.0), np.where(X > 5, 1 / 5, 0.0)
    assert total_absolute_error(X, one, two) == pytest.approx(2.0)
    assert total_absolute_error(X, two, one) == pytest.approx(2.0)
    assert total_absolute_error(X, one, one) == 0.0


@pytest.mark.parametrize("x", [X[:-1], X**2, X[::-1]], ids=["short", "not uniform", "descending"])
def test_other_grids_are_refused(x):
    """Rather than broadcast or summed with a wrong width."""
    with pytest.raises(ValueError, match="grid"):
        total_absolute_error(x, np.zeros(100), np.zeros(100))


def test_items_and_overall():
    """Sums per metric; per radius and over all radii for the ADF."""
    table = tae_table(REFERENCE, CURVES, RUNS, {"T8": "T8"})
    row = {"variant": "T8", "replica": 1}
    assert pick(table, **row, metric="rdf", item="Cho-Cl").tae == pytest.approx(4.0)
    assert pick(table, **row, metric="rdf", item="overall").tae == pytest.approx(6.0)
    assert pick(table, **row, metric="adf", item="overall", parameter=6.0).tae == pytest.approx(0.6)
    assert pick(table, **row, metric="adf", item="overall", parameter=6.5).tae == pytest.approx(1.4)
    assert pick(table, **row, metric="adf", item="overall", parameter=None).tae == pytest.approx(2.0)
    assert pick(table, **row, metric="cdf", item="overall").tae == pytest.approx(1.0)
    assert len(table[table["variant"] == "T8"]) == 7 + 5


def test_failed_runs_are_listed_with_their_status():
    """With an error where there were frames, NaN where there were none."""
    table = tae_table(REFERENCE, CURVES, RUNS)
    assert set(table.loc[table["status"] == "blown up", "member"]) == {"seed-3", "seed-4"}
    assert table.loc[table["member"] == "seed-4", "tae"].isna().all()
    assert table.loc[table["member"] == "seed-3", "tae"].notna().all()


def test_summary_leaves_failed_runs_out_and_counts_them():
    """The mean of 0.1 and 0.3 (not of 99), spread with ddof 1, two failed."""
    summary = average_runs(tae_table(REFERENCE, CURVES, RUNS, {"T": "teachers"}), RUNS)
    row = pick(summary, variant="T", metric="rdf", item="Cho-Cho")
    assert row.label == "teachers"
    assert (row["mean"], row["std"]) == pytest.approx((2.0, 2.0 / np.sqrt(2)))
    assert (row.n, row.n_failed, row.n_excluded) == (2, 2, 0)
    excluded = RUNS.assign(status=RUNS["status"].where(RUNS["member"] != "seed-4", "excluded"))
    summary = average_runs(tae_table(REFERENCE, CURVES, excluded), excluded)
    row = pick(summary, variant="T", metric="rdf", item="Cho-Cho")
    assert (row.n, row.n_failed, row.n_excluded) == (2, 2, 1)
    row = pick(summary, variant="T8", metric="adf", item="overall", parameter=None)
    assert row["mean"] == pytest.approx(2.0) and np.isnan(row["std"])
    assert (row.n, row.n_failed) == (1, 0)


def test_variant_of_which_every_run_failed_stays_in_the_summary():
    """n = 0, mean NaN, all counted."""
    runs = RUNS[RUNS["status"] == "blown up"]
    summary = average_runs(tae_table(REFERENCE, CURVES[CURVES["member"] == "seed-3"], runs), runs)
    assert len(summary) == 12
    assert summary["mean"].isna().all() and (summary["n"] == 0).all() and (summary["n_failed"] == 2).all()


def test_tables_that_do_not_match_are_refused():
    """Each would otherwise be a smaller error or a run lost in silence."""
    with pytest.raises(InputError, match=r"T8/ensemble/1: found no curves"):
        tae_table(REFERENCE, CURVES[CURVES["variant"] == "T"], RUNS)
    with pytest.raises(InputError, match=r"T8/ensemble/1: found curves of a run that is not listed"):
        tae_table(REFERENCE, CURVES, RUNS[RUNS["variant"] == "T"])
    with pytest.raises(InputError, match="Cho-Cl.*on one side only"):
        tae_table(REFERENCE, CURVES[CURVES["item"] != "Cho-Cl"])
    moved = CURVES.assign(x=CURVES["x"] + 0.05)
    with pytest.raises(InputError, match="grid of"):
        tae_table(REFERENCE, moved)
    with pytest.raises(InputError, match="x_unit of"):
        tae_table(REFERENCE, CURVES.assign(x_unit="nm"))
    with pytest.raises(InputError, match="T8/ensemble/1 in one table alone"):
        average_runs(tae_table(REFERENCE, CURVES, RUNS), RUNS[RUNS["variant"] == "T"])
