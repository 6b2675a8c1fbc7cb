"""Tables of the whole run from those of its variants, networks and simulations.

Inputs: tae, summary, runs, curves (one per variant), reference (curves), simulations (folder of each model's runs),
teachers, students (metrics), teacher_networks, student_networks (settings), health (of the teachers). Outputs: tae,
summary, runs, performance, training, networks, curves.
"""

from cgdistill.io.csv_tables import write_table
from cgdistill.md.run_record import run_folders
from cgdistill.provenance.record import stamp
from cgdistill.results import collect_tables as collect
from cgdistill.runtime.job import job
from cgdistill.structure.files import write_curves
from cgdistill.training.teacher_selection import read_health

with job(snakemake.log[0]):
    source, output, labels = snakemake.input, snakemake.output, dict(snakemake.params.labels)
    write_table(output.tae, collect.tae_of(source.tae), stamp(labels, source.tae))
    write_table(output.summary, collect.summary_of(source.summary), stamp(labels, source.summary))
    write_table(output.runs, collect.runs_of(source.runs, labels), stamp(labels, source.runs))
    records = [folder / "run.json" for folder in run_folders(source.simulations)]
    versions, speed = collect.versions_of(records), collect.performance_of(records, labels)
    write_table(output.performance, speed, stamp(labels, records, versions=versions))
    files = [*source.teacher_networks, *source.student_networks, source.health]
    networks = collect.networks_of(source.teacher_networks, source.student_networks, read_health(source.health), labels)
    write_table(output.networks, networks, stamp(labels, files))
    training = collect.training_of(source.teachers, source.students, labels, networks)
    write_table(output.training, training, stamp(labels, [*source.teachers, *source.students, source.health]))
    curves = [source.reference, *source.curves]
    write_curves(output.curves, collect.curves_of(curves), stamp(labels, curves))
