# Teachers on the noisy all-atom forces, their predictions, and the ensemble's mean. Several share a job.
NETWORK_FILES = ["weights.safetensors", "network.json", "history.csv", "metrics.csv", "test_predictions.h5"]
TRAINING = value_settings(config, "training")
TRAINED_TOGETHER = config["training"]["models_per_job"]


OWN_TEACHERS = [name for name in TEACHERS if name not in SHARED.get("teachers", {})]


for number, names in enumerate(chunks(OWN_TEACHERS, TRAINED_TOGETHER), start=1):

    rule:
        name:
            f"train_teacher_{number}"
        input:
            beads=BEADS,
            split=SPLIT,
            prior=PRIOR,
        output:
            expand(f"{RESULTS}/teachers/{{teacher}}/{{file}}", teacher=names, file=NETWORK_FILES),
        log:
            f"{LOGS}/teachers/train_teacher_{number}.log",
        benchmark:
            f"{BENCH}/teachers/train_teacher_{number}.tsv"
        conda:
            "../../envs/cgdistill.yaml"
        threads: JOBS["train"]["threads"]
        resources:
            mem_mb=JOBS["train"]["mem_mb"],
            runtime=JOBS["train"]["runtime_min"],
            gpu=JOBS["train"]["gpu"],
            gres=JOBS["train"]["gres"],
        params:
            folders=[f"{RESULTS}/teachers/{name}" for name in names],
            seeds=[derive(config["seed"], "teacher", name.removeprefix("seed-")) for name in names],
            checkpoints=[f"{CHECKPOINTS}/teachers/{name}.pt" for name in names],
            network=config["network"],
            training=TRAINING,
            weights={"F": 1.0},
            failures=not_compared(FAILURES | {"min_r2_gain": config["failures"]["min_teacher_r2_gain"]}),
            device=config["device"],
            code=source_digest("training.training_job"),
        message:
            f"Train teachers {', '.join(names)}"
        script:
            "../scripts/train.py"

    rule:
        name:
            f"predict_teacher_{number}"
        input:
            beads=BEADS,
            split=SPLIT,
            networks=expand(f"{RESULTS}/teachers/{{teacher}}/{{file}}", teacher=names, file=NETWORK_FILES[:2]),
        output:
            expand(
                f"{RESULTS}/teachers/{{teacher}}/{{file}}",
                teacher=names,
                file=["predictions.h5", "gradient_check.csv"],
            ),
        log:
            f"{LOGS}/teachers/predict_teacher_{number}.log",
        benchmark:
            f"{BENCH}/teachers/predict_teacher_{number}.tsv"
        conda:
            "../../envs/cgdistill.yaml"
        threads: JOBS["predict"]["threads"]
        resources:
            mem_mb=JOBS["predict"]["mem_mb"],
            runtime=JOBS["predict"]["runtime_min"],
            gpu=JOBS["predict"]["gpu"],
            gres=JOBS["predict"]["gres"],
        params:
            folders=[f"{RESULTS}/teachers/{name}" for name in names],
            batch_size=config["training"]["evaluation_batch_size"],
            seed=derive(config["seed"], "gradient check"),
            device=config["device"],
            code=source_digest("training.prediction_job"),
        message:
            f"Predict forces and per-bead energies with teachers {', '.join(names)}"
        script:
            "../scripts/predict_teacher.py"


rule judge_teachers:
    input:
        metrics=[f"{folder}/metrics.csv" for folder in TEACHERS.values()],
        networks=[f"{folder}/network.json" for folder in TEACHERS.values()],
    output:
        health=HEALTH,
    log:
        f"{LOGS}/teachers/judge_teachers.log",
    conda:
        "../../envs/cgdistill.yaml"
    resources:
        mem_mb=JOBS["light"]["mem_mb"],
        runtime=JOBS["light"]["runtime_min"],
    params:
        min_share=config["failures"]["min_teacher_r2_share"],
        then=config["failures"]["then"],
        code=source_digest("training.teacher_selection"),
    message:
        "Look which teachers are sound"
    script:
        "../scripts/judge_teachers.py"


rule average_ensemble:
    input:
        health=HEALTH,
        predictions=[f"{folder}/predictions.h5" for folder in TEACHERS.values()],
        checks=[f"{folder}/gradient_check.csv" for folder in TEACHERS.values()],
    output:
        mean=f"{RESULTS}/teachers/mean.h5",
        check=f"{RESULTS}/teachers/gradient_check.csv",
    log:
        f"{LOGS}/teachers/average_ensemble.log",
    conda:
        "../../envs/cgdistill.yaml"
    resources:
        mem_mb=JOBS["predict"]["mem_mb"],
        runtime=JOBS["light"]["runtime_min"],
    params:
        teachers=teacher_names(),
        code=source_digest("training.predictions"),
    message:
        "Average {params.teachers}"
    script:
        "../scripts/average_ensemble.py"
