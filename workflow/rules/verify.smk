# The manifest of the run: every product with its checksum, for `cgdistill verify`.
#: Rules that nothing asks for, or whose product another run makes.
NOT_USED = {"build_box", "minimise_aa", "equilibrate_aa", "produce_aa"}
if config["aa"]["source"] != "files" and "aa" not in SHARED:
    NOT_USED.clear()
NOT_USED |= {
    name
    for product, name in {"beads": "map_trajectory", "split": "split_frames", "prior": "fit_prior"}.items()
    if product in SHARED
}
#: Stage by product of this run.
STAGES = {
    path: name
    for name, made in rules._rules.items()
    if name not in NOT_USED
    for pattern in made.output
    for path in expand(str(pattern), variant=VARIANTS)
    if path.startswith(f"{RESULTS}/")
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
        # Those that no stamp records.
        files=[
            config["students"]["table"],
            config["mapping"]["file"],
            *(rules.build_box.input if config["aa"]["source"] != "files" else []),
        ],
    output:
        manifest=f"{RESULTS}/manifest.json",
    log:
        f"{LOGS}/record_checksums.log",
    conda:
        "../../envs/cgdistill.yaml"
    threads: JOBS["analyse"]["threads"]
    resources:
        mem_mb=JOBS["light"]["mem_mb"],
        runtime=JOBS["analyse"]["runtime_min"],
    params:
        folder=not_compared(RESULTS),
        # Not inputs: a finished run stays finished where dumps have been deleted. Nor does it rerun for another number
        # of threads; what makes other products makes another report.
        stages=not_compared(STAGES),
        shared=not_compared(FROM_OTHERS),
        code=source_digest("provenance.manifest"),
    message:
        "Record the checksums of all products"
    script:
        "../scripts/record_checksums.py"
