"""Summary sentences that the statistical tests support."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from ..core.number_text import decimals, decimals_of_mean
from ..core.vocabulary import OVERALL, TEACHERS, ModelKind, NetworkStatus
from ..statistics.comparison import BETTER, NO_TEST, SAME, WORSE
from ..structure.error_tables import items_of, rows_of, shown_metrics
from ..structure.metrics import PRESENTATIONS

_OPPOSITE = {BETTER: WORSE, WORSE: BETTER, SAME: SAME}


@dataclass(frozen=True)
class Verdict:
    """Verdict on one metric: a headline and the sentences behind it."""

    metric: str
    title: str
    headline: str
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """A question that the method poses, and what the tests say, a sentence per metric."""

    question: str
    sentences: tuple[str, ...]


def verdicts(summary: pd.DataFrame, comparisons: pd.DataFrame | None = None) -> list[Verdict]:
    """Verdicts on the metrics that the table holds."""
    return [verdict(summary, shown.name, comparisons) for shown in shown_metrics(summary)]


def verdict(summary: pd.DataFrame, metric: str, comparisons: pd.DataFrame | None = None) -> Verdict:
    """Which variant has the lowest overall TAE of a metric, and from what it can be told.

    Parameters
    ----------
    summary: columns of `statistics.SUMMARY_COLUMNS` (those of intervals and noise may be absent).
    comparisons: columns of `statistics.COMPARISON_COLUMNS`; without them nothing is said on differences.
    """
    title = PRESENTATIONS[metric].title
    rows = rows_of(summary, metric, OVERALL)
    ranked = rows[rows["mean"].notna()].sort_values("mean", kind="stable")
    if ranked.empty:
        return Verdict(metric, title, "No variant finished a run.", ())
    best = ranked.iloc[0]
    headline = f"{best['label']} has the lowest overall {title} error, {_with_unit(best, metric)}."
    sentences = _comparison(best, ranked, metric, comparisons)
    sentences.append(_against_reference(best, ranked, metric))
    if best["n_failed"]:
        sentences.append(_survivors(best, ranked, metric))
    sentences.append(_thumb(summary, metric, str(best.name), str(best["label"])))
    return Verdict(metric, title, headline, tuple(sentence for sentence in sentences if sentence))


def answers(comparisons: pd.DataFrame, kinds: Mapping[str, str]) -> list[Answer]:
    """What the tests say on the method's claims; questions on models that are not there are left out.

    Parameters
    ----------
    comparisons: columns of `statistics.COMPARISON_COLUMNS`.
    kinds: `ModelKind` by variant.
    """
    of = {kind: [name for name, own in kinds.items() if own == kind] for kind in dict.fromkeys(kinds.values())}
    singles = [*of.get(ModelKind.TEACHER, []), *of.get(ModelKind.SINGLE, [])]
    ensemble, students = of.get(ModelKind.TEACHER_ENSEMBLE, []), of.get(ModelKind.ENSEMBLE, [])
    labels = dict(zip(comparisons["variant_a"], comparisons["label_a"], strict=True))
    labels |= dict(zip(comparisons["variant_b"], comparisons["label_b"], strict=True))
    all_teachers = labels.get(ensemble[0], ensemble[0]) if ensemble else ""
    asked = [
        (f"Is {all_teachers}, all teachers at each step, better than one teacher or its students?", ensemble, singles),
        ("Are students of all teachers (S8) better than one teacher or its students?", students, singles),
        (f"Can students of all teachers (S8) be told from {all_teachers}, at the cost of one network?", students,
         ensemble),
    ]  # fmt: skip
    found = []
    for question, first, second in asked:
        sentences = [_tally(comparisons, metric, first, second) for metric in PRESENTATIONS]
        if any(sentences):
            found.append(Answer(question, tuple(sentence for sentence in sentences if sentence)))
    return found


def stability(summary: pd.DataFrame, names: Sequence[str], runs: pd.DataFrame | None = None) -> list[str]:
    """Sentences on runs that blew up, and on those that drift or have clustered, over all variants.

    Parameters
    ----------
    runs: columns variant, label and stability (stable, drifting, clustered, blown up); without the last, or
        without the table, only blown-up runs are counted.
    """
    counts = summary.drop_duplicates("variant").set_index("variant").reindex(names).dropna(subset=["n"])
    total, sentences = int((counts["n"] + counts["n_failed"]).sum()), []
    n_excluded = _excluded(counts)
    not_made = f"{'was' if n_excluded.sum() == 1 else 'were'} not made, since the training of the model failed"
    for number, what in ((counts["n_failed"] - n_excluded, "blew up"), (n_excluded, not_made)):
        own = counts[number > 0]
        each = [f"{row.label} {int(number[row.Index])} of {int(row.n + row.n_failed)}" for row in own.itertuples()]
        if each:
            sentences.append(f"{int(number.sum())} of {total} runs {what}: {', '.join(each)}.")
    if sentences:
        sentences[-1] += " Means are over the finished runs only."
    else:
        sentences = [f"All {total} runs finished." if total != 1 else "The only run finished."]
    if runs is None or "stability" not in runs.columns:
        return sentences
    listed = runs[runs["variant"].isin(names)]
    for state, verb in (("drifting", "drift"), ("clustered", "clustered")):
        own = listed[listed["stability"] == state]
        if len(own):
            sizes = listed.groupby("label").size()
            each = [f"{label} {n} of {sizes[label]}" for label, n in own.groupby("label", sort=False).size().items()]
            verb = f"{verb}s" if state == "drifting" and len(own) == 1 else verb
            sentences.append(f"{len(own)} of {len(listed)} runs {verb}: {', '.join(each)}.")
    if len(listed) and (listed["stability"] == "stable").all():
        sentences.append("None drifts or has clustered.")
    return sentences


def exclusions(networks: pd.DataFrame) -> list[str]:
    """Sentences on networks that are not used, and on those that were trained again.

    Parameters
    ----------
    networks: columns variant, label, member, status, retries of `collect.networks_of`.
    """
    sentences = []
    left_out = networks[networks["status"] == NetworkStatus.EXCLUDED]
    if len(left_out):
        names = _list(f"{row.label} {row.member}" for row in left_out.itertuples())
        verb = "are" if len(left_out) > 1 else "is"
        teachers = int((networks["variant"] == TEACHERS).sum())
        lost = int((left_out["variant"] == TEACHERS).sum())
        mean = f"; the mean of the teachers is that of {teachers - lost} of {teachers}" if lost else ""
        sentences.append(
            f"{len(left_out)} of {len(networks)} networks {verb} left out of everything, since training "
            f"failed: {names}{mean}."
        )
    again = networks[(networks["retries"] > 0) & (networks["status"] != NetworkStatus.EXCLUDED)]
    if len(again):
        names = _list(f"{row.label} {row.member} ({_retries(row.retries)})" for row in again.itertuples())
        sentences.append(f"Trained again with a lower learning rate after a failure: {names}.")
    return sentences


def _retries(count: float) -> str:
    return f"{int(count)} retr" + ("ies" if count != 1 else "y")


def _excluded(counts: pd.DataFrame) -> pd.Series:
    """Runs that were not made; tables of older runs do not know of any."""
    return counts["n_excluded"] if "n_excluded" in counts.columns else counts["n_failed"] * 0


def _runs(count: float) -> str:
    return f"{int(count)} run" + ("s" if count != 1 else "")


def _with_unit(row: pd.Series, metric: str) -> str:
    """Mean with its interval (or its standard deviation, where there is none) and the number of runs."""
    shown = PRESENTATIONS[metric]
    low, high = row.get("ci_low", math.nan), row.get("ci_high", math.nan)
    if math.isfinite(low):
        digits = decimals(high - low)
        name = "interval of its sampling alone" if row["n"] == 1 else "interval"
        mean = shown.error_text(f"{row['mean']:.{digits}f}")
        return f"{mean} ({name} {low:.{digits}f} to {high:.{digits}f}, {_runs(row['n'])})"
    spread = "no error bar, " if math.isnan(row["std"]) else ""
    digits = decimals_of_mean(row["mean"], row["std"])
    text = f"{row['mean']:.{digits}f}" + (f" ± {row['std']:.{digits}f}" if math.isfinite(row["std"]) else "")
    return f"{shown.error_text(text)} ({spread}{_runs(row['n'])})"


def _comparison(best: pd.Series, ranked: pd.DataFrame, metric: str, comparisons: pd.DataFrame | None) -> list[str]:
    if len(ranked) == 1:
        return ["There is no other variant to compare it with."]
    if comparisons is None:
        return []
    others = _against(comparisons, metric, str(best.name))
    others = others[others.index.isin(ranked.index)].reindex(ranked.index[1:]).dropna(subset=["outcome"])
    tested = others[others["test"] != NO_TEST]
    parts = []
    for outcome, text in ((BETTER, "Better than"), (SAME, "Not distinguishable from"), (WORSE, "Worse than")):
        own = tested[tested["outcome"] == outcome]
        if len(own):
            parts.append(f"{text} {_list(_with_p(own))}.")
    untested = others[others["test"] == NO_TEST]
    if len(untested) == len(others) and best["n"] == 1:
        parts.append("It rests on one run, so nothing says how far another run would be off: nothing was tested.")
    elif len(untested):
        parts.append(f"Not tested against {_list(untested['label'])}: too few runs.")
    return parts


def _with_p(rows: pd.DataFrame) -> list[str]:
    """Labels with their corrected p."""
    return [
        f"{label} (p {f'= {p:.2g}' if p >= 0.001 else '< 0.001'})"
        for label, p in zip(rows["label"], rows["p_holm"], strict=True)
    ]


def _against(comparisons: pd.DataFrame, metric: str, name: str) -> pd.DataFrame:
    """Comparisons of one variant seen from its side: index variant; label, test, outcome, p_holm, ci_low, ci_high."""
    own = comparisons[comparisons["metric"] == metric]
    first = own[own["variant_a"] == name]
    second = own[own["variant_b"] == name]
    columns = ["variant", "label", "test", "outcome", "p_holm", "ci_low", "ci_high"]
    seen = first.rename(columns={"variant_b": "variant", "label_b": "label"})[columns]
    turned = second.rename(
        columns={"variant_a": "variant", "label_a": "label", "ci_low": "ci_high", "ci_high": "ci_low"}
    )
    turned = turned.assign(
        outcome=turned["outcome"].map(_OPPOSITE), ci_low=-turned["ci_low"], ci_high=-turned["ci_high"]
    )
    return pd.concat([seen, turned[columns]]).set_index("variant")


def _against_reference(best: pd.Series, ranked: pd.DataFrame, metric: str) -> str:
    """Whether errors exceed what sampling alone would make."""
    if not math.isfinite(best.get("noise_high", math.nan)):
        return ""
    digits, shown = decimals(best["noise"]), PRESENTATIONS[metric]
    mean, high = (shown.error_text(f"{best[name]:.{digits}f}") for name in ("noise", "noise_high"))
    noise = f"sampling alone ({mean}, rarely above {high})"
    if best["mean"] > best["noise_high"]:
        return f"Its error is above what {noise} would make of a perfect model: it can be told from the reference."
    within = ranked[ranked["mean"] <= ranked["noise_high"]]
    others = f"; nor can {_list(within['label'].iloc[1:])}" if len(within) > 1 else ""
    return f"Its error is no more than {noise} would make: it cannot be told from the reference{others}."


def _tally(comparisons: pd.DataFrame, metric: str, first: Sequence[str], second: Sequence[str]) -> str:
    """How the first models fare against the second, in one sentence."""
    parts = []
    for name in first:
        seen = _against(comparisons, metric, name)
        seen = seen.loc[[other for other in second if other in seen.index]]
        parts.append(seen.assign(own=_label(comparisons, name)))
    rows = pd.concat(parts) if parts else pd.DataFrame()
    if rows.empty:
        return ""
    title = PRESENTATIONS[metric].title
    tested = rows[rows["test"] != NO_TEST]
    if tested.empty:
        return f"{title}: not tested, too few runs."
    many = tested["own"].nunique() > 1
    texts = []
    for outcome in (BETTER, WORSE, SAME):
        own = tested[tested["outcome"] == outcome]
        if own.empty:
            continue
        if many and len(second) > 1:
            texts.append(f"{outcome} in {len(own)} of {len(tested)} pairs")
        elif many:
            texts.append(f"{outcome}{_preposition(outcome)} {_list(own['label'].unique())}: {_list(own['own'])}")
        else:
            texts.append(f"{outcome}{_preposition(outcome)} {_list(own['label'])}")
    if many and len(second) > 1:
        whole = [name for name, own in tested.groupby("own", sort=False) if (own["outcome"] == BETTER).all()]
        texts.append(f"better than each of them: {_list(whole) if whole else 'none'}")
    untested = len(rows) - len(tested)
    if untested:
        texts.append(f"{untested} of {len(rows)} pairs not tested, too few runs")
    return f"{title}: {'; '.join(texts)}.{_still_possible(tested, metric)}"


def _preposition(outcome: str) -> str:
    return " from" if outcome == SAME else " than"


def _still_possible(tested: pd.DataFrame, metric: str) -> str:
    """How large a difference may be where none was found: not distinguishable does not mean equal."""
    same = tested[tested["outcome"] == SAME]
    reach = same[["ci_low", "ci_high"]].abs().to_numpy().max(initial=0.0)
    if not reach > 0:
        return ""
    most = PRESENTATIONS[metric].error_text(f"{reach:.2g}")
    return f" Where no difference was found, one of up to {most} is not ruled out."


def _label(comparisons: pd.DataFrame, name: str) -> str:
    for side in ("a", "b"):
        rows = comparisons.loc[comparisons[f"variant_{side}"] == name, f"label_{side}"]
        if len(rows):
            return str(rows.iloc[0])
    return name


def _list(names: Iterable) -> str:
    """``A, B and C``."""
    texts = list(map(str, names))
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"


def _survivors(best: pd.Series, ranked: pd.DataFrame, metric: str) -> str:
    total = int(best["n"] + best["n_failed"])
    text = (
        f"But {int(best['n_failed'])} of its {total} runs {_how(best)}; the error is that of those that finished, "
        "so the variant is not stable."
    )
    stable = ranked[ranked["n_failed"] == 0]
    if stable.empty:
        return text + " No variant finished all of its runs."
    row = stable.iloc[0]
    return text + f" Lowest among variants that finished all runs: {row['label']}, {_with_unit(row, metric)}."


def _how(row: pd.Series) -> str:
    """How runs failed."""
    n_excluded = int(row.get("n_excluded", 0))
    if not n_excluded:
        return "blew up"
    return "were not made" if n_excluded == row["n_failed"] else "blew up or were not made"


def _thumb(summary: pd.DataFrame, metric: str, name: str, label: str) -> str:
    """How many items of a variant lie above the rule of thumb."""
    shown = PRESENTATIONS[metric]
    own = items_of(summary[summary["variant"] == name], metric)
    if own.empty or shown.rule_of_thumb is None:
        return ""
    above = int((own["mean"] > shown.threshold).sum())
    return (
        f"{above} of {len(own)} {shown.items} of {label} lie above {shown.error_text(f'{shown.threshold:g}')}, the rule "
        f"of thumb of {shown.rule_of_thumb.source} for a substantial distortion."
    )
