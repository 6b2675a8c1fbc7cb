"""Parity plots of force components as two-dimensional densities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from ..data.beads import BeadFile
from ..data.split import read_split
from ..training.metrics import error_measures
from ..training.predictions import read_predictions
from .style import SMALL, Palette, new_figure, plain, styled

if TYPE_CHECKING:
    from .run_files import NetworkFiles

_CMAP = "viridis"


@dataclass(frozen=True)
class Parity:
    """One panel: ``prediction`` against ``target``, arrays of force components of one shape, kcal/mol/A."""

    title: str
    target_label: str
    prediction_label: str
    target: np.ndarray
    prediction: np.ndarray


def read_parities(
    beads: str | Path,
    split: str | Path,
    teacher: str | Path,
    mean: str | Path,
    students: Mapping[str, str | Path],
    palette: Palette,
) -> tuple[list[Parity], list[Parity]]:
    """Teachers against the all-atom forces, and students against the teachers' mean, over the test frames.

    Parameters
    ----------
    teacher, mean: predictions of one teacher and of the ensemble, of all frames.
    students: predictions of the test frames alone, by variant.
    """
    with BeadFile(beads) as file:
        test = read_split(split, len(file)).test
        target = file.frames(test).forces_kcal_mol_A
    assert target is not None, "a bead file without forces cannot have trained teachers"
    one, ensemble = read_predictions(teacher), read_predictions(mean)
    averaged = ensemble.forces_kcal_mol_A[test].astype(np.float64)
    n = len(ensemble.members)
    on_labels = [
        Parity(f"teacher {one.members[0]}", "all-atom force F", "predicted force", target,
               one.forces_kcal_mol_A[test].astype(np.float64)),
        Parity(f"mean of {n} teachers", "all-atom force F", "predicted force", target, averaged),
    ]  # fmt: skip
    on_mean = [
        Parity(palette.label(name), "mean teacher force f", "student's force", averaged,
               read_predictions(path).forces_kcal_mol_A.astype(np.float64))
        for name, path in students.items()
    ]  # fmt: skip
    return on_labels, on_mean


def half_range(parities: Sequence[Parity]) -> float:
    """Largest magnitude shown, kcal/mol/A: 99.9 % of the components of each panel lie within."""
    values = [np.abs(array).ravel() for parity in parities for array in (parity.target, parity.prediction)]
    return max(float(np.percentile(array, 99.9)) for array in values) or 1.0


@styled
def parity_figure(parities: Sequence[Parity]) -> Figure:
    """Panels side by side, at most three in a row, on one range; R², RMSE and count in each.

    Measures are over all components, also those beyond the range shown.
    """
    if not parities:
        figure, panels = new_figure(1, 1, 4.2, 1.0)
        panels[0][0].set_axis_off()
        panels[0][0].text(0.5, 0.5, "no student of all teachers is used", ha="center", va="center")
        return figure
    columns = min(3, len(parities))
    rows = -(-len(parities) // columns)
    figure, panels = new_figure(rows, columns, 3.5 * columns + 0.7, 3.5 * rows + 0.2)
    flat = [axes for row in panels for axes in row]
    draw_parities(figure, flat, parities)
    for axes in flat[len(parities) :]:
        axes.set_visible(False)
    return figure


def draw_parities(figure: Figure, panels: Sequence[Axes], parities: Sequence[Parity]) -> None:
    """Draw one density per panel, all on one range and one scale of colours, which stands at the right."""
    reach = half_range(parities)
    n_bins = int(np.clip(np.sqrt(min(parity.target.size for parity in parities) / 4), 30, 120))
    edges = np.linspace(-reach, reach, n_bins + 1)
    counts = [_counts(parity, reach, n_bins) for parity in parities]
    norm = LogNorm(1, max(2.0, max(float(count.max()) for count in counts)))
    mesh: Any = None
    for axes, parity, count in zip(panels, parities, counts, strict=False):
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
    bar = figure.colorbar(mesh, ax=list(panels[: len(parities)]), aspect=30, pad=0.01)
    bar.set_label("components per bin")


def _counts(parity: Parity, reach: float, n_bins: int) -> np.ndarray:
    """(n_bins, n_bins) components by target and prediction; several times faster than `np.histogram2d`."""
    places = []
    inside = np.ones(parity.target.size, dtype=bool)
    for values in (parity.target.ravel(), parity.prediction.ravel()):
        place = np.floor((values + reach) * (n_bins / (2 * reach)))
        inside &= (place >= 0) & (place < n_bins)
        places.append(place)
    index = (places[0] * n_bins + places[1])[inside].astype(np.int64)
    return np.bincount(index, minlength=n_bins * n_bins).reshape(n_bins, n_bins).astype(np.float64)


def draw(files: NetworkFiles) -> Figure:
    """Parity of the students of all teachers."""
    return parity_figure(files.parities[1])
