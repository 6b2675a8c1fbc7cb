"""Tests between models: is the mean TAE of one below that of the other?

The unit is the member (teacher, or student of one teacher) where a variant has several, else the run. Units are
paired by teacher where both variants have the same members, and by start frame where both are one
model whose runs started from the same frames; otherwise Welch's test is used. Values of p are corrected
after Holm (Scand. J. Statist. 1979, 6, 65) over all pairs of models of a metric.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats

from ..core.errors import InputError
from ..core.vocabulary import OVERALL, RUN_KEY, ModelKind, RunStatus
from .spec import StatisticsSpec

COMPARISON_COLUMNS = [
    "metric", "variant_a", "label_a", "variant_b", "label_b", "test", "n_a", "n_b", "mean_a", "mean_b", "difference",
    "ci_low", "ci_high", "p", "p_holm", "outcome", "reason",
]  # fmt: skip
BETTER, WORSE, SAME = "better", "worse", "not distinguishable"
BY_TEACHER, BY_START, WELCH, NO_TEST = "paired by teacher", "paired by start frame", "Welch", "not tested"
#: With fewer units on a side Welch's degrees of freedom are too many at the small levels of Holm's
#: correction; those of the smaller side hold whatever the variances.
_FEW = 4


@dataclass(frozen=True)
class Units:
    """What is compared of a variant.

    Attributes
    ----------
    of_members: the units are members, else runs.
    names: names of all members, or start frames of all runs, blown up or not; None where unknown.
    n_runs, n_failed: runs that finished and that did not, or were not made.
    """

    variant: str
    label: str
    of_members: bool
    names: frozenset | None
    n_runs: int
    n_failed: int


def compare_variants(
    tae: pd.DataFrame, runs: pd.DataFrame, kinds: Mapping[str, str], spec: StatisticsSpec
) -> pd.DataFrame:
    """Every pair of variants, per metric, by the overall TAE.

    Parameters
    ----------
    tae: table of `structure.tae.tae_table` of all variants.
    runs: columns variant, member, replica, status, and ``number`` (or ``start_frame``): runs of the same started
        from the same frame.
    kinds: `ModelKind` by variant.

    Returns
    -------
    Columns `COMPARISON_COLUMNS`. ``difference`` is ``mean_a - mean_b`` over the units compared, its interval is not
    corrected for the number of pairs; ``outcome`` is of a against b (``better``: lower TAE), by ``p_holm``
    and the level ``1 - spec.confidence``. Runs that did not finish have no part in it; ``reason`` counts them.

    Raises
    ------
    InputError
        A variant without a kind.
    """
    names = list(tae["variant"].drop_duplicates())
    for name in names:
        if name not in kinds:
            raise InputError("kinds", name, "no kind", "the kind of each variant")
    units = {name: _units(tae, runs, name, kinds[name]) for name in names}
    overall = tae[(tae["item"] == OVERALL) & tae["parameter"].isna() & (tae["status"] == RunStatus.FINISHED)]
    rows = []
    for metric in tae["metric"].drop_duplicates():
        own = overall[overall["metric"] == metric]
        values = {name: _values(own[own["variant"] == name], runs, units[name]) for name in names}
        part = [_compare(units[a], units[b], values[a], values[b], spec) for a, b in combinations(names, 2)]
        corrected = holm([row["p"] for row in part])
        rows += [{"metric": metric, **row, "p_holm": p} for row, p in zip(part, corrected, strict=True)]
    table = pd.DataFrame(rows, columns=COMPARISON_COLUMNS)
    significant = table["p_holm"] <= spec.level
    table["outcome"] = np.where(significant, np.where(table["difference"] < 0, BETTER, WORSE), SAME)
    tested = table["test"] != NO_TEST
    table.loc[tested, "reason"] = [f"p = {p:.2g} after Holm's correction" for p in table.loc[tested, "p_holm"]]
    failed = [
        f"{_failed(units[a])}{_failed(units[b])}" for a, b in zip(table["variant_a"], table["variant_b"], strict=True)
    ]
    table["reason"] = [(reason + text).removeprefix("; ") for reason, text in zip(table["reason"], failed, strict=True)]
    return table


def holm(values: list[float]) -> np.ndarray:
    """Values of p corrected for their number after Holm; NaN (not tested) does not count."""
    p = np.asarray(values, dtype=np.float64)
    corrected = np.full(len(p), np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    steps = p[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0) if len(order) else steps
    return corrected


def _units(tae: pd.DataFrame, runs: pd.DataFrame, name: str, kind: str) -> Units:
    own = runs[runs["variant"] == name]
    n_runs = int((own["status"] == RunStatus.FINISHED).sum())
    of_members = ModelKind(kind).per_teacher and own["member"].nunique() > 1
    label = str(tae.loc[tae["variant"] == name, "label"].iloc[0])
    listed = own["member"] if of_members else _starts(own)
    names = None if listed is None else frozenset(listed)
    return Units(name, label, of_members, names, n_runs, len(own) - n_runs)


def _starts(runs: pd.DataFrame) -> pd.Series | None:
    """What tells the start frame of each run; None where the table does not, or where it is not unique."""
    for column in ("number", "start_frame"):
        if column in runs.columns:
            starts: pd.Series = runs[column]
            return None if starts.isna().any() or starts.duplicated().any() else starts
    return None


def _values(errors: pd.DataFrame, runs: pd.DataFrame, units: Units) -> pd.Series:
    """TAE of each unit, by its name (of runs without known start: by their place)."""
    if units.of_members:
        return errors.groupby("member")["tae"].mean()
    if units.names is None:
        return errors["tae"].reset_index(drop=True)
    own = runs[runs["variant"] == units.variant]
    starts = pd.Series(_starts(own).to_numpy(), index=pd.MultiIndex.from_frame(own[RUN_KEY]))  # type: ignore[union-attr]
    keys = pd.MultiIndex.from_frame(errors[RUN_KEY])
    return pd.Series(errors["tae"].to_numpy(), index=starts.reindex(keys).to_numpy())


def _compare(a: Units, b: Units, of_a: pd.Series, of_b: pd.Series, spec: StatisticsSpec) -> dict:
    """Columns of one comparison without its correction."""
    row = {
        "variant_a": a.variant, "label_a": a.label, "variant_b": b.variant, "label_b": b.label, "test": NO_TEST,
        "n_a": len(of_a), "n_b": len(of_b), "mean_a": of_a.mean(), "mean_b": of_b.mean(),
        "difference": of_a.mean() - of_b.mean(), "ci_low": np.nan, "ci_high": np.nan, "p": np.nan, "reason": "",
    }  # fmt: skip
    few = [(unit, len(of)) for unit, of in ((a, of_a), (b, of_b)) if len(of) < 2]
    if few:
        row["reason"] = "; ".join(f"{unit.label}: {_few(unit, count)}" for unit, count in few)
        return row
    common = of_a.index.intersection(of_b.index)
    if a.of_members == b.of_members and a.names is not None and a.names == b.names and len(common) > 1:
        of_a, of_b = of_a[common], of_b[common]
        row |= {"test": BY_TEACHER if a.of_members else BY_START, "n_a": len(common), "n_b": len(common)}
        row |= {"mean_a": of_a.mean(), "mean_b": of_b.mean(), "difference": (of_a - of_b).mean()}
        error = float((of_a - of_b).std(ddof=1)) / np.sqrt(len(common))
        result = stats.ttest_rel(of_a, of_b) if error > 0 else None
    else:
        row["test"] = WELCH
        error = float(np.hypot(of_a.std(ddof=1) / np.sqrt(len(of_a)), of_b.std(ddof=1) / np.sqrt(len(of_b))))
        result = stats.ttest_ind(of_a, of_b, equal_var=False) if error > 0 else None
    if result is None:  # nothing varies: any difference is one
        return row | {"p": float(row["difference"] == 0), "ci_low": row["difference"], "ci_high": row["difference"]}
    freedom, fewest = float(result.df), min(len(of_a), len(of_b))
    if row["test"] == WELCH and fewest < _FEW:
        freedom = min(freedom, fewest - 1)
    half = stats.t.ppf(0.5 + spec.confidence / 2, freedom) * error
    p = 2 * stats.t.sf(abs(result.statistic), freedom)
    return row | {"p": p, "ci_low": row["difference"] - half, "ci_high": row["difference"] + half}


def _few(units: Units, count: int) -> str:
    if count == 0:
        return "no finished run"
    return "one run only" if units.n_runs == 1 else "runs of one member only"


def _failed(units: Units) -> str:
    if not units.n_failed:
        return ""
    return (
        f"; {units.n_failed} of {units.n_runs + units.n_failed} runs of {units.label} did not finish and are left out"
    )
