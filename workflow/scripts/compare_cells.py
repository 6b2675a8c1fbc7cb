"""Put the cells of a sweep side by side.

Inputs: report, tables of each cell. Outputs: table, figure, page.
"""

from pathlib import Path

from cgdistill.report.sweep_study import StudyCell, write_study
from cgdistill.runtime.job import job

with job(snakemake.log[0], snakemake.threads):
    params = snakemake.params
    write_study(
        params.study,
        [StudyCell(cell["name"], cell["settings"], Path(cell["folder"])) for cell in params.cells],
        params.base,
        Path(snakemake.output.page).parent,
        params.command,
    )
