"""The report page of the run.

Inputs: figures, tables of the run, check, students, beads, split, cards, captions. Output: page.
"""

from pathlib import Path

from cgdistill.config.models import models_in_order
from cgdistill.figures.style import Palette
from cgdistill.report.data import gather
from cgdistill.report.figures import Captions
from cgdistill.report.page import write_report
from cgdistill.runtime.job import job

TABLES = "summary tae runs performance training networks comparisons noise ceiling spread check students".split()

with job(snakemake.log[0]):
    source, params = snakemake.input, snakemake.params
    data = gather(
        run=params.run,
        config=snakemake.config,
        palette=Palette(models_in_order(**params.models)),
        tables={name: source[name] for name in TABLES},
        beads=source.beads,
        split=source.split,
        figures=source.figures,
        captions=Captions(source.captions, snakemake=snakemake),
        cards=source.cards,
        benchmarks=sorted(Path(params.benchmarks).rglob("*.tsv")),
    )
    write_report(snakemake.output.page, data)
