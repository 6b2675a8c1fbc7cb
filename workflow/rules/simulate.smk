# Replicated LAMMPS simulations. The replicas of a model share a job and advance together.
SIMULATIONS = per_member(f"{RESULTS}/simulations/{{variant}}/{{member}}", VARIANTS)


rule simulate:
    input:
        card=f"{RESULTS}/models/{{variant}}/{{member}}/card.json",
        networks=f"{RESULTS}/models/{{variant}}/{{member}}/networks",
        beads=BEADS,
        split=SPLIT,
    output:
        # replica-1, replica-2, ...; files cannot be declared, since their number depends on the variant.
        runs=directory(f"{RESULTS}/simulations/{{variant}}/{{member}}"),
    log:
        f"{LOGS}/simulations/{{variant}}/{{member}}/simulate.log",
    benchmark:
        f"{BENCH}/simulations/{{variant}}/{{member}}/simulate.tsv"
    conda:
        "../../envs/cgdistill.yaml"
    threads: job_threads("simulate")
    resources:
        **job_resources("simulate"),
    params:
        simulation=SIMULATION,
        keep_frames=no_rerun(config["simulation"]["limits"]["keep_frames"]),
        start_seed=derive(config["seed"], "start frames"),
        runs=lambda wildcards: run_settings(wildcards.variant, wildcards.member),
        at_once=no_rerun(config["simulation"]["runs_per_job"]),
        checkpoints=no_rerun(
            lambda wildcards: placed(f"{CHECKPOINTS}/simulations/{wildcards.variant}/{wildcards.member}")
        ),
        device=config["device"],
        code=code_of("simulate"),
    message:
        "Simulate {wildcards.variant}/{wildcards.member}"
    script:
        "../scripts/simulate.py"
