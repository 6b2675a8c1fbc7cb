# Tables of the whole run, and what follows from them: noise, differences between models, quality of the labels.
ENSEMBLE_STUDENTS = [variant for variant in VARIANTS if KINDS[variant] == ModelKind.ENSEMBLE]
STUDENTS = [variant for variant in VARIANTS if ModelKind(KINDS[variant]).is_student]
STUDENT_FOLDERS = per_member(f"{RESULTS}/students/{{variant}}/{{member}}", STUDENTS)
#: Runs of the first member of each variant.
FIRST_SIMULATIONS = {variant: f"{RESULTS}/simulations/{variant}/{members(variant)[0]}" for variant in VARIANTS}


rule collect_tables:
    input:
        tae=expand(f"{RESULTS}/structure/{{variant}}/tae.csv", variant=VARIANTS),
        summary=expand(f"{RESULTS}/structure/{{variant}}/summary.csv", variant=VARIANTS),
        runs=expand(f"{RESULTS}/structure/{{variant}}/runs.csv", variant=VARIANTS),
        reference=rules.compute_reference.output.curves,
        curves=expand(f"{RESULTS}/structure/{{variant}}/curves.parquet", variant=VARIANTS),
        simulations=SIMULATIONS,
        teachers=[f"{folder}/metrics.csv" for folder in TEACHERS.values()],
        students=[f"{folder}/metrics.csv" for folder in STUDENT_FOLDERS],
        teacher_networks=[f"{folder}/network.json" for folder in TEACHERS.values()],
        student_networks=[f"{folder}/network.json" for folder in STUDENT_FOLDERS],
        health=HEALTH,
    output:
        tae=table("tae", "TAE of every run"),
        summary=table("summary", "TAE by model"),
        runs=table("runs", "simulations"),
        performance=table("performance", "speed"),
        training=table("training", "training errors"),
        networks=table("networks", "trainings"),
        curves=f"{RESULTS}/tables/curves.parquet",
    log:
        f"{LOGS}/collect_tables.log",
    benchmark:
        f"{BENCH}/collect_tables.tsv"
    conda:
        "../../envs/cgdistill.yaml"
    resources:
        **job_resources("analyse"),
    params:
        labels=LABELS,
        code=code_of("collect_tables"),
    message:
        "Collect the tables of all models"
    script:
        "../scripts/collect_tables.py"


rule compare_models:
    input:
        tae=rules.collect_tables.output.tae,
        runs=rules.collect_tables.output.runs,
        blocks=rules.compute_reference.output.blocks,
    output:
        comparisons=table("comparisons", "tests between models"),
        noise=table("noise", "noise of the reference"),
    log:
        f"{LOGS}/compare_models.log",
    benchmark:
        f"{BENCH}/compare_models.tsv"
    conda:
        "../../envs/cgdistill.yaml"
    resources:
        **job_resources("light"),
    params:
        kinds=KINDS,
        statistics=config["statistics"],
        seed=derive(config["seed"], "bootstrap", "reference"),
        code=code_of("compare_models"),
    message:
        "Test which models differ"
    script:
        "../scripts/compare_models.py"


rule estimate_ceiling:
    input:
        beads=BEADS,
        split=SPLIT,
        predictions=[f"{folder}/predictions.h5" for folder in TEACHERS.values()],
        networks=[f"{folder}/network.json" for folder in TEACHERS.values()],
        health=HEALTH,
        training=rules.collect_tables.output.training,
    output:
        ceiling=table("ceiling", "noise ceiling of the labels"),
    log:
        f"{LOGS}/estimate_ceiling.log",
    benchmark:
        f"{BENCH}/estimate_ceiling.tsv"
    conda:
        "../../envs/cgdistill.yaml"
    resources:
        **job_resources("predict", gpu=False),
    params:
        statistics=config["statistics"],
        seed=derive(config["seed"], "bootstrap", "ceiling"),
        code=code_of("estimate_ceiling"),
    message:
        "Estimate the noise ceiling of the all-atom forces"
    script:
        "../scripts/estimate_ceiling.py"


rule measure_spread:
    input:
        beads=BEADS,
        split=SPLIT,
        predictions=[f"{folder}/predictions.h5" for folder in TEACHERS.values()],
        networks=[f"{folder}/weights.safetensors" for folder in TEACHERS.values()],
        health=HEALTH,
        simulations=FIRST_SIMULATIONS.values(),
    output:
        spread=table("spread", "disagreement of the teachers"),
    log:
        f"{LOGS}/measure_spread.log",
    benchmark:
        f"{BENCH}/measure_spread.tsv"
    conda:
        "../../envs/cgdistill.yaml"
    threads: job_threads("predict")
    resources:
        **job_resources("predict"),
    params:
        variants=VARIANTS,
        labels=LABELS,
        batch_size=config["training"]["evaluation_batch_size"],
        device=config["device"],
        code=code_of("measure_spread"),
    message:
        "Measure how far the teachers disagree"
    script:
        "../scripts/measure_spread.py"
