"""First and last frames of the reference and of one run per kind of model, rendered.

Inputs: beads, reference (curves), trajectories (equilibration and production of each run). Output: the figure.
"""

from pathlib import Path

from cgdistill.figures.draw import draw_boxes
from cgdistill.figures.style import Palette, models_in_order
from cgdistill.runtime.job import job

with job(snakemake.log[0]):
    source, params = snakemake.input, snakemake.params
    dumps = list(source.trajectories)
    draw_boxes(
        beads=source.beads,
        trajectories=dict(zip(params.variants, zip(dumps[::2], dumps[1::2], strict=True), strict=True)),
        reference=source.reference,
        palette=Palette(models_in_order(**params.models)),
        folder=Path(snakemake.output[0]).parent,
    )
