"""Fit the repulsive prior to the training frames.

Inputs: beads, split. Output: prior.
"""

from cgdistill.beads import BeadFile
from cgdistill.console import job, progress
from cgdistill.prior import fit_prior, write_prior
from cgdistill.provenance import stamp
from cgdistill.split import read_split

CHUNK = 32

with job(snakemake.log[0]) as log:
    with BeadFile(snakemake.input.beads) as beads:
        train = read_split(snakemake.input.split, len(beads)).train
        starts = range(0, len(train), CHUNK)
        chunks = (beads.frames(train[start : start + CHUNK]) for start in starts)
        table = fit_prior(
            progress(chunks, len(starts), "closest pairs", "chunks"),
            beads.topology,
            source=snakemake.input.beads,
            **snakemake.params.prior,
        )
    log.info("prior:\n%s", table.to_string(index=False))
    write_prior(snakemake.output.prior, table, stamp(snakemake.params.prior, dict(snakemake.input.items())))
