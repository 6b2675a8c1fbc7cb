"""Parity plots of force components as two-dimensional densities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from ..metrics import error_measures
from .style import SMALL, new_figure, plain, styled

_CMAP = "viridis"


@dataclass(frozen=True)
class Parity:
    """One panel: ``prediction`` against ``target``, arrays of force components of one shape, kcal/mol/A."""

    title: str
    target_label: str
    prediction_label: str
    target: np.ndarray
    prediction: np.ndarray


def half_range(parities: Sequence[Parity]) -> float:
    """Largest magnitude shown, kcal/mol/A: 99.9 % of the components of each panel lie within."""
    values = [np.abs(array).ravel() for parity in parities for array in (parity.target, parity.prediction)]
    return max(float(np.percentile(array, 99.9)) for array in values) or 1.0


@styled
def parity_figure(parities: Sequence[Parity]) -> Figure:
    """Panels side by side, at most three in a row, on one range; R², RMSE and count in each.

    Measures are over all components, also those beyond the range shown.
    """
    columns = min(3, len(parities))
    rows = -(-len(parities) // columns)
    figure, panels = new_figure(rows, columns, 3.5 * columns + 0.7, 3.5 * rows + 0.2)
    flat = [axes for row in panels for axes in row]
    reach = half_range(parities)
    n_bins = int(np.clip(np.sqrt(min(parity.target.size for parity in parities) / 4), 30, 120))
    edges = np.linspace(-reach, reach, n_bins + 1)
    counts = [np.histogram2d(p.target.ravel(), p.prediction.ravel(), bins=[edges, edges])[0] for p in parities]
    norm = LogNorm(1, max(2.0, max(float(count.max()) for count in counts)))
    mesh = None
    for axes, parity, count in zip(flat, parities, counts, strict=False):
        measures = error_measures(parity.target, parity.prediction)
        shown = np.ma.masked_equal(count.T, 0)
        mesh = axes.pcolormesh(edges, edges, shown, norm=norm, cmap=_CMAP, rasterized=True)
        axes.plot([-reach, reach], [-reach, reach], color="#111111", linewidth=0.9, linestyle=(0, (4, 3)))
        text = f"R² = {measures['r2']:.3f}\nRMSE = {measures['rmse']:.3g} kcal/mol/Å\n{measures['n']:,} components"
        axes.text(0.03, 0.97, text, transform=axes.transAxes, va="top", fontsize=SMALL,
                  bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 2})  # fmt: skip
        axes.set_aspect("equal")
        axes.set_title(plain(parity.title))
        axes.set_xlabel(plain(f"{parity.target_label} / (kcal/mol/Å)"))
        axes.set_ylabel(plain(f"{parity.prediction_label} / (kcal/mol/Å)"))
    for axes in flat[len(parities) :]:
        axes.set_visible(False)
    if mesh is not None:
        bar = figure.colorbar(mesh, ax=flat[: len(parities)], aspect=30, pad=0.01)
        bar.set_label("components per bin")
    return figure
