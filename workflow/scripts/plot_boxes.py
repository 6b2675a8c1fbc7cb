"""First and last frames of the reference and of one run per kind of model, rendered.

Inputs: beads, reference (curves), trajectories (equilibration and production of each run). Output: the figure.
"""

from pathlib import Path

from cgdistill.config.models import models_in_order
from cgdistill.figures.catalogue import catalogue_of, drawn_by
from cgdistill.figures.draw import draw
from cgdistill.figures.run_files import BoxFiles
from cgdistill.figures.style import Palette
from cgdistill.runtime.job import job

with job(snakemake.log[0]):
    source, params = dict(snakemake.input.items()), snakemake.params
    models = models_in_order(**params.models)
    entries = catalogue_of(models, params.figures)
    dumps = list(source["trajectories"])
    source["trajectories"] = dict(zip(params.variants, zip(dumps[::2], dumps[1::2], strict=True), strict=True))
    files = BoxFiles(Palette(models), **source)
    draw(drawn_by(entries, "boxes"), files, Path(snakemake.output[0]).parent)
