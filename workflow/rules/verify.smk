# The manifest of the run: every product with its checksum, for `cgdistill verify`.
_ONCE = [{}]
_TEACHERS = [{"teacher": name} for name in OWN_TEACHERS]
_BY_VARIANT = [{"variant": variant} for variant in VARIANTS]
_BY_MEMBER = [{"variant": variant, "member": member} for variant in VARIANTS for member in members(variant)]
_ALONE = [row for row in _BY_MEMBER if row["variant"] in (ENSEMBLE_STUDENTS if TOGETHER else STUDENTS)]
_MAKES_AA = config["aa"]["source"] != "files" and "aa" not in SHARED
#: Wildcards of the jobs of each rule in this run.
_JOBS_OF = {
    **{name: _ONCE if _MAKES_AA else [] for name in ("build_box", "minimise_aa", "equilibrate_aa", "produce_aa")},
    "map_trajectory": [] if "beads" in SHARED else _ONCE,
    "split_frames": [] if "split" in SHARED else _ONCE,
    "fit_prior": [] if "prior" in SHARED else _ONCE,
    "train_teacher": [] if TOGETHER else _TEACHERS,
    "train_teachers_together": _ONCE if TOGETHER else [],
    "predict_teacher": _TEACHERS,
    "judge_teachers": _ONCE,
    "average_ensemble": _ONCE,
    "train_student": _ALONE,
    "train_students_together": [{"variant": variant} for variant in SINGLE_STUDENTS if TOGETHER],
    "export_model": _BY_MEMBER,
    "simulate": _BY_MEMBER,
    "compute_reference": _ONCE,
    "compute_structure": _BY_VARIANT,
    "compute_tae": _BY_VARIANT,
    **dict.fromkeys(("collect_tables", "compare_models", "estimate_ceiling", "measure_spread"), _ONCE),
    **dict.fromkeys(("plot_structure", "plot_models", "plot_stability", "plot_networks", "plot_boxes"), _ONCE),
    "write_report": _ONCE,
}
#: Rule by product of this run.
STAGES = {
    path: name
    for name, jobs in _JOBS_OF.items()
    for wildcards in jobs
    for pattern in getattr(rules, name).output
    for path in expand(str(pattern), **wildcards)
}
#: Run that makes it, by product of another run.
FROM_OTHERS = {
    path: SHARED[product]
    for product, path in {"beads": BEADS, "split": SPLIT, "prior": PRIOR}.items()
    if product in SHARED
}
if "aa" in SHARED and "beads" not in SHARED:
    FROM_OTHERS |= {path: SHARED["aa"] for path in (AA_FILES["topology"], AA_FILES["masses"], *AA_FILES["trajectory"])}
FROM_OTHERS |= {
    f"{TEACHERS[name]}/{file}": run
    for name, run in SHARED.get("teachers", {}).items()
    for file in [*NETWORK_FILES, "predictions.h5", "gradient_check.csv"]
}


rule record_checksums:
    input:
        # What changes with any other product.
        page=rules.write_report.output.page,
        cards=CARDS,
        # Files that no stamp records.
        files=[
            local(config["students"]["table"]),
            local(config["mapping"]["file"]),
            *(rules.build_box.input if config["aa"]["source"] != "files" else []),
        ],
    output:
        manifest=f"{RESULTS}/manifest.json",
    log:
        f"{LOGS}/record_checksums.log",
    conda:
        "../../envs/cgdistill.yaml"
    threads: job_threads("analyse")
    resources:
        **job_resources("light"),
    params:
        folder=no_rerun(placed(RESULTS)),
        # Not inputs: a finished run stays finished where dumps have been deleted.
        stages=no_rerun(STAGES),
        shared=no_rerun({placed(path): run for path, run in FROM_OTHERS.items()}),
        code=code_of("record_checksums"),
    message:
        "Record the checksums of all products"
    script:
        "../scripts/record_checksums.py"
