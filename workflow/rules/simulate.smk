# Replicated LAMMPS simulations of every model.
rule simulate:
    input:
        card=rules.export_model.output.card,
        networks=rules.export_model.output.networks,
        mliap=rules.export_model.output.mliap if config["simulation"]["coupling"] == "mliap" else [],
        beads=rules.map_trajectory.output.beads,
        split=rules.split_frames.output.split,
    output:
        trajectory=f"{RESULTS}/simulations/{{variant}}/{{member}}/replica-{{replica}}/trajectory.lammpstrj",
        thermo=f"{RESULTS}/simulations/{{variant}}/{{member}}/replica-{{replica}}/thermo.csv",
        record=f"{RESULTS}/simulations/{{variant}}/{{member}}/replica-{{replica}}/run.json",
        final=f"{RESULTS}/simulations/{{variant}}/{{member}}/replica-{{replica}}/final.data",
    log:
        f"{LOGS}/simulations/{{variant}}/{{member}}/replica-{{replica}}/simulate.log",
    benchmark:
        f"{BENCH}/simulations/{{variant}}/{{member}}/replica-{{replica}}/simulate.tsv"
    conda:
        "../../envs/cgdistill.yaml"
    threads: JOBS["simulate"]["threads"]
    resources:
        mem_mb=JOBS["simulate"]["mem_mb"],
        runtime=JOBS["simulate"]["runtime_min"],
        gpu=JOBS["simulate"]["gpu"],
    params:
        simulation={key: value for key, value in config["simulation"].items() if key != "replicas"},
        # The k-th run of every variant starts from the same frame: variants can be compared in pairs.
        run_number=lambda wildcards: members(wildcards.variant).index(wildcards.member) * n_replicas(wildcards.variant)
        + int(wildcards.replica)
        - 1,
        start_seed=derive(config["seed"], "start frames"),
        velocity_seed=lambda wildcards: derive(
            config["seed"], "velocities", wildcards.variant, wildcards.member, wildcards.replica
        ),
        device=config["device"],
        checkpoint=lambda wildcards: f"{CHECKPOINTS}/simulations/{wildcards.variant}/{wildcards.member}/replica-{wildcards.replica}",
        code=[source_digest("simulation"), source_digest("network_potential")],
    message:
        "Simulate {wildcards.variant} ({wildcards.member}), replica {wildcards.replica}"
    script:
        "../scripts/simulate.py"
