"""Record size, checksum and stage of every product of the run.

Inputs: page, cards (the last products), files (named by the config). Output: manifest.
"""

from cgdistill.provenance.manifest import write_manifest
from cgdistill.runtime.job import job

with job(snakemake.log[0], snakemake.threads):
    source, params = snakemake.input, snakemake.params
    write_manifest(
        snakemake.output.manifest,
        folder=params.folder,
        stages=params.stages,
        shared=params.shared,
        config=snakemake.config,
        inputs=source.files,
        threads=snakemake.threads,
    )
