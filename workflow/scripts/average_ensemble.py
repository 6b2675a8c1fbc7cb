"""Mean and spread of the predictions of all sound teachers.

Inputs: health, predictions and checks (one per teacher). Outputs: mean, check.
"""

import pandas as pd
from cgdistill.io.csv_tables import read_table, write_table
from cgdistill.provenance.record import stamp
from cgdistill.runtime.job import job
from cgdistill.training.predictions import average_files
from cgdistill.training.teacher_selection import read_health, sound_files

with job(snakemake.log[0]) as log:
    source, health = snakemake.input, read_health(snakemake.input.health)
    teachers = [name for name in snakemake.params.teachers if not health[name]]
    used = sound_files(source.predictions, source.health)
    spread = average_files(snakemake.output.mean, used, teachers, stamp({"teachers": teachers}, used))
    log.info("mean of %d of %d teachers, spread of the forces %.3f kcal/mol/A", len(teachers), len(health), spread)
    checks = pd.concat([read_table(path) for path in source.checks], ignore_index=True)
    write_table(snakemake.output.check, checks, stamp({"teachers": teachers}, source.checks))
