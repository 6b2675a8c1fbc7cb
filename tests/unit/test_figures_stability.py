"""Figures of structure in time: what their lines hold. Cannot detect that a figure is hard to read."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from cgdistill.config.models import Model
from cgdistill.figures.resolved import in_time, resolved_figure
from cgdistill.figures.stability import share_stable, stability_figure, tracks_of
from cgdistill.figures.style import Palette, save

MODELS = [
    Model("T", "T", "teacher"),
    Model("T8", "T8", "teacher_ensemble"),
    Model("S8-aa", "S8F$ε", "ensemble"),
]
PALETTE = Palette(MODELS)
X = np.arange(20) * 0.5 + 0.25


def resolved(n_windows=30, n_runs=2, items=("Cho", "Cl")):
    """Curve k of run r has the constant value k + 10 r."""
    rows = [
        pd.DataFrame({"item": item, "time_ps": 10.0 * k, "x": X, "value": k + 10.0 * r, "member": "a", "replica": r})
        for r in range(n_runs)
        for item in items
        for k in range(n_windows)
    ]
    return pd.concat(rows, ignore_index=True)


def series(n_runs=4, end=50, equilibration=20.0, pairs=("Cho-Cl",)):
    """Values are the run's number plus a hundredth of the time."""
    quantities = [("largest_cluster", "Cho"), ("cdf_peak", "Cho"), *(("rdf_peak", pair) for pair in pairs)]
    rows = [
        (r, 10.0 * k, "equilibration" if 10.0 * k <= equilibration else "production", quantity, item, r + 0.1 * k)
        for r in range(n_runs)
        for quantity, item in quantities
        for k in range(end)
    ]
    table = pd.DataFrame(rows, columns=["replica", "time_ps", "phase", "quantity", "item", "value"])
    return table.assign(member="a", unit="A")


def runs_of(states, variant="T"):
    table = pd.DataFrame(states, columns=["stability", "onset_ps"])
    return table.assign(variant=variant)


def test_lines_are_means_over_runs_and_windows():
    """30 windows make 10 lines of three windows each, from the first to the last."""
    found = in_time(resolved(), most=10)
    means = found[found["item"] == "Cho"].groupby("time_ps")["value"].mean()
    assert means.index.tolist() == [30.0 * k for k in range(10)]
    assert means.tolist() == pytest.approx([3.0 * k + 1.0 + 5.0 for k in range(10)])
    assert in_time(resolved(4)).groupby("item")["time_ps"].nunique().tolist() == [4, 4]


def test_a_figure_for_each_group(tmp_path):
    """One panel per type and model, lines of all times and the reference; models without runs stay empty."""
    tables = {"T": resolved(), "S8-aa": resolved(3, 1)}
    reference = resolved(5, 1)
    figures = resolved_figure(tables, reference, PALETTE)
    assert list(figures) == ["T", "S8"]
    panels = [axes for axes in figures["T"].axes if axes.get_title() or axes.lines]
    assert len(panels) == 4
    assert [len(axes.lines) for axes in panels] == [31, 1, 31, 1]
    assert panels[0].get_title() == "T\nmean of 2 runs" and panels[1].get_title() == "T8\nno run"
    black = panels[1].lines[0]
    np.testing.assert_allclose(black.get_ydata(), 2.0)
    ascending = [float(line.get_ydata()[0]) for line in panels[0].lines[:30]]
    assert ascending == sorted(ascending)
    colours = {line.get_color() for line in panels[0].lines}
    assert len(colours) == 31
    svg, png = save(figures["S8"], tmp_path / "resolved_S8")
    assert svg.stat().st_size > 1000 and png.stat().st_size > 1000


def test_without_a_reference_or_runs():
    """Empty panels, no error."""
    empty = resolved().iloc[:0]
    figures = resolved_figure({"T": empty}, None, PALETTE)
    assert set(figures) == {"T", "S8"} and not figures["T"].axes[0].lines


def test_tracks_are_means_with_bands():
    """Of four runs at 0 to 3: mean 1.5, the middle 80 % from 0.3 to 2.7; at most 40 points."""
    found = tracks_of(series(4, 80))
    one = found[found["quantity"] == "cdf_peak"]
    assert len(one) == 40
    drift = 0.1 * (np.arange(40) * 2 + 0.5)
    np.testing.assert_allclose(one["time_ps"], 10.0 * (np.arange(40) * 2 + 0.5))
    np.testing.assert_allclose(one["mean"], 1.5 + drift)
    np.testing.assert_allclose(one["low"], 0.3 + drift)
    np.testing.assert_allclose(one["high"], 2.7 + drift)
    assert len(tracks_of(series().iloc[:0])) == 0


def test_share_of_stable_runs():
    """Falls by a quarter at each onset."""
    states = [("stable", np.nan), ("drifting", 30.0), ("blown up", 10.0), ("clustered", 20.0)]
    times, shares = share_stable(runs_of(states), 50.0)
    assert times.tolist() == [0, 10, 20, 30, 50]
    assert shares.tolist() == [1.0, 0.75, 0.5, 0.25, 0.25]
    assert share_stable(runs_of(states[:1]), 50.0)[1].tolist() == [1.0, 1.0]


def test_stability_figure(tmp_path):
    """Rows: stable runs, share, CDF peak, pairs (at most six, the highest in the reference); level of the reference."""
    pairs = [f"P{k}-Q" for k in range(8)]
    reference = series(1, 5, -1.0, pairs)
    heights = pd.DataFrame({"quantity": "rdf_peak_height", "item": pairs, "value": [9, 8, 0.1, 7, 6, 0.2, 5, 4]})
    reference = pd.concat([reference, heights], ignore_index=True)
    tables = {"T": series(pairs=pairs), "S8-aa": series(1, pairs=pairs).iloc[:0]}
    runs = pd.concat([runs_of([("stable", np.nan), ("drifting", 30.0)]), runs_of([("blown up", 0.0)], "S8-aa")])
    figure = stability_figure(tables, runs, PALETTE, reference)
    assert len(figure.axes) == 2 * (1 + 1 + 1 + 6)
    labels = [axes.get_ylabel() for axes in figure.axes[::2]]
    assert "stable runs" in labels[0] and labels[1].startswith("Cho") and "P7-Q" in labels[-1]
    assert not any("P2-Q" in label or "P5-Q" in label for label in labels)
    share = figure.axes[2]
    assert len(share.lines) == 3  # model, reference, start of production
    np.testing.assert_allclose(share.lines[1].get_ydata(), 0.2)
    np.testing.assert_allclose(share.lines[2].get_xdata(), 20.0)
    assert share.get_ylim() == (0.0, 1.05)
    save(figure, tmp_path / "stability")
    assert len(stability_figure({"T": series()}, runs, PALETTE).axes[2].lines) == 2
