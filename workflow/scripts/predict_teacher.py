"""Predict all frames with teachers, and check their forces against finite differences.

Inputs: beads, split, networks. Outputs: predictions and check in each teacher's folder.
"""

from pathlib import Path

from cgdistill.runtime.job import job

with job(snakemake.log[0], snakemake.threads):
    # After the threads are pinned: torch reads them when it loads.
    from cgdistill.training.prediction_job import predict_teachers

    source, params = snakemake.input, snakemake.params
    folders = [Path(folder) for folder in params.folders]
    predict_teachers(folders, source.beads, source.split, params.batch_size, params.seed, params.device)
