# Students of one teacher (a member per teacher) or of the ensemble's mean, and the export of every model.
#: Variants whose members each learn from one teacher.
SINGLE_STUDENTS = [variant for variant in VARIANTS if KINDS[variant] == ModelKind.SINGLE]


rule train_student:
    input:
        beads=BEADS,
        split=SPLIT,
        prior=PRIOR,
        health=HEALTH,
        predictions=lambda wildcards: teacher_predictions(wildcards.member),
    output:
        expand(f"{RESULTS}/students/{{variant}}/{{member}}/{{file}}", file=NETWORK_FILES, allow_missing=True),
    log:
        f"{LOGS}/students/{{variant}}/{{member}}/train_student.log",
    benchmark:
        f"{BENCH}/students/{{variant}}/{{member}}/train_student.tsv"
    conda:
        "../../envs/cgdistill.yaml"
    threads: job_threads("train")
    resources:
        **job_resources("train"),
    params:
        tasks=no_rerun(lambda wildcards: student_tasks(wildcards.variant, [wildcards.member])),
        seed=config["seed"],
        network=config["network"],
        training=TRAINING,
        weights=lambda wildcards: dict(_VARIANTS[wildcards.variant].weights),
        failures=no_rerun(FAILURES),
        device=config["device"],
        code=code_of("train"),
    message:
        "Train student {wildcards.variant}/{wildcards.member}"
    script:
        "../scripts/train.py"


use rule train_student as train_students_together with:
    input:
        beads=BEADS,
        split=SPLIT,
        prior=PRIOR,
        health=HEALTH,
        predictions=[teacher_predictions(name) for name in TEACHERS],
    output:
        expand(
            f"{RESULTS}/students/{{variant}}/{{member}}/{{file}}",
            member=TEACHERS,
            file=NETWORK_FILES,
            allow_missing=True,
        ),
    log:
        f"{LOGS}/students/{{variant}}/train_students_together.log",
    benchmark:
        f"{BENCH}/students/{{variant}}/train_students_together.tsv"
    wildcard_constraints:
        variant="|".join(SINGLE_STUDENTS),
    params:
        tasks=no_rerun(lambda wildcards: student_tasks(wildcards.variant, TEACHERS)),
    message:
        "Train students {wildcards.variant}"


if TOGETHER:

    ruleorder: train_students_together > train_student

else:

    ruleorder: train_student > train_students_together


MODEL_FILES = ["in.lammps", "start.data", "README.md", *ARCHITECTURE.exported_files(config["network"])]


rule export_model:
    input:
        networks=lambda wildcards: expand(
            "{folder}/{file}",
            folder=networks_of(wildcards.variant, wildcards.member),
            file=["weights.safetensors", "network.json", "metrics.csv"],
        ),
        health=HEALTH,
        beads=BEADS,
        split=SPLIT,
    output:
        card=f"{RESULTS}/models/{{variant}}/{{member}}/card.json",
        networks=directory(f"{RESULTS}/models/{{variant}}/{{member}}/networks"),
        files=expand(f"{RESULTS}/models/{{variant}}/{{member}}/{{file}}", file=MODEL_FILES, allow_missing=True),
    log:
        f"{LOGS}/models/{{variant}}/{{member}}/export_model.log",
    conda:
        "../../envs/cgdistill.yaml"
    resources:
        **job_resources("light"),
    params:
        # Simulations follow the card: another label is no other model.
        label=no_rerun(lambda wildcards: LABELS[wildcards.variant]),
        simulation=SIMULATION,
        velocity_seed=lambda wildcards: derive(config["seed"], "export", wildcards.variant, wildcards.member),
        code=code_of("export_model"),
    message:
        "Export {wildcards.variant}/{wildcards.member}"
    script:
        "../scripts/export_model.py"
