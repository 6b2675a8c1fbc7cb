"""Split the frames into training, validation and test set.

Input: beads. Output: split.
"""

from cgdistill.data.beads import BeadFile
from cgdistill.data.split import split_frames, write_split
from cgdistill.provenance.record import stamp
from cgdistill.runtime.job import job

with job(snakemake.log[0]) as log:
    settings, seed = snakemake.params.split, snakemake.params.seed
    with BeadFile(snakemake.input.beads) as beads:
        n_frames = len(beads)
    split = split_frames(n_frames, settings, settings["method"], seed, settings["max_train_frames"])
    log.info("%d training, %d validation, %d test frames", len(split.train), len(split.valid), len(split.test))
    write_split(snakemake.output.split, split, stamp(settings, dict(snakemake.input.items()), seed=seed))
