"""What a table of errors allows to be said, in sentences, and no more than it allows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from .figures.tae import METRIC_TITLES, OVERALL, RULES_OF_THUMB, TAE_UNITS, rows_of, value_text


@dataclass(frozen=True)
class Verdict:
    """Verdict on one metric: a headline and the sentences behind it."""

    metric: str
    title: str
    headline: str
    sentences: tuple[str, ...]


def verdict(summary: pd.DataFrame, metric: str) -> Verdict:
    """Which variant has the lowest overall TAE of a metric, and whether others can be told from it.

    Two variants are called indistinguishable where their intervals mean ± std (over finished runs)
    overlap; a variant with one run has no such interval, and nothing is said beyond its value.

    Parameters
    ----------
    summary: columns variant, label, metric, item, r_max_A, mean, std, n, n_failed.
    """
    title = METRIC_TITLES[metric]
    rows = rows_of(summary, metric, OVERALL)
    ranked = rows[rows["mean"].notna()].sort_values("mean", kind="stable")
    if ranked.empty:
        return Verdict(metric, title, "No variant finished a run.", ())
    best = ranked.iloc[0]
    headline = f"{best['label']} has the lowest overall {title} error, {_with_unit(best, metric)}."
    sentences = [_comparison(best, ranked.iloc[1:], metric)]
    if best["n_failed"]:
        sentences.append(_survivors(best, ranked, metric))
    sentences.append(_thumb(summary, metric, str(best.name), str(best["label"])))
    return Verdict(metric, title, headline, tuple(sentence for sentence in sentences if sentence))


def stability(summary: pd.DataFrame, names: list[str]) -> list[str]:
    """Sentences on runs that blew up, over all variants."""
    counts = summary.drop_duplicates("variant").set_index("variant").reindex(names).dropna(subset=["n"])
    total, failed = int((counts["n"] + counts["n_failed"]).sum()), int(counts["n_failed"].sum())
    if not failed:
        return [f"All {total} runs finished." if total != 1 else "The only run finished."]
    broken = counts[counts["n_failed"] > 0]
    each = [f"{row.label} {int(row.n_failed)} of {int(row.n + row.n_failed)}" for row in broken.itertuples()]
    return [f"{failed} of {total} runs blew up: {', '.join(each)}. Means are over the finished runs only."]


def _runs(count: float) -> str:
    return f"{int(count)} run" + ("s" if count != 1 else "")


def _with_unit(row: pd.Series, metric: str) -> str:
    unit = f" {TAE_UNITS[metric]}" if TAE_UNITS[metric] else ""
    spread = "no error bar, " if math.isnan(row["std"]) else ""
    return f"{value_text(row['mean'], row['std'])}{unit} ({spread}{_runs(row['n'])})"


def _comparison(best: pd.Series, others: pd.DataFrame, metric: str) -> str:
    if others.empty:
        return "There is no other variant to compare it with."
    if math.isnan(best["std"]):
        return (
            f"It rests on one run, so nothing says how far another run would be off; next comes "
            f"{others.iloc[0]['label']}, {_with_unit(others.iloc[0], metric)}."
        )
    known = others[others["std"].notna()]
    overlapping = known[known["mean"] - known["std"] <= best["mean"] + best["std"]]
    parts = []
    if len(overlapping):
        names = ", ".join(
            f"{row['label']} ({value_text(row['mean'], row['std'])})" for _, row in overlapping.iterrows()
        )
        parts.append(f"Not distinguishable from it, as intervals of one standard deviation overlap: {names}.")
    elif len(known):
        row = known.iloc[0]
        parts.append(
            "No other interval of one standard deviation overlaps with its own; next comes "
            f"{row['label']}, {_with_unit(row, metric)}."
        )
    single = others[others["std"].isna()]
    if len(single):
        names = ", ".join(f"{row['label']} ({value_text(row['mean'], row['std'])})" for _, row in single.iterrows())
        parts.append(f"One run only, so no error bar to compare with: {names}.")
    if best["n"] < 4:
        parts.append(f"A standard deviation over {_runs(best['n'])} is itself uncertain.")
    return " ".join(parts)


def _survivors(best: pd.Series, ranked: pd.DataFrame, metric: str) -> str:
    total = int(best["n"] + best["n_failed"])
    text = (
        f"But {int(best['n_failed'])} of its {total} runs blew up; the error is that of those that finished, "
        "so the variant is not stable."
    )
    stable = ranked[ranked["n_failed"] == 0]
    if stable.empty:
        return text + " No variant finished all of its runs."
    row = stable.iloc[0]
    return text + f" Lowest among variants that finished all runs: {row['label']}, {_with_unit(row, metric)}."


def _thumb(summary: pd.DataFrame, metric: str, name: str, label: str) -> str:
    """How many items of a variant lie above the rule of thumb."""
    own = summary[(summary["metric"] == metric) & (summary["item"] != OVERALL) & (summary["variant"] == name)]
    if own.empty:
        return ""
    limit, items = RULES_OF_THUMB[metric], {"rdf": "pairs", "adf": "triplets and radii", "cdf": "bead types"}[metric]
    above = int((own["mean"] > limit).sum())
    unit = f" {TAE_UNITS[metric]}" if TAE_UNITS[metric] else ""
    return (
        f"{above} of {len(own)} {items} of {label} lie above {limit:g}{unit}, the rule of thumb of "
        "Olowookere et al. for a substantial distortion."
    )


def verdicts(summary: pd.DataFrame) -> list[Verdict]:
    """Verdicts on the metrics that the table holds."""
    return [verdict(summary, metric) for metric in METRIC_TITLES if (summary["metric"] == metric).any()]
