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
    threads: job_threads("analyse")
    resources:
        **job_resources("analyse"),
    params:
        structure=config["structure"],
        blocks=config["statistics"]["blocks"],
        code=code_of("compute_reference"),
    message:
        "Structure of the all-atom reference"
    script:
        "../scripts/compute_reference.py"


rule compute_structure:
    input:
        beads=BEADS,
        reference=rules.compute_reference.output.series,
        runs=lambda wildcards: per_member(f"{RESULTS}/simulations/{{variant}}/{{member}}", [wildcards.variant]),
    output:
        **{name: f"{RESULTS}/structure/{{variant}}/{name}.parquet" for name in REFERENCE_FILES},
        runs=f"{RESULTS}/structure/{{variant}}/runs.csv",
    log:
        f"{LOGS}/structure/{{variant}}/compute_structure.log",
    benchmark:
        f"{BENCH}/structure/{{variant}}/compute_structure.tsv"
    group:
        "structure"
    conda:
        "../../envs/cgdistill.yaml"
    threads: job_threads("analyse")
    resources:
        **job_resources("analyse"),
    params:
        structure=config["structure"],
        blocks=config["statistics"]["blocks"],
        stability=config["stability"],
        code=code_of("compute_structure"),
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
    group:
        "structure"
    conda:
        "../../envs/cgdistill.yaml"
    resources:
        **job_resources("analyse"),
    params:
        label=lambda wildcards: LABELS[wildcards.variant],
        statistics=config["statistics"],
        seed=lambda wildcards: derive(config["seed"], "bootstrap", wildcards.variant),
        code=code_of("compute_tae"),
    message:
        "Total absolute error of {wildcards.variant}"
    script:
        "../scripts/compute_tae.py"
