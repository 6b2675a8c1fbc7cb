# Students of one teacher (a member per teacher) or of the ensemble's mean, and the export of every model.
rule train_student:
    input:
        beads=rules.map_trajectory.output.beads,
        split=rules.split_frames.output.split,
        prior=rules.fit_prior.output.prior,
        predictions=teacher_predictions,
    output:
        weights=f"{RESULTS}/students/{{student}}/{{member}}/weights.safetensors",
        settings=f"{RESULTS}/students/{{student}}/{{member}}/network.json",
        history=f"{RESULTS}/students/{{student}}/{{member}}/history.csv",
        metrics=f"{RESULTS}/students/{{student}}/{{member}}/metrics.csv",
    log:
        f"{LOGS}/students/{{student}}/{{member}}/train_student.log",
    benchmark:
        f"{BENCH}/students/{{student}}/{{member}}/train_student.tsv"
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
        weights=lambda wildcards: dict(_VARIANTS[wildcards.student].weights),
        seed=lambda wildcards: derive(config["seed"], "student", wildcards.student, wildcards.member),
        device=config["device"],
        checkpoint=lambda wildcards: f"{CHECKPOINTS}/students/{wildcards.student}/{wildcards.member}.pt",
        code=source_digest("training_job"),
    message:
        "Train student {wildcards.student} ({wildcards.member})"
    script:
        "../scripts/train.py"


rule export_model:
    input:
        networks=lambda wildcards: [
            f"{folder}/{file}"
            for folder in networks_of(wildcards.variant, wildcards.member)
            for file in ("weights.safetensors", "network.json", "metrics.csv")
        ],
        beads=rules.map_trajectory.output.beads,
        split=rules.split_frames.output.split,
    output:
        card=f"{RESULTS}/models/{{variant}}/{{member}}/card.json",
        networks=directory(f"{RESULTS}/models/{{variant}}/{{member}}/networks"),
        mliap=f"{RESULTS}/models/{{variant}}/{{member}}/mliap.pt",
        script=f"{RESULTS}/models/{{variant}}/{{member}}/in.lammps",
        data=f"{RESULTS}/models/{{variant}}/{{member}}/start.data",
        readme=f"{RESULTS}/models/{{variant}}/{{member}}/README.md",
    log:
        f"{LOGS}/models/{{variant}}/{{member}}/export_model.log",
    conda:
        "../../envs/cgdistill.yaml"
    resources:
        mem_mb=JOBS["light"]["mem_mb"],
        runtime=JOBS["light"]["runtime_min"],
    params:
        folders=lambda wildcards: networks_of(wildcards.variant, wildcards.member),
        label=lambda wildcards: LABELS[wildcards.variant],
        simulation={key: value for key, value in config["simulation"].items() if key != "replicas"},
        velocity_seed=lambda wildcards: derive(config["seed"], "export", wildcards.variant, wildcards.member),
        code=source_digest("model_folder"),
    message:
        "Export {wildcards.variant} ({wildcards.member})"
    script:
        "../scripts/export_model.py"
