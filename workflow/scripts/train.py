"""Train a teacher or a student.

Inputs: beads, split, prior; for a student predictions. Outputs: weights, settings, history, metrics (one folder).
"""

from pathlib import Path

from cgdistill.console import job

with job(snakemake.log[0], snakemake.threads):
    # After the threads are pinned: torch reads them when it loads.
    from cgdistill.training_job import run_training

    source, params = snakemake.input, snakemake.params
    run_training(
        Path(snakemake.output.weights).parent,
        source.beads,
        source.split,
        source.prior,
        source.get("predictions"),
        params.network,
        params.training,
        params.weights,
        params.seed,
        params.device,
        params.checkpoint,
    )
