"""The report page of the run.

Inputs: figures, summary, runs, performance, training, check, students, beads, split, captions. Outputs: page.
"""

from cgdistill.console import job
from cgdistill.figures.style import Palette, models_in_order
from cgdistill.report import write_report
from cgdistill.report_data import gather, render_captions

with job(snakemake.log[0]):
    source, params = snakemake.input, snakemake.params
    data = gather(
        run=params.run,
        config=snakemake.config,
        palette=Palette(models_in_order(params.variants, params.labels, params.kinds)),
        tables={name: source[name] for name in ("summary", "runs", "performance", "training", "check", "students")},
        beads=source.beads,
        split=source.split,
        figures=source.figures,
        captions=render_captions(source.captions, snakemake=snakemake),
    )
    write_report(snakemake.output.page, data)
