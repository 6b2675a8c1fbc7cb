"""All figures of the run, SVG and PNG.

Inputs: summary, runs, training (tables of the run), reference, curves (per variant), teachers, students (histories),
records and thermo (of each simulation), prior, beads, split, teacher, mean, predictions. Outputs: the figures.
"""

from pathlib import Path

from cgdistill.console import job
from cgdistill.figures import draw
from cgdistill.figures.style import Palette, models_in_order

with job(snakemake.log[0]) as log:
    source, params = snakemake.input, snakemake.params
    folder = Path(snakemake.output.tae_overall[0]).parent
    palette = Palette(models_in_order(params.variants, params.labels, params.kinds))
    students = dict(zip(params.students, source.predictions, strict=True))
    drawn = [
        *draw.draw_errors(source.summary, palette, folder),
        *draw.draw_curves(source.reference, source.curves, source.runs, palette, folder),
        *draw.draw_training(source.teachers, source.students, source.training, palette, folder),
        *draw.draw_parity(source.beads, source.split, source.teacher, source.mean, students, palette, folder),
        *draw.draw_prior(source.prior, source.reference, params.temperature_K, folder),
        *draw.draw_energy(source.records, source.runs, palette, folder),
    ]
    log.info("%d figures: %s", len(drawn), ", ".join(drawn))
