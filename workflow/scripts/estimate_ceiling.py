"""The largest R² that a perfect mean force could reach on the all-atom forces of the test frames.

Inputs: beads, split, predictions and networks of the teachers, their health, training (table of the run). Output:
ceiling.
"""

from cgdistill.analysis.noise_ceiling import estimate_ceiling
from cgdistill.io.csv_tables import write_table
from cgdistill.provenance.record import stamp
from cgdistill.runtime.job import job
from cgdistill.training.teacher_selection import sound_files

with job(snakemake.log[0]):
    source, params = snakemake.input, snakemake.params
    predictions = sound_files(source.predictions, source.health)
    ceiling = estimate_ceiling(
        source.beads,
        source.split,
        predictions,
        source.training,
        resamples=params.statistics["resamples"],
        confidence=params.statistics["confidence"],
        seed=params.seed,
    )
    files = [source.beads, source.split, *predictions, source.health, source.training]
    write_table(snakemake.output.ceiling, ceiling, stamp(dict(params.statistics), files, seed=params.seed))
