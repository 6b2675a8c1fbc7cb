# The report page of the run.
rule write_report:
    input:
        figures=[
            rules.plot_structure.output,
            rules.plot_stability.output,
            rules.plot_networks.output,
            rules.plot_models.output,
            rules.plot_boxes.output,
        ],
        summary=rules.collect_tables.output.summary,
        tae=rules.collect_tables.output.tae,
        runs=rules.collect_tables.output.runs,
        performance=rules.collect_tables.output.performance,
        training=rules.collect_tables.output.training,
        networks=rules.collect_tables.output.networks,
        comparisons=rules.compare_models.output.comparisons,
        noise=rules.compare_models.output.noise,
        ceiling=rules.estimate_ceiling.output.ceiling,
        spread=rules.measure_spread.output.spread,
        check=rules.average_ensemble.output.check,
        students=local(config["students"]["table"]),
        beads=BEADS,
        split=SPLIT,
        cards=CARDS,
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
        **job_resources("light"),
    params:
        run=RUN,
        models=MODELS,
        captions=CAPTIONS,
        # What Snakemake measured: no product, hence no input.
        benchmarks=placed(BENCH),
        code=code_of("write_report", files=(WORKFLOW / "lib/cgdistill/report/templates").iterdir()),
    message:
        "Write the report"
    script:
        "../scripts/write_report.py"
