"""The short-range prior of each pair beside what the reference says of that pair."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..core.units import BOLTZMANN_kcal_mol_K
from ..forcefield.prior.repulsion import repulsion_energy
from ..io.csv_tables import read_table
from ..structure.files import read_curves
from ..structure.metrics.rdf import RDF
from .curves import mean_and_spread
from .style import NEUTRAL_COLOUR, REFERENCE_COLOUR, new_figure, plain, styled

if TYPE_CHECKING:
    from .run_files import NetworkFiles

_PRIOR_COLOUR = "#b5179e"
_TOP_kcal_mol = 6.0


@styled
def prior_figure(prior: pd.DataFrame, reference: pd.DataFrame, temperature_K: float) -> Figure:
    """E_rep(r) of each pair with -kT ln g(r) of the reference; t, the lowest distance, is marked.

    Parameters
    ----------
    prior: columns bead_1, bead_2, E0_kcal_mol, a_per_A, lowest_distance_A.
    reference: curves with the columns metric, item, x and mean.
    """
    columns = min(3, len(prior))
    rows = -(-len(prior) // columns)
    figure, panels = new_figure(rows, columns, 3.4 * columns + 0.4, 2.2 * rows + 0.8, sharey=True)
    flat = [axes for row in panels for axes in row]
    rdf = reference[reference["metric"] == RDF.metric]
    low = -1.0
    for axes, pair in zip(flat, prior.itertuples(index=False), strict=False):
        lowest = float(pair.lowest_distance_A)  # type: ignore[arg-type]
        r = np.linspace(max(0.0, lowest - 1.0), lowest + 4.0, 500)
        log_E0, a_per_A = np.log(np.float64(pair.E0_kcal_mol)), np.float64(pair.a_per_A)  # type: ignore[arg-type]
        axes.plot(r, repulsion_energy(log_E0, a_per_A, r), color=_PRIOR_COLOUR)
        names = {f"{pair.bead_1}-{pair.bead_2}", f"{pair.bead_2}-{pair.bead_1}"}
        curve = rdf[rdf["item"].isin(names) & (rdf["mean"] > 0)]
        mean_force = -BOLTZMANN_kcal_mol_K * temperature_K * np.log(curve["mean"].to_numpy(dtype=np.float64))
        axes.plot(curve["x"], mean_force, color=REFERENCE_COLOUR, linewidth=1.1)
        if len(mean_force):
            low = min(low, float(mean_force.min()))
        axes.axvline(lowest, color=NEUTRAL_COLOUR, linestyle=(0, (4, 3)), linewidth=1.0)
        axes.set_xlim(r[0], r[-1])
        axes.set_title(plain(f"{pair.bead_1}-{pair.bead_2}, t = {lowest:.2f} Å"))
    for axes in flat[len(prior) :]:
        axes.set_visible(False)
    flat[0].set_ylim(low - 0.4, _TOP_kcal_mol)
    figure.supxlabel("$r$ / Å", fontsize=9)
    figure.supylabel("energy / (kcal/mol)", fontsize=9)
    handles = [
        Line2D([], [], color=_PRIOR_COLOUR, label="prior $E_{rep}(r)$"),
        Line2D([], [], color=REFERENCE_COLOUR, linewidth=1.1, label="reference $-kT\\,\\ln g(r)$"),
        Line2D([], [], color=NEUTRAL_COLOUR, linestyle=(0, (4, 3)), linewidth=1.0, label="t, lowest distance"),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=3)
    return figure


def draw(files: NetworkFiles) -> Figure:
    """Repulsion of all pairs and the reference's potential of mean force."""
    columns = ["bead_1", "bead_2", "E0_kcal_mol", "a_per_A", "lowest_distance_A"]
    reference = mean_and_spread(read_curves(files.reference), None)
    return prior_figure(read_table(files.prior, columns), reference, files.temperature_K)
