# Students of one teacher (a member per teacher) or of the ensemble's mean, and the export of every model.
# A job never mixes variants: a new row of the table trains only its students.
for student in students:
    for number, names in enumerate(chunks(members(student.name), TRAINED_TOGETHER), start=1):

        rule:
            name:
                f"train_student_{student.name}_{number}"
            input:
                beads=BEADS,
                split=SPLIT,
                prior=PRIOR,
                health=HEALTH,
                predictions=[teacher_predictions(member) for member in names],
            output:
                expand(f"{RESULTS}/students/{student.name}/{{member}}/{{file}}", member=names, file=NETWORK_FILES),
            log:
                f"{LOGS}/students/{student.name}/train_student_{number}.log",
            benchmark:
                f"{BENCH}/students/{student.name}/train_student_{number}.tsv"
            conda:
                "../../envs/cgdistill.yaml"
            threads: JOBS["train"]["threads"]
            resources:
                mem_mb=JOBS["train"]["mem_mb"],
                runtime=JOBS["train"]["runtime_min"],
                gpu=JOBS["train"]["gpu"],
                gres=JOBS["train"]["gres"],
            params:
                folders=[f"{RESULTS}/students/{student.name}/{member}" for member in names],
                seeds=[derive(config["seed"], "student", student.name, member) for member in names],
                checkpoints=[f"{CHECKPOINTS}/students/{student.name}/{member}.pt" for member in names],
                network=config["network"],
                training=TRAINING,
                weights=dict(student.weights),
                failures=not_compared(FAILURES),
                device=config["device"],
                code=source_digest("training.training_job"),
            message:
                f"Train students {student.name} ({', '.join(names)})"
            script:
                "../scripts/train.py"


#: For LAMMPS's pair style cgdistill, which evaluates networks of one interaction layer (md.plugin_model.plugin_reaches).
PLUGIN_FILES = ["model.cgdistill", "in.plugin.lammps"] if config["network"]["n_interaction_layers"] == 1 else []

for variant in VARIANTS:

    rule:
        name:
            f"export_model_{variant}"
        input:
            networks=[
                f"{folder}/{file}"
                for member in members(variant)
                for folder in networks_of(variant, member)
                for file in ("weights.safetensors", "network.json", "metrics.csv")
            ],
            health=HEALTH,
            beads=BEADS,
            split=SPLIT,
        output:
            cards=expand(f"{RESULTS}/models/{variant}/{{member}}/card.json", member=members(variant)),
            networks=[directory(f"{RESULTS}/models/{variant}/{member}/networks") for member in members(variant)],
            files=expand(
                f"{RESULTS}/models/{variant}/{{member}}/{{file}}",
                member=members(variant),
                file=["mliap.pt", "in.lammps", "start.data", "README.md", *PLUGIN_FILES],
            ),
        log:
            f"{LOGS}/models/{variant}/export_model.log",
        conda:
            "../../envs/cgdistill.yaml"
        resources:
            mem_mb=JOBS["light"]["mem_mb"],
            runtime=JOBS["light"]["runtime_min"],
        params:
            variant=variant,
            # Simulations follow the card: another label is no other model.
            label=not_compared(LABELS[variant]),
            folders=[networks_of(variant, member) for member in members(variant)],
            simulation=SIMULATION,
            velocity_seeds=[derive(config["seed"], "export", variant, member) for member in members(variant)],
            code=source_digest("export.model_folder"),
        message:
            f"Export {variant} ({', '.join(members(variant))})"
        script:
            "../scripts/export_model.py"
