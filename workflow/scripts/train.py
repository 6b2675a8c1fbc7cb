"""Train a teacher or a student, or several in one job.

Inputs: beads, split, prior; for students predictions (one per student) and health (of the teachers). Outputs: five
files in the folder of each.
"""

from pathlib import Path

from cgdistill.runtime.job import job

with job(snakemake.log[0], snakemake.threads):
    # After the threads are pinned: torch reads them when it loads.
    from cgdistill.training.teacher_selection import read_health
    from cgdistill.training.training_job import TrainingInputs, TrainingSettings, TrainingTask, run_trainings

    source, params = snakemake.input, snakemake.params
    found = source.get("predictions")
    predictions = [None] * len(params.tasks) if found is None else [found] if isinstance(found, str) else found
    health = read_health(source.health) if "health" in source.keys() else {}
    tasks = []
    for task, labels in zip(params.tasks, predictions, strict=True):
        folder, reason = Path(task["folder"]), health.get(Path(task["folder"]).name, "")
        excluded = reason and f"its teacher: {reason}"
        tasks.append(TrainingTask(folder, task["seed"], labels and Path(labels), Path(task["checkpoint"]), excluded))
    run_trainings(
        tasks,
        TrainingInputs(source.beads, source.split, source.prior),
        TrainingSettings(params.network, params.training, params.weights, params.failures),
        params.device,
    )
