# Teachers on the noisy all-atom forces, their predictions, and the ensemble's mean.
rule train_teacher:
    input:
        beads=rules.map_trajectory.output.beads,
        split=rules.split_frames.output.split,
        prior=rules.fit_prior.output.prior,
    output:
        weights=f"{RESULTS}/teachers/seed-{{seed}}/weights.safetensors",
        settings=f"{RESULTS}/teachers/seed-{{seed}}/network.json",
        history=f"{RESULTS}/teachers/seed-{{seed}}/history.csv",
        metrics=f"{RESULTS}/teachers/seed-{{seed}}/metrics.csv",
    log:
        f"{LOGS}/teachers/seed-{{seed}}/train_teacher.log",
    benchmark:
        f"{BENCH}/teachers/seed-{{seed}}/train_teacher.tsv"
    conda:
        "../../envs/cgdistill.yaml"
    threads: JOBS["train"]["threads"]
    resources:
        mem_mb=JOBS["train"]["mem_mb"],
        runtime=JOBS["train"]["runtime_min"],
        gpu=JOBS["train"]["gpu"],
    params:
        network=config["network"],
        training=config["training"],
        weights={"F": 1.0},
        seed=lambda wildcards: derive(config["seed"], "teacher", wildcards.seed),
        device=config["device"],
        checkpoint=lambda wildcards: f"{CHECKPOINTS}/teachers/seed-{wildcards.seed}.pt",
        code=source_digest("training_job"),
    message:
        "Train teacher {wildcards.seed}"
    script:
        "../scripts/train.py"


rule predict_teacher:
    input:
        beads=rules.map_trajectory.output.beads,
        split=rules.split_frames.output.split,
        weights=rules.train_teacher.output.weights,
        settings=rules.train_teacher.output.settings,
    output:
        predictions=f"{RESULTS}/teachers/seed-{{seed}}/predictions.h5",
        check=f"{RESULTS}/teachers/seed-{{seed}}/gradient_check.csv",
    log:
        f"{LOGS}/teachers/seed-{{seed}}/predict_teacher.log",
    benchmark:
        f"{BENCH}/teachers/seed-{{seed}}/predict_teacher.tsv"
    conda:
        "../../envs/cgdistill.yaml"
    threads: JOBS["predict"]["threads"]
    resources:
        mem_mb=JOBS["predict"]["mem_mb"],
        runtime=JOBS["predict"]["runtime_min"],
        gpu=JOBS["predict"]["gpu"],
    params:
        batch_size=config["training"]["evaluation_batch_size"],
        seed=derive(config["seed"], "gradient check"),
        device=config["device"],
        code=[source_digest("predictions"), source_digest("gradient_check")],
    message:
        "Predict forces and per-bead energies with teacher {wildcards.seed}"
    script:
        "../scripts/predict_teacher.py"


rule average_ensemble:
    input:
        predictions=expand(rules.predict_teacher.output.predictions, seed=SEEDS),
        checks=expand(rules.predict_teacher.output.check, seed=SEEDS),
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
        code=source_digest("predictions"),
    message:
        "Average {params.teachers}"
    script:
        "../scripts/average_ensemble.py"
