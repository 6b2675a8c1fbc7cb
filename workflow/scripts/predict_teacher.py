"""Predict all frames with a teacher, and check its forces against finite differences.

Inputs: beads, split, networks. Outputs: predictions, check, in the teacher's folder.
"""

from pathlib import Path

from cgdistill.runtime.job import job

with job(snakemake.log[0], snakemake.threads):
    # After the threads are pinned: torch reads them when it loads.
    from cgdistill.training.prediction_job import predict_teachers

    source, params = snakemake.input, snakemake.params
    folder = Path(snakemake.output.predictions).parent
    predict_teachers([folder], source.beads, source.split, params.batch_size, params.seed, params.device)
