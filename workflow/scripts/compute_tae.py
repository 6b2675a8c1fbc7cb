"""Total absolute error of the runs of a variant, and its summary with intervals and noise.

Inputs: reference, reference_blocks, curves, blocks, runs. Outputs: tae, summary.
"""

from cgdistill.io.csv_tables import read_table, write_table
from cgdistill.provenance.record import stamp
from cgdistill.runtime.job import job
from cgdistill.statistics import StatisticsSpec, summarise
from cgdistill.structure.files import read_blocks, read_curves
from cgdistill.structure.tae import tae_table

with job(snakemake.log[0], snakemake.threads):
    source, params = snakemake.input, snakemake.params
    runs = read_table(source.runs)
    labels = {snakemake.wildcards.variant: params.label}
    tae = tae_table(read_curves(source.reference), read_curves(source.curves), runs, labels)
    spec = StatisticsSpec.from_config(params.statistics)
    blocks = read_blocks(source.reference_blocks), read_blocks(source.blocks)
    summary = summarise(tae, runs, *blocks, spec, params.seed)
    provenance = stamp(dict(params.statistics) | {"labels": labels}, dict(source.items()), seed=params.seed)
    write_table(snakemake.output.tae, tae, provenance)
    write_table(snakemake.output.summary, summary, provenance)
