"""Total absolute error between the curves of a model and of the reference.

For two curves on one uniform grid (Olowookere et al., arXiv 2510.26650)::

    TAE(reference, model) = sum_i |model(x_i) - reference(x_i)| dx

in A for the RDF (which is dimensionless), and dimensionless for ADF and CDF (densities per degree and
per Angstrom, so that it lies between 0 and 2). "overall" is the sum over the items of a metric; where curves have a
parameter (the radius of an ADF) it is given per value and, with ``parameter`` NaN, over all values.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ..core.errors import InputError
from ..core.vocabulary import CURVE_KEY, OVERALL, RUN_KEY, RunStatus

TAE_COLUMNS = ["variant", "label", "member", "replica", *CURVE_KEY, "tae", "status"]
SUMMARY_COLUMNS = ["variant", "label", *CURVE_KEY, "mean", "std", "n", "n_failed", "n_excluded"]


#: Metric, item and parameter (None: no parameter).
CurveName = tuple[str, str, float | None]


def total_absolute_error(x: np.ndarray, reference: np.ndarray, model: np.ndarray) -> float:
    """Sum over the grid of the absolute difference times the spacing.

    Parameters
    ----------
    x: (n_bins,) uniform grid, two points at least.
    reference, model: (n_bins,) values on it.

    Returns
    -------
    In the unit of x times the unit of the values.

    Raises
    ------
    ValueError
        Other lengths, or a grid that is not uniform.
    """
    x, reference, model = (np.asarray(array, dtype=np.float64) for array in (x, reference, model))
    if x.ndim != 1 or len(x) < 2 or reference.shape != x.shape or model.shape != x.shape:
        raise ValueError(f"grid {x.shape}, reference {reference.shape} and model {model.shape}: one grid needed")
    steps = np.diff(x)
    if steps[0] <= 0 or not np.allclose(steps, steps[0], rtol=1e-6):
        raise ValueError("the total absolute error needs a uniform ascending grid")
    return float(np.abs(model - reference).sum() * (x[-1] - x[0]) / (len(x) - 1))


def tae_table(
    reference: pd.DataFrame,
    curves: pd.DataFrame,
    runs: pd.DataFrame | None = None,
    labels: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Errors of each run: one row per metric, item and parameter, and the ``overall`` rows.

    Parameters
    ----------
    reference:
        Curves of the reference, one run.
    curves:
        Curves of any number of runs.
    runs:
        Columns variant, member, replica, status. A run that is not finished keeps its status; where it
        has no curves, its rows hold NaN. Without the table every run with curves counts as finished.
    labels:
        Label of each variant; the variant's own name where absent.

    Raises
    ------
    InputError
        Grids or units that differ from the reference's, curves missing or too many, curves of a run that
        is not listed, a finished run without curves.
    """
    expected = _curves_of(reference, "reference")
    by_run = {key: part for key, part in curves.groupby(RUN_KEY, sort=True)}
    status = _status(by_run, runs)
    rows = []
    for key, state in status.items():
        name = "/".join(map(str, key))
        if key in by_run:
            errors = _errors(expected, _curves_of(by_run[key], name), name)
        elif state == RunStatus.FINISHED:
            raise InputError("curves", name, "no curves", "curves of each finished run")
        else:
            errors = dict.fromkeys(expected, np.nan)
        variant, member, replica = key
        label = (labels or {}).get(str(variant), variant)
        rows += [(variant, label, member, replica, *curve, tae, state) for curve, tae in _with_overall(errors).items()]
    return pd.DataFrame(rows, columns=TAE_COLUMNS)


def average_runs(tae: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Mean and spread over the finished runs of each variant; failed runs are counted.

    `statistics.summarise` adds intervals and the level of noise.

    Parameters
    ----------
    tae: table of `tae_table`.
    runs: columns variant, member, replica, status; ``n_failed`` counts the rows that are not finished, ``n_excluded``
        those of them whose model is not to be used.

    Returns
    -------
    Columns `SUMMARY_COLUMNS`; ``std`` is that of a sample (ddof 1; NaN for one run), ``mean`` is NaN where no
    run finished.

    Raises
    ------
    InputError
        The runs of ``tae`` that finished are not the finished runs of ``runs``.
    """
    n_failed = (runs["status"] != RunStatus.FINISHED).groupby(runs["variant"]).sum()
    n_excluded = (runs["status"] == RunStatus.EXCLUDED).groupby(runs["variant"]).sum()
    finished = runs.loc[runs["status"] == RunStatus.FINISHED, RUN_KEY].itertuples(index=False, name=None)
    averaged = tae.loc[tae["status"] == RunStatus.FINISHED, RUN_KEY].itertuples(index=False, name=None)
    unmatched = set(finished) ^ set(averaged)
    if unmatched:
        names = ", ".join(sorted("/".join(map(str, key)) for key in unmatched))
        raise InputError("runs", "finished runs", f"{names} in one table alone", "the same runs as in the errors")
    rows = []
    for key, part in tae.groupby(["variant", "label", *CURVE_KEY], sort=False, dropna=False):
        values = part.loc[part["status"] == RunStatus.FINISHED, "tae"].to_numpy(dtype=np.float64)
        mean = values.mean() if len(values) else np.nan
        std = values.std(ddof=1) if len(values) > 1 else np.nan
        counts = int(n_failed.get(key[0], 0)), int(n_excluded.get(key[0], 0))
        rows.append((*key, mean, std, len(values), *counts))
    return pd.DataFrame(rows, columns=SUMMARY_COLUMNS)


def curve_keys(table: pd.DataFrame) -> list[CurveName]:
    """Metric, item and parameter (None: no parameter) of each row of a table of curves or errors."""
    parameters = table["parameter"].astype(object).where(table["parameter"].notna(), None)
    return list(zip(table["metric"], table["item"], parameters, strict=True))


def _curves_of(table: pd.DataFrame, name: str) -> dict[tuple, pd.DataFrame]:
    """Curves of one run by metric, item and parameter."""
    if len(table[RUN_KEY].drop_duplicates()) != 1:
        raise InputError(name, "runs", len(table[RUN_KEY].drop_duplicates()), "the curves of one run")
    return {key: table.iloc[rows] for key, rows in _positions(curve_keys(table)).items()}


def _positions(keys: list[tuple]) -> dict[tuple, list[int]]:
    """Rows of each key."""
    found: dict[tuple, list[int]] = {}
    for row, key in enumerate(keys):
        found.setdefault(key, []).append(row)
    return found


def _status(by_run: Mapping, runs: pd.DataFrame | None) -> dict[tuple, str]:
    """Status of each run, listed or with curves."""
    if runs is None:
        return dict.fromkeys(by_run, RunStatus.FINISHED)
    listed = dict(zip(runs[RUN_KEY].itertuples(index=False, name=None), runs["status"], strict=True))
    for key in by_run:
        if key not in listed:
            raise InputError("runs", "/".join(map(str, key)), "curves of a run that is not listed", "a row for it")
    return listed


def _errors(expected: Mapping, found: Mapping, name: str) -> dict[tuple, float]:
    """Error of each curve of one run."""
    if set(found) != set(expected):
        unmatched = sorted(map(str, set(found) ^ set(expected)))
        raise InputError(name, "curves", f"{', '.join(unmatched)} on one side only", "the curves of the reference")
    errors = {}
    for key, reference in expected.items():
        model = found[key]
        x = reference["x"].to_numpy()
        if len(model) != len(x) or not np.allclose(model["x"], x, rtol=0, atol=1e-9 * np.ptp(x)):
            raise InputError(name, f"grid of {key}", _extent(model), f"{_extent(reference)}, as the reference")
        for column in ("x_unit", "value_unit"):
            if set(model[column]) != set(reference[column]):
                raise InputError(name, f"{column} of {key}", set(model[column]), set(reference[column]))
        errors[key] = total_absolute_error(x, reference["value"].to_numpy(), model["value"].to_numpy())
    return errors


def _extent(curve: pd.DataFrame) -> str:
    return f"{len(curve)} points from {curve['x'].min():g} to {curve['x'].max():g}"


def _with_overall(errors: Mapping[tuple, float]) -> dict[tuple, float]:
    """The errors and their sums per metric, and per value of the parameter where there is one (NaN: no parameter)."""
    sums: dict[tuple, float] = {}
    for (metric, _, parameter), tae in errors.items():
        for at in {parameter, None}:
            sums[metric, OVERALL, at] = sums.get((metric, OVERALL, at), 0.0) + tae
    every = {**errors, **sums}
    return {(metric, item, np.nan if at is None else at): tae for (metric, item, at), tae in every.items()}
