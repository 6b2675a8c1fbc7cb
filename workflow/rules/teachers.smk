# Teachers on the noisy all-atom forces, their predictions, and the ensemble's mean.
NETWORK_FILES = ["weights.safetensors", "network.json", "history.csv", "metrics.csv", "test_predictions.h5"]


rule train_teacher:
    input:
        beads=BEADS,
        split=SPLIT,
        prior=PRIOR,
    output:
        expand(f"{RESULTS}/teachers/{{teacher}}/{{file}}", file=NETWORK_FILES, allow_missing=True),
    log:
        f"{LOGS}/teachers/{{teacher}}/train_teacher.log",
    benchmark:
        f"{BENCH}/teachers/{{teacher}}/train_teacher.tsv"
    conda:
        "../../envs/cgdistill.yaml"
    threads: job_threads("train")
    resources:
        **job_resources("train"),
    params:
        tasks=no_rerun(lambda wildcards: teacher_tasks([wildcards.teacher])),
        seed=config["seed"],
        network=config["network"],
        training=TRAINING,
        weights={"F": 1.0},
        failures=no_rerun(FAILURES | {"min_r2_gain": config["failures"]["min_teacher_r2_gain"]}),
        device=config["device"],
        code=code_of("train"),
    message:
        "Train teacher {wildcards.teacher}"
    script:
        "../scripts/train.py"


use rule train_teacher as train_teachers_together with:
    output:
        expand(f"{RESULTS}/teachers/{{teacher}}/{{file}}", teacher=OWN_TEACHERS, file=NETWORK_FILES),
    log:
        f"{LOGS}/teachers/train_teachers_together.log",
    benchmark:
        f"{BENCH}/teachers/train_teachers_together.tsv"
    params:
        tasks=no_rerun(lambda wildcards: teacher_tasks(OWN_TEACHERS)),
    message:
        "Train all teachers"


if TOGETHER:

    ruleorder: train_teachers_together > train_teacher

else:

    ruleorder: train_teacher > train_teachers_together


rule predict_teacher:
    input:
        beads=BEADS,
        split=SPLIT,
        networks=expand(f"{RESULTS}/teachers/{{teacher}}/{{file}}", file=NETWORK_FILES[:2], allow_missing=True),
    output:
        predictions=f"{RESULTS}/teachers/{{teacher}}/predictions.h5",
        check=f"{RESULTS}/teachers/{{teacher}}/gradient_check.csv",
    log:
        f"{LOGS}/teachers/{{teacher}}/predict_teacher.log",
    benchmark:
        f"{BENCH}/teachers/{{teacher}}/predict_teacher.tsv"
    conda:
        "../../envs/cgdistill.yaml"
    threads: job_threads("predict")
    resources:
        **job_resources("predict"),
    params:
        batch_size=config["training"]["evaluation_batch_size"],
        seed=derive(config["seed"], "gradient check"),
        device=config["device"],
        code=code_of("predict_teacher"),
    message:
        "Predict forces and per-bead energies with teacher {wildcards.teacher}"
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
        **job_resources("light"),
    params:
        min_share=config["failures"]["min_teacher_r2_share"],
        then=config["failures"]["then"],
        code=code_of("judge_teachers"),
    message:
        "Judge which teachers are sound"
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
        **job_resources("predict", gpu=False),
    params:
        teachers=list(TEACHERS),
        code=code_of("average_ensemble"),
    message:
        "Average {params.teachers}"
    script:
        "../scripts/average_ensemble.py"
