"""Which teachers may be averaged and learned from.

Inputs: metrics and networks (settings), one of each per teacher. Output: health.
"""

from pathlib import Path

from cgdistill.io.csv_tables import write_table
from cgdistill.provenance.record import stamp
from cgdistill.runtime.job import job

with job(snakemake.log[0]) as log:
    from cgdistill.training.teacher_selection import judge_teachers

    source, params = snakemake.input, snakemake.params
    health = judge_teachers([Path(path).parent for path in source.metrics], params.min_share, params.then)
    for row in health[health["reason"] != ""].itertuples():
        log.warning("%s: excluded: %s", row.teacher, row.reason)
    log.info("%d of %d teachers are used", (health["reason"] == "").sum(), len(health))
    settings = {"min_share": params.min_share, "then": params.then}
    write_table(snakemake.output.health, health, stamp(settings, [*source.metrics, *source.networks]))
