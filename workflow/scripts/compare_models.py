"""Which models can be told apart by their errors, and the noise of the reference.

Inputs: tae, runs (tables of the run), blocks (of the reference). Outputs: comparisons, noise.
"""

from cgdistill.io.csv_tables import read_table, write_table
from cgdistill.provenance.record import stamp
from cgdistill.runtime.job import job
from cgdistill.statistics import StatisticsSpec, compare_variants, reference_noise
from cgdistill.structure.files import read_blocks

with job(snakemake.log[0]):
    source, output, params = snakemake.input, snakemake.output, snakemake.params
    spec = StatisticsSpec.from_config(params.statistics)
    provenance = stamp(dict(params.statistics), dict(source.items()), seed=params.seed)
    comparisons = compare_variants(read_table(source.tae), read_table(source.runs), dict(params.kinds), spec)
    write_table(output.comparisons, comparisons, provenance)
    write_table(output.noise, reference_noise(read_blocks(source.blocks), spec, params.seed), provenance)
