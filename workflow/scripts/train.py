"""Train teachers or the students of one variant.

Inputs: beads, split, prior; for students predictions (one per student) and health (of the teachers). Outputs: five
files in each folder.
"""

from pathlib import Path

from cgdistill.runtime.job import job

with job(snakemake.log[0], snakemake.threads):
    # After the threads are pinned: torch reads them when it loads.
    from cgdistill.training.teacher_selection import read_health
    from cgdistill.training.training_job import TrainingInputs, TrainingSettings, TrainingTask, run_trainings

    source, params = snakemake.input, snakemake.params
    predictions = source.get("predictions") or [None] * len(params.folders)
    health = read_health(source.health) if "health" in source.keys() else {}
    reasons = [health.get(Path(folder).name, "") for folder in params.folders]
    rows = zip(params.folders, params.seeds, predictions, params.checkpoints, reasons, strict=True)
    run_trainings(
        [
            TrainingTask(Path(folder), seed, path and Path(path), Path(state), reason and f"its teacher: {reason}")
            for folder, seed, path, state, reason in rows
        ],
        TrainingInputs(source.beads, source.split, source.prior),
        TrainingSettings(params.network, params.training, params.weights, params.failures),
        params.device,
    )
