"""Noise ceiling, spread of the teachers, training, forces and prior.

Inputs: teachers, students (histories), training, ceiling, spread (tables of the run), beads, split, teacher, mean,
predictions, prior, reference. Outputs: the figures.
"""

from pathlib import Path

from cgdistill.console import job
from cgdistill.figures.draw import draw_networks
from cgdistill.figures.style import Palette, models_in_order

with job(snakemake.log[0]):
    source, params = dict(snakemake.input.items()), snakemake.params
    source["predictions"] = dict(zip(params.students, source["predictions"], strict=True))
    draw_networks(
        **source,
        temperature_K=params.temperature_K,
        palette=Palette(models_in_order(**params.models)),
        folder=Path(snakemake.output[0]).parent,
    )
