"""Mean and spread of the predictions of all sound teachers.

Inputs: health, predictions and checks (one per teacher). Outputs: mean, check.
"""

import pandas as pd
from cgdistill.console import job
from cgdistill.learning.failures import read_health, sound_files
from cgdistill.learning.predictions import average_predictions, read_predictions, write_predictions
from cgdistill.provenance import stamp
from cgdistill.tables import read_table, write_table

with job(snakemake.log[0]) as log:
    source, health = snakemake.input, read_health(snakemake.input.health)
    teachers = [name for name in snakemake.params.teachers if not health[name]]
    used = sound_files(source.predictions, source.health)
    mean = average_predictions([read_predictions(path) for path in used], teachers)
    log.info("mean of %d of %d teachers", len(teachers), len(health))
    log.info("spread of the forces %.3f kcal/mol/A", float((mean.forces_spread_kcal_mol_A**2).mean() ** 0.5))
    write_predictions(snakemake.output.mean, mean, stamp({"teachers": teachers}, used))
    checks = pd.concat([read_table(path) for path in source.checks], ignore_index=True)
    write_table(snakemake.output.check, checks, stamp({"teachers": teachers}, source.checks))
