# Tables of the whole run, figures and the report page.
ENSEMBLE_STUDENTS = [variant for variant in VARIANTS if KINDS[variant] == "ensemble"]
STUDENTS = [variant for variant in VARIANTS if KINDS[variant] in ("single", "ensemble")]
ADF_RADII = [f"{radius:g}" for radius in sorted(config["structure"]["adf"]["r_max_A"])]
RECORDS = [f"{RESULTS}/simulations/{run}/run.json" for variant in VARIANTS for run in runs_of(variant)]
STUDENT_FOLDERS = [f"{RESULTS}/students/{variant}/{member}" for variant in STUDENTS for member in members(variant)]


rule collect_tables:
    input:
        tae=expand(f"{RESULTS}/structure/{{variant}}/tae.csv", variant=VARIANTS),
        summary=expand(f"{RESULTS}/structure/{{variant}}/summary.csv", variant=VARIANTS),
        runs=expand(f"{RESULTS}/structure/{{variant}}/runs.csv", variant=VARIANTS),
        records=RECORDS,
        teachers=expand(f"{RESULTS}/teachers/{{teacher}}/metrics.csv", teacher=teacher_names()),
        students=[f"{folder}/metrics.csv" for folder in STUDENT_FOLDERS],
    output:
        tae=report(
            f"{RESULTS}/tables/tae.csv",
            category="Tables",
            caption="../report/tables.rst",
            labels={"table": "TAE of every run"},
        ),
        summary=report(
            f"{RESULTS}/tables/summary.csv",
            category="Tables",
            caption="../report/tables.rst",
            labels={"table": "TAE by model"},
        ),
        runs=report(
            f"{RESULTS}/tables/runs.csv",
            category="Tables",
            caption="../report/tables.rst",
            labels={"table": "simulations"},
        ),
        performance=report(
            f"{RESULTS}/tables/performance.csv",
            category="Tables",
            caption="../report/tables.rst",
            labels={"table": "speed"},
        ),
        training=report(
            f"{RESULTS}/tables/training.csv",
            category="Tables",
            caption="../report/tables.rst",
            labels={"table": "training errors"},
        ),
    log:
        f"{LOGS}/collect_tables.log",
    conda:
        "../../envs/cgdistill.yaml"
    resources:
        mem_mb=JOBS["light"]["mem_mb"],
        runtime=JOBS["light"]["runtime_min"],
    params:
        labels=LABELS,
        code=source_digest("collect"),
    message:
        "Collect the tables of all models"
    script:
        "../scripts/collect_tables.py"


rule plot_figures:
    input:
        summary=rules.collect_tables.output.summary,
        runs=rules.collect_tables.output.runs,
        training=rules.collect_tables.output.training,
        reference=f"{RESULTS}/structure/reference.parquet",
        curves=expand(f"{RESULTS}/structure/{{variant}}/curves.parquet", variant=VARIANTS),
        teachers=expand(f"{RESULTS}/teachers/{{teacher}}/history.csv", teacher=teacher_names()),
        students=[f"{folder}/history.csv" for folder in STUDENT_FOLDERS],
        records=RECORDS,
        thermo=[f"{Path(record).parent}/thermo.csv" for record in RECORDS],
        prior=rules.fit_prior.output.prior,
        beads=rules.map_trajectory.output.beads,
        split=rules.split_frames.output.split,
        teacher=f"{RESULTS}/teachers/{teacher_names()[0]}/predictions.h5",
        mean=rules.average_ensemble.output.mean,
        predictions=expand(f"{RESULTS}/students/{{student}}/{ENSEMBLE}/test_predictions.h5", student=ENSEMBLE_STUDENTS),
    output:
        tae_overall=figure("tae_overall", "tae_overall", "Structure", "Errors", figure="overall"),
        tae_rdf=figure("tae_rdf", "tae_items", "Structure", "Errors", figure="RDF per pair"),
        tae_adf=(
            figure("tae_adf", "tae_items", "Structure", "Errors", figure="ADF per triplet and radius")
            if ADF_RADII
            else []
        ),
        tae_cdf=figure("tae_cdf", "tae_items", "Structure", "Errors", figure="CDF per type"),
        rdf=figure("rdf", "rdf", "Structure", "Curves", figure="RDF"),
        adf=[
            path for r in ADF_RADII for path in figure(f"adf_{r}A", "adf", "Structure", "Curves", figure=f"ADF, {r} Å")
        ],
        cdf=figure("cdf", "cdf", "Structure", "Curves", figure="CDF"),
        energy=figure("energy", "energy", "Stability", figure="potential energy"),
        training=figure("training_teachers", "training_teachers", "Training", figure="teachers")
        + figure("training_r2", "training_r2", "Training", figure="R² on the test frames"),
        students=figure("training_students", "training_students", "Training", figure="students") if STUDENTS else [],
        parity=figure("parity_teachers", "parity_teachers", "Forces", figure="teachers"),
        parity_students=(
            figure("parity_students", "parity_students", "Forces", figure="students") if ENSEMBLE_STUDENTS else []
        ),
        prior=figure("prior", "prior", "Forces", figure="prior"),
    log:
        f"{LOGS}/plot_figures.log",
    conda:
        "../../envs/cgdistill.yaml"
    resources:
        mem_mb=JOBS["analyse"]["mem_mb"],
        runtime=JOBS["analyse"]["runtime_min"],
    params:
        labels=LABELS,
        kinds=KINDS,
        variants=VARIANTS,
        students=ENSEMBLE_STUDENTS,
        temperature_K=config["simulation"]["temperature_K"],
        code=source_digest("figures.draw"),
    message:
        "Plot the figures"
    script:
        "../scripts/plot_figures.py"


rule write_report:
    input:
        figures=[path for path in rules.plot_figures.output if path.endswith(".svg")],
        summary=rules.collect_tables.output.summary,
        runs=rules.collect_tables.output.runs,
        performance=rules.collect_tables.output.performance,
        training=rules.collect_tables.output.training,
        check=rules.average_ensemble.output.check,
        students=config["students"]["table"],
        beads=rules.map_trajectory.output.beads,
        split=rules.split_frames.output.split,
        captions=sorted(map(str, (WORKFLOW / "report").glob("*.rst"))),
    output:
        page=report(
            f"{RESULTS}/report.html", category="Report", caption="../report/report.rst", labels={"page": "report"}
        ),
    log:
        f"{LOGS}/write_report.log",
    conda:
        "../../envs/cgdistill.yaml"
    resources:
        mem_mb=JOBS["light"]["mem_mb"],
        runtime=JOBS["light"]["runtime_min"],
    params:
        run=RUN,
        labels=LABELS,
        kinds=KINDS,
        variants=VARIANTS,
        code=source_digest("report_data"),
        template=sha256_of(WORKFLOW / "lib/cgdistill/templates/report.html.j2"),
    message:
        "Write the report"
    script:
        "../scripts/write_report.py"
