"""Noise ceiling, spread of the teachers, training, forces and prior.

Inputs: teachers, students (histories), training, networks, ceiling, spread (tables of the run), beads, split, teacher
(predictions of each), health (of the teachers), mean, predictions (of students), prior, reference. Outputs: figures.
"""

from pathlib import Path

from cgdistill.config.models import models_in_order
from cgdistill.core.vocabulary import NetworkStatus
from cgdistill.figures.catalogue import catalogue_of, drawn_by
from cgdistill.figures.draw import draw
from cgdistill.figures.run_files import NetworkFiles
from cgdistill.figures.style import Palette
from cgdistill.io.csv_tables import read_table
from cgdistill.runtime.job import job
from cgdistill.training.teacher_selection import sound_files

with job(snakemake.log[0]):
    source, params = dict(snakemake.input.items()), snakemake.params
    models = models_in_order(**params.models)
    entries = catalogue_of(models, params.figures)
    networks = read_table(source.pop("networks"), ["variant", "status"])
    excluded = set(networks.loc[networks["status"] == NetworkStatus.EXCLUDED, "variant"])
    students = zip(params.students, source["predictions"], strict=True)
    source["predictions"] = {name: path for name, path in students if name not in excluded}
    source["teacher"] = sound_files(source["teacher"], source.pop("health"))[0]
    files = NetworkFiles(Palette(models), **source, temperature_K=params.temperature_K)
    draw(drawn_by(entries, "networks"), files, Path(snakemake.output[0]).parent)
