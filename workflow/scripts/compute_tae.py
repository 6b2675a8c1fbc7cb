"""Total absolute error of the runs of a variant, and its summary.

Inputs: reference, curves, runs. Outputs: tae, summary.
"""

from cgdistill.console import job
from cgdistill.provenance import stamp
from cgdistill.structure.curves import read_curves
from cgdistill.structure.tae import summarise, tae_table
from cgdistill.tables import read_table, write_table

with job(snakemake.log[0]):
    source = snakemake.input
    runs = read_table(source.runs)
    labels = {snakemake.wildcards.variant: snakemake.params.label}
    tae = tae_table(read_curves(source.reference), read_curves(source.curves), runs, labels)
    provenance = stamp(labels, dict(source.items()))
    write_table(snakemake.output.tae, tae, provenance)
    write_table(snakemake.output.summary, summarise(tae, runs), provenance)
