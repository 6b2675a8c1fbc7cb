"""Peaks, clusters and energies in the course of the simulations, cluster distribution functions resolved in time.

Inputs: records and thermo (of each simulation), runs (table of the run), resolved, series (per variant, and of the
reference). Outputs: the figures.
"""

from pathlib import Path

from cgdistill.figures.draw import draw_stability
from cgdistill.figures.style import Palette, models_in_order
from cgdistill.runtime.job import job

with job(snakemake.log[0]):
    source = dict(snakemake.input.items())
    source.pop("thermo")  # beside each record
    folder = Path(snakemake.output[0]).parent
    draw_stability(**source, palette=Palette(models_in_order(**snakemake.params.models)), folder=folder)
