"""Fit the prior to the training frames.

Inputs: beads, split. Output: prior.
"""

from cgdistill.data.beads import BeadFile
from cgdistill.data.split import read_split
from cgdistill.forcefield.prior.terms import fit_prior, write_prior
from cgdistill.provenance.record import stamp
from cgdistill.runtime.job import job, progress

CHUNK = 32

with job(snakemake.log[0]) as log:
    with BeadFile(snakemake.input.beads) as beads:
        train = read_split(snakemake.input.split, len(beads)).train
        starts = range(0, len(train), CHUNK)
        chunks = (beads.frames(train[start : start + CHUNK]) for start in starts)
        table = fit_prior(
            progress(chunks, len(starts), "closest pairs", "chunks"),
            beads.topology,
            snakemake.params.prior,
            source=snakemake.input.beads,
        )
    log.info("prior:\n%s", table.to_string(index=False))
    write_prior(snakemake.output.prior, table, stamp(snakemake.params.prior, dict(snakemake.input.items())))
