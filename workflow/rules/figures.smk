# Figures of the run. cgdistill.figures.catalogue lists them: name, place, caption, and the job that draws them.
CURVES = expand(f"{RESULTS}/structure/{{variant}}/curves.parquet", variant=VARIANTS)


rule plot_structure:
    input:
        summary=rules.collect_tables.output.summary,
        tae=rules.collect_tables.output.tae,
        runs=rules.collect_tables.output.runs,
        comparisons=rules.compare_models.output.comparisons,
        reference=rules.compute_reference.output.curves,
        curves=CURVES,
    output:
        figures("structure"),
    log:
        f"{LOGS}/plot_structure.log",
    benchmark:
        f"{BENCH}/plot_structure.tsv"
    conda:
        "../../envs/cgdistill.yaml"
    resources:
        **job_resources("analyse"),
    params:
        models=MODELS,
        figures=FIGURE_SETTINGS,
        captions=no_rerun(CAPTIONS),
        code=figure_code("structure"),
    message:
        "Plot errors and curves of all models"
    script:
        "../scripts/plot_structure.py"


rule plot_models:
    input:
        summary=rules.collect_tables.output.summary,
        runs=rules.collect_tables.output.runs,
        reference=rules.compute_reference.output.curves,
        curves=CURVES,
    output:
        figures("models"),
    log:
        f"{LOGS}/plot_models.log",
    benchmark:
        f"{BENCH}/plot_models.tsv"
    conda:
        "../../envs/cgdistill.yaml"
    resources:
        **job_resources("analyse"),
    params:
        models=MODELS,
        figures=FIGURE_SETTINGS,
        captions=no_rerun(CAPTIONS),
        code=figure_code("models"),
    message:
        "Plot one sheet per model"
    script:
        "../scripts/plot_models.py"


rule plot_stability:
    input:
        simulations=SIMULATIONS,
        runs=rules.collect_tables.output.runs,
        reference_resolved=rules.compute_reference.output.resolved,
        resolved=expand(f"{RESULTS}/structure/{{variant}}/resolved.parquet", variant=VARIANTS),
        reference_series=rules.compute_reference.output.series,
        series=expand(f"{RESULTS}/structure/{{variant}}/series.parquet", variant=VARIANTS),
    output:
        figures("stability"),
    log:
        f"{LOGS}/plot_stability.log",
    benchmark:
        f"{BENCH}/plot_stability.tsv"
    conda:
        "../../envs/cgdistill.yaml"
    resources:
        **job_resources("analyse"),
    params:
        models=MODELS,
        figures=FIGURE_SETTINGS,
        code=figure_code("stability"),
    message:
        "Plot simulations against time"
    script:
        "../scripts/plot_stability.py"


rule plot_networks:
    input:
        teachers=[f"{folder}/history.csv" for folder in TEACHERS.values()],
        students=[f"{folder}/history.csv" for folder in STUDENT_FOLDERS],
        training=rules.collect_tables.output.training,
        networks=rules.collect_tables.output.networks,
        ceiling=rules.estimate_ceiling.output.ceiling,
        spread=rules.measure_spread.output.spread,
        beads=BEADS,
        split=SPLIT,
        health=HEALTH,
        teacher=[f"{folder}/predictions.h5" for folder in TEACHERS.values()],
        mean=rules.average_ensemble.output.mean,
        predictions=expand(f"{RESULTS}/students/{{student}}/{ENSEMBLE}/test_predictions.h5", student=ENSEMBLE_STUDENTS),
        prior=PRIOR,
        reference=rules.compute_reference.output.curves,
    output:
        figures("networks"),
    log:
        f"{LOGS}/plot_networks.log",
    benchmark:
        f"{BENCH}/plot_networks.tsv"
    conda:
        "../../envs/cgdistill.yaml"
    resources:
        **job_resources("predict", gpu=False),
    params:
        models=MODELS,
        figures=FIGURE_SETTINGS,
        students=ENSEMBLE_STUDENTS,
        temperature_K=config["simulation"]["temperature_K"],
        code=figure_code("networks"),
    message:
        "Plot labels, training and forces"
    script:
        "../scripts/plot_networks.py"


rule plot_boxes:
    input:
        beads=BEADS,
        reference=rules.compute_reference.output.curves,
        simulations=[FIRST_SIMULATIONS[variant] for variant in BOX_VARIANTS],
    output:
        figures("boxes"),
    log:
        f"{LOGS}/plot_boxes.log",
    benchmark:
        f"{BENCH}/plot_boxes.tsv"
    conda:
        "../../envs/cgdistill.yaml"
    resources:
        **job_resources("analyse"),
    params:
        models=MODELS,
        figures=FIGURE_SETTINGS,
        variants=BOX_VARIANTS,
        code=figure_code("boxes"),
    message:
        "Render first and last frames"
    script:
        "../scripts/plot_boxes.py"
