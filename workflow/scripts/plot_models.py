"""One sheet of curves and errors per model.

Inputs: summary, runs (tables of the run), reference, curves (per variant). Outputs: the figures.
"""

from pathlib import Path

from cgdistill.figures.draw import draw_models
from cgdistill.figures.style import Palette, models_in_order
from cgdistill.runtime.job import job

with job(snakemake.log[0]):
    draw_models(
        **dict(snakemake.input.items()),
        palette=Palette(models_in_order(**snakemake.params.models)),
        folder=Path(snakemake.output[0]).parent,
    )
