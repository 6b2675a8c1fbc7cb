"""Peaks, clusters and energies in the course of the simulations, cluster distribution functions resolved in time.

Inputs: simulations (folder of each model's runs), runs (table of the run), resolved, series (per variant, and of the
reference). Outputs: the figures.
"""

from pathlib import Path

from cgdistill.config.models import models_in_order
from cgdistill.figures.catalogue import catalogue_of, drawn_by
from cgdistill.figures.draw import draw
from cgdistill.figures.run_files import StabilityFiles
from cgdistill.figures.style import Palette
from cgdistill.md.run_record import run_folders
from cgdistill.runtime.job import job

with job(snakemake.log[0]):
    source, params = dict(snakemake.input.items()), snakemake.params
    models = models_in_order(**params.models)
    entries = catalogue_of(models, params.figures)
    source["records"] = [run / "run.json" for run in run_folders(source.pop("simulations"))]
    files = StabilityFiles(Palette(models), **source)
    draw(drawn_by(entries, "stability"), files, Path(snakemake.output[0]).parent)
