# Structure of the reference and of every run, and the total absolute error between them.
rule compute_reference:
    input:
        beads=BEADS,
    output:
        **{name: f"{RESULTS}/structure/{file}.parquet" for name, file in REFERENCE_FILES.items()},
    log:
        f"{LOGS}/structure/compute_reference.log",
    benchmark:
        f"{BENCH}/structure/compute_reference.tsv"
    conda:
        "../../envs/cgdistill.yaml"
    threads: JOBS["analyse"]["threads"]
    resources:
        mem_mb=JOBS["analyse"]["mem_mb"],
        runtime=JOBS["analyse"]["runtime_min"],
    params:
        structure=config["structure"],
        blocks=config["statistics"]["blocks"],
        code=source_digest("analysis.run_analysis"),
    message:
        "Structure of the all-atom reference"
    script:
        "../scripts/compute_reference.py"


rule compute_structure:
    input:
        beads=BEADS,
        reference=rules.compute_reference.output.series,
        runs=lambda wildcards: expand(
            f"{RESULTS}/simulations/{{run}}/{{file}}",
            run=runs_of(wildcards.variant),
            file=["equilibration.lammpstrj", "trajectory.lammpstrj", "thermo.csv", "run.json"],
        ),
    output:
        **{name: f"{RESULTS}/structure/{{variant}}/{name}.parquet" for name in REFERENCE_FILES},
        runs=f"{RESULTS}/structure/{{variant}}/runs.csv",
    log:
        f"{LOGS}/structure/{{variant}}/compute_structure.log",
    benchmark:
        f"{BENCH}/structure/{{variant}}/compute_structure.tsv"
    conda:
        "../../envs/cgdistill.yaml"
    threads: JOBS["analyse"]["threads"]
    resources:
        mem_mb=JOBS["analyse"]["mem_mb"],
        runtime=JOBS["analyse"]["runtime_min"],
    params:
        structure=config["structure"],
        blocks=config["statistics"]["blocks"],
        stability=config["stability"],
        folders=lambda wildcards: [f"{RESULTS}/simulations/{run}" for run in runs_of(wildcards.variant)],
        code=source_digest("analysis.run_analysis"),
    message:
        "Structure and stability of the runs of {wildcards.variant}"
    script:
        "../scripts/compute_structure.py"


rule compute_tae:
    input:
        reference=rules.compute_reference.output.curves,
        reference_blocks=rules.compute_reference.output.blocks,
        curves=rules.compute_structure.output.curves,
        blocks=rules.compute_structure.output.blocks,
        runs=rules.compute_structure.output.runs,
    output:
        tae=f"{RESULTS}/structure/{{variant}}/tae.csv",
        summary=f"{RESULTS}/structure/{{variant}}/summary.csv",
    log:
        f"{LOGS}/structure/{{variant}}/compute_tae.log",
    benchmark:
        f"{BENCH}/structure/{{variant}}/compute_tae.tsv"
    conda:
        "../../envs/cgdistill.yaml"
    resources:
        mem_mb=JOBS["analyse"]["mem_mb"],
        runtime=JOBS["analyse"]["runtime_min"],
    params:
        label=lambda wildcards: LABELS[wildcards.variant],
        statistics=config["statistics"],
        seed=lambda wildcards: derive(config["seed"], "bootstrap", wildcards.variant),
        code=source_digest("statistics"),
    message:
        "Total absolute error of {wildcards.variant}"
    script:
        "../scripts/compute_tae.py"
