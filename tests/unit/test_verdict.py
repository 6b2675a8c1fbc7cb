"""Sentences that tables allow, and those that they do not."""

from __future__ import annotations

import numpy as np
import pandas as pd
from cgdistill.results.verdict import answers, stability, verdict, verdicts
from cgdistill.statistics import StatisticsSpec, compare_variants
from test_statistics_comparison import kinds_of, tables

SPEC = StatisticsSpec(500, 0.95)


def summary_of(tae, runs, noise=0.5, noise_high=0.8):
    """Summary with made-up intervals of the errors of `tables`."""
    rows = []
    for (variant, label, item), part in tae.groupby(["variant", "label", "item"], sort=False):
        values = part["tae"].dropna()
        mean, failed = values.mean(), int((runs.loc[runs["variant"] == variant, "status"] != "finished").sum())
        rows.append((variant, label, "rdf", item, np.nan, mean, values.std(ddof=1), len(values), failed, mean - 0.2,
                     mean + 0.2, "", noise, noise_high))  # fmt: skip
    return pd.DataFrame(rows, columns=["variant", "label", "metric", "item", "parameter", "mean", "std", "n",
                                       "n_failed", "ci_low", "ci_high", "ci_of", "noise", "noise_high"])  # fmt: skip


def say(errors, **options):
    """Summary, comparisons and verdict of made-up errors."""
    tae, runs = tables(errors, **options)
    comparisons = compare_variants(tae, runs, kinds_of(tae), SPEC)
    summary = summary_of(tae, runs)
    return summary, comparisons, verdict(summary, "rdf", comparisons)


SPREAD = np.array([0.0, 0.1, -0.1, 0.05, -0.05, 0.02, -0.02, 0.08])
ERRORS = {
    "T_": 5 + 3 * SPREAD,
    "T8": 2 + SPREAD[::-1],
    "S1a": 4 + 2 * SPREAD[[3, 1, 0, 2, 5, 4, 7, 6]],
    "S8a": 2.02 + SPREAD[[2, 7, 4, 1, 6, 3, 0, 5]],
    "S8b": 9 + SPREAD,
}


def test_lowest_and_from_what_it_can_be_told():
    _, _, found = say(ERRORS)
    assert found.headline == "lT8 has the lowest overall RDF error, 2.01 Å (interval 1.81 to 2.21, 8 runs)."
    better, same = found.sentences[:2]
    assert better.startswith("Better than lS1a (p < 0.001), lT_ (p < 0.001) and lS8b (p < 0.001).")
    assert same.startswith("Not distinguishable from lS8a (p = ")


def test_against_the_noise():
    """Above the upper quantile it can be told from the reference; within, neither can others that are."""
    summary, comparisons, found = say(ERRORS)
    assert (
        "can be told from the reference" in found.sentences[2] and "(0.50 Å, rarely above 0.80 Å)" in found.sentences[2]
    )
    within = verdict(summary.assign(noise=2.0, noise_high=3.0), "rdf", comparisons).sentences[2]
    assert within.endswith("it cannot be told from the reference; nor can lS8a.")
    unknown = verdict(summary.assign(noise=np.nan, noise_high=np.nan), "rdf", comparisons)
    assert not any("reference" in sentence for sentence in unknown.sentences)


def test_one_run_says_little():
    _, _, found = say({"T8": [1.0], "S8a": [2.0, 2.1, 2.2, 2.3]})
    assert "(interval of its sampling alone 0.80 to 1.20, 1 run)" in found.headline
    assert found.sentences[0].startswith("It rests on one run") and "nothing was tested" in found.sentences[0]
    _, _, other = say({"T8": [3.0], "S8a": [2.0, 2.1, 2.2, 2.3]})
    assert other.sentences[0] == "Not tested against lT8: too few runs."


def test_without_tests_nothing_is_said_on_differences():
    summary, _, _ = say(ERRORS)
    found = verdicts(summary)[0]
    assert not any("istinguishable" in sentence or "Better" in sentence for sentence in found.sentences)
    assert verdict(summary.assign(mean=np.nan), "rdf").headline == "No variant finished a run."
    assert verdict(summary[summary["variant"] == "T8"], "rdf").sentences[0].startswith("There is no other")


def test_survivors_are_named():
    _, _, found = say(ERRORS, failed=[("T8", 3)])
    text = " ".join(found.sentences)
    assert "1 of its 8 runs blew up" in text and "Lowest among variants that finished all runs: lS8a" in text


def test_rule_of_thumb_counts_items():
    """One pair in these tables, with half of the overall error: above and below 1 A."""
    assert "1 of 1 pairs of lT8 lie above 1 Å" in say(ERRORS)[2].sentences[-1]
    assert "0 of 1 pairs of lS8a" in say({"S8a": [0.5, 0.6], "S8b": [3.0, 3.1]})[2].sentences[-1]


def test_answers_on_the_method():
    _, comparisons, _ = say(ERRORS)
    kinds = {"T_": "teacher", "T8": "teacher_ensemble", "S1a": "single", "S8a": "ensemble", "S8b": "ensemble"}
    first, second, third = answers(comparisons, kinds)
    assert first.question.startswith("Is lT8,") and first.sentences == ("RDF: better than lT_ and lS1a.",)
    assert second.sentences[0].startswith(
        "RDF: better in 2 of 4 pairs; worse in 2 of 4 pairs; better than each of them: lS8a."
    )
    assert third.question.startswith("Can students of all teachers (S8) be told from lT8")
    assert third.sentences[0].startswith("RDF: worse than lT8: lS8b; not distinguishable from lT8: lS8a.")
    assert "is not ruled out" in third.sentences[0]
    pair = comparisons[comparisons["variant_b"].eq("S8a") & comparisons["variant_a"].eq("T8")].iloc[0]
    assert f"up to {max(abs(pair['ci_low']), abs(pair['ci_high'])):.2g} Å" in third.sentences[0]


def test_answers_only_where_there_are_models_and_runs():
    tae, runs = tables({"T_": ERRORS["T_"], "T8": [2.0]})
    kinds = kinds_of(tae)
    found = answers(compare_variants(tae, runs, kinds, SPEC), kinds)
    assert len(found) == 1 and found[0].sentences == ("RDF: not tested, too few runs.",)


def test_stability_counts_runs():
    tae, runs = tables(ERRORS, failed=[("T_", 0), ("T_", 1), ("S8a", 0)])
    summary = summary_of(tae, runs)
    text = stability(summary, list(ERRORS))
    assert text == ["3 of 40 runs blew up: lT_ 2 of 8, lS8a 1 of 8. Means are over the finished runs only."]
    states = runs["status"].replace({"finished": "stable"}).to_list()
    states[2], states[20], states[21] = "drifting", "clustered", "clustered"
    table = runs.assign(stability=states, label="l" + runs["variant"])
    assert stability(summary, list(ERRORS), table)[1:] == [
        "1 of 40 runs drifts: lT_ 1 of 8.", "2 of 40 runs clustered: lS1a 2 of 8.",
    ]  # fmt: skip
    calm = table[table["variant"] == "S8b"].assign(stability="stable")
    assert stability(summary, ["S8b"], calm) == ["All 8 runs finished.", "None drifts or has clustered."]
