# The cells of a sweep side by side.
rule compare_cells:
    input:
        reports=[f"{STUDY}/{cell.name}/report.html" for cell in CELLS],
        tables=[
            f"{STUDY}/{cell.name}/tables/{name}.csv"
            for cell in CELLS
            for name in ("summary", "runs", "performance", "training", "ceiling")
        ],
    output:
        table=f"{STUDY}/study.csv",
        figures=[
            report(f"{STUDY}/study.svg", category="Sweep", caption="../report/study.rst", labels={"figure": "cells"}),
            f"{STUDY}/study.png",
        ],
        page=f"{STUDY}/index.html",
    log:
        f"{STUDY.replace('results', 'logs', 1)}/compare_cells.log",
    conda:
        "../../envs/cgdistill.yaml"
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        study=Path(STUDY).name,
        base=common_config([cell.config for cell in CELLS]),
        cells=[{"name": cell.name, "settings": cell.settings, "folder": f"{STUDY}/{cell.name}"} for cell in CELLS],
        command=f"snakemake --cores N --configfile CONFIG --config sweep={SWEEP} -- {STUDY}/CELL/report.html",
        code=source_digest(
            WORKFLOW / "scripts/compare_cells.py", files=(WORKFLOW / "lib/cgdistill/report/templates").iterdir()
        ),
    message:
        "Compare the cells of {SWEEP}"
    script:
        "../scripts/compare_cells.py"
