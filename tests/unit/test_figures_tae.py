"""What bars, whiskers, bands and marks stand for. Whether the figures are legible was looked at, not tested."""

from __future__ import annotations

import numpy as np
import pytest
from cgdistill.config.models import models_in_order
from cgdistill.core.number_text import decimals, decimals_of_mean
from cgdistill.figures.comparison import MARKS, comparison_figure, matrices_of
from cgdistill.figures.style import Palette
from cgdistill.figures.tae import item_figure, overall_figure
from cgdistill.statistics import StatisticsSpec, compare_variants
from test_statistics_comparison import kinds_of, tables
from test_verdict import ERRORS, summary_of

NAMES = list(ERRORS)


@pytest.fixture(scope="module")
def made():
    """Errors of eight runs, but one run of T8; two of S8b blew up."""
    errors = ERRORS | {"T8": [2.0]}
    tae, runs = tables(errors, failed=[("S8b", 0), ("S8b", 1)])
    kinds = kinds_of(tae)
    summary = summary_of(tae, runs)
    palette = Palette(models_in_order(NAMES, dict(zip(summary["variant"], summary["label"], strict=True)), kinds))
    return summary, compare_variants(tae, runs, kinds, StatisticsSpec(500, 0.95)), palette


def _spans(axes):
    """Left and right ends of horizontal lines, by height."""
    return {
        round(segment[0][1]): (segment[0][0], segment[1][0], collection.get_color()[0])
        for collection in axes.collections
        for segment in collection.get_segments()
    }


def test_whiskers_are_the_intervals_and_the_band_is_the_noise(made):
    summary, _, palette = made
    axes = overall_figure(summary, palette).axes[0]
    overall = summary[summary["item"] == "overall"].set_index("variant")
    spans = _spans(axes)
    order = [model.name for model in palette.models]
    for place, name in enumerate(order):
        assert spans[place][:2] == pytest.approx((overall.loc[name, "ci_low"], overall.loc[name, "ci_high"]))
    dark, grey = spans[order.index("T_")][2], spans[order.index("T8")][2]
    assert not np.allclose(dark, grey)
    bands = [patch for patch in axes.patches if patch.get_height() == 1.0]
    assert [band.get_width() for band in bands] == pytest.approx([0.8] * 5)
    texts = [text.get_text() for text in axes.texts]
    assert any(text.startswith("2.0") and text.endswith("(1)") for text in texts) and " 2 failed" in texts


def test_tables_without_intervals_get_the_standard_deviation(made):
    summary, _, palette = made
    plain = summary.drop(columns=["ci_low", "ci_high", "ci_of", "noise", "noise_high"])
    figure = overall_figure(plain, palette)
    low, high, _ = _spans(figure.axes[0])[0]
    assert (high - low) / 2 == pytest.approx(plain[plain["item"] == "overall"].iloc[0]["std"])
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["standard deviation over runs"]


def test_variant_without_finished_run_says_so(made):
    summary, _, palette = made
    gone = summary.copy()
    own = gone["variant"] == "S8b"
    gone.loc[own, ["mean", "std", "ci_low", "ci_high", "noise", "noise_high"]] = np.nan
    gone.loc[own, ["n", "n_failed"]] = 0, 8
    texts = [text.get_text() for text in overall_figure(gone, palette).axes[0].texts]
    assert "no finished run" in texts and "8 failed" in texts


def test_items_have_the_rule_of_thumb(made):
    summary, _, palette = made
    figure = item_figure(summary, "rdf", palette)
    (line,) = figure.axes[0].lines
    assert list(line.get_xdata()) == [1.0, 1.0]
    assert "rule of thumb" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_value_has_two_digits_of_its_width():
    assert f"{1.2345:.{decimals_of_mean(1.2345, 0.12)}f}" == "1.23"
    assert [decimals_of_mean(*pair) for pair in ((12.345, 0.0), (0.01234, float("nan")), (5.0, 30.0))] == [1, 4, 0]
    assert [decimals(scale) for scale in (0.034, 1.0, 250.0, 0.0)] == [3, 1, 0, 2]


def test_matrix_of_comparisons(made):
    """Row against column, the other half with the opposite sign and mark; T8's one run is not tested."""
    _, comparisons, palette = made
    differences, outcomes = matrices_of(comparisons, palette)
    order = [model.name for model in palette.models]
    teacher, single, student, worst = (order.index(name) for name in ("T_", "S1a", "S8a", "S8b"))
    assert differences[student, teacher] == pytest.approx((2.03 - 5.03) / ((2.03 + 5.03) / 2), abs=0.01)
    assert differences == pytest.approx(-differences.T, nan_ok=True)
    assert outcomes[student, teacher] == "better" and outcomes[teacher, student] == "worse"
    assert outcomes[worst, single] == "worse" and outcomes[order.index("T8"), teacher] == "not tested"
    figure = comparison_figure(comparisons, palette)
    points = sum(len(collection.get_offsets()) for collection in figure.axes[0].collections)
    assert points == 20  # five models: every pair, from both sides
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "lower error", "higher error", "not distinguishable", "not tested",
    ]  # fmt: skip
    assert len(MARKS) == 4
