"""Errors and curves of all models, of energy targets and by teacher, and which models can be told apart.

Inputs: summary, tae, runs, comparisons (tables of the run), reference, curves (per variant). Outputs: the figures.
"""

from pathlib import Path

from cgdistill.config.variants import Variant
from cgdistill.figures.draw import draw_structure
from cgdistill.figures.style import Palette, models_in_order
from cgdistill.runtime.job import job

with job(snakemake.log[0]):
    draw_structure(
        **dict(snakemake.input.items()),
        students=[Variant(**student) for student in snakemake.params.students],
        palette=Palette(models_in_order(**snakemake.params.models)),
        folder=Path(snakemake.output[0]).parent,
    )
