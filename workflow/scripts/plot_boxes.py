"""First and last frames of the reference and of one run per kind of model, rendered.

Inputs: beads, reference (curves), simulations (of one member of each variant). Output: the figure.
"""

from pathlib import Path

from cgdistill.config.models import models_in_order
from cgdistill.figures.catalogue import catalogue_of, drawn_by
from cgdistill.figures.draw import draw
from cgdistill.figures.run_files import BoxFiles
from cgdistill.figures.style import Palette
from cgdistill.md.run_record import run_folders
from cgdistill.runtime.job import job

with job(snakemake.log[0]):
    source, params = dict(snakemake.input.items()), snakemake.params
    models = models_in_order(**params.models)
    entries = catalogue_of(models, params.figures)
    runs = [run_folders([folder])[0] for folder in source.pop("simulations")]
    dumps = [(run / "equilibration.lammpstrj", run / "trajectory.lammpstrj") for run in runs]
    source["trajectories"] = dict(zip(params.variants, dumps, strict=True))
    files = BoxFiles(Palette(models), **source)
    draw(drawn_by(entries, "boxes"), files, Path(snakemake.output[0]).parent)
