"""Errors and curves of all models, of energy targets and by teacher, and which models can be told apart.

Inputs: summary, tae, runs, comparisons (tables of the run), reference, curves (per variant). Outputs: the figures.
"""

from pathlib import Path

from cgdistill.config.models import models_in_order
from cgdistill.figures.catalogue import catalogue_of, drawn_by
from cgdistill.figures.draw import draw
from cgdistill.figures.run_files import StructureFiles
from cgdistill.figures.style import Palette
from cgdistill.runtime.job import job

with job(snakemake.log[0]):
    source, params = dict(snakemake.input.items()), snakemake.params
    models = models_in_order(**params.models)
    entries = catalogue_of(models, params.figures)
    files = StructureFiles(Palette(models), **source)
    draw(drawn_by(entries, "structure"), files, Path(snakemake.output[0]).parent)
