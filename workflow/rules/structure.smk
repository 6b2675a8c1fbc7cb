# Structure of the reference and of every run, and the total absolute error between them.
rule compute_reference:
    input:
        beads=rules.map_trajectory.output.beads,
    output:
        curves=f"{RESULTS}/structure/reference.parquet",
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
        code=source_digest("structure.curves"),
    message:
        "Structure of the all-atom reference"
    script:
        "../scripts/compute_reference.py"


rule compute_structure:
    input:
        beads=rules.map_trajectory.output.beads,
        runs=lambda wildcards: expand(
            f"{RESULTS}/simulations/{{run}}/{{file}}",
            run=runs_of(wildcards.variant),
            file=["trajectory.lammpstrj", "thermo.csv", "run.json"],
        ),
    output:
        curves=f"{RESULTS}/structure/{{variant}}/curves.parquet",
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
        folders=lambda wildcards: [f"{RESULTS}/simulations/{run}" for run in runs_of(wildcards.variant)],
        code=[source_digest("structure.curves"), source_digest("runs")],
    message:
        "Structure of the runs of {wildcards.variant}"
    script:
        "../scripts/compute_structure.py"


rule compute_tae:
    input:
        reference=rules.compute_reference.output.curves,
        curves=rules.compute_structure.output.curves,
        runs=rules.compute_structure.output.runs,
    output:
        tae=f"{RESULTS}/structure/{{variant}}/tae.csv",
        summary=f"{RESULTS}/structure/{{variant}}/summary.csv",
    log:
        f"{LOGS}/structure/{{variant}}/compute_tae.log",
    conda:
        "../../envs/cgdistill.yaml"
    resources:
        mem_mb=JOBS["light"]["mem_mb"],
        runtime=JOBS["light"]["runtime_min"],
    params:
        label=lambda wildcards: LABELS[wildcards.variant],
        code=source_digest("structure.tae"),
    message:
        "Total absolute error of {wildcards.variant}"
    script:
        "../scripts/compute_tae.py"
