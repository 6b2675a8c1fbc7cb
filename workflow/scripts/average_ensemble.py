"""Mean and spread of the teachers' predictions over exactly the listed teachers.

Inputs: predictions and checks (one per teacher). Outputs: mean, check.
"""

import pandas as pd
from cgdistill.console import job
from cgdistill.learning.predictions import average_predictions, read_predictions, write_predictions
from cgdistill.provenance import stamp
from cgdistill.tables import read_table, write_table

with job(snakemake.log[0]) as log:
    source, teachers = snakemake.input, list(snakemake.params.teachers)
    mean = average_predictions([read_predictions(path) for path in source.predictions], teachers)
    log.info("spread of the forces %.3f kcal/mol/A", float((mean.forces_spread_kcal_mol_A**2).mean() ** 0.5))
    write_predictions(snakemake.output.mean, mean, stamp({"teachers": teachers}, source.predictions))
    checks = pd.concat([read_table(path) for path in source.checks], ignore_index=True)
    write_table(snakemake.output.check, checks, stamp({"teachers": teachers}, source.checks))
