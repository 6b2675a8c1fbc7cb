# Atoms to beads, split of the frames, repulsive prior.
if config["aa"]["source"] == "files":
    AA_FILES = config["aa"]["files"]
else:
    AA_FILES = {
        "topology": f"{maker('aa')}/aa/production.gro",
        "masses": f"{maker('aa')}/aa/system.top",
        "trajectory": [f"{maker('aa')}/aa/production.trr"],
        "units": None,
    }


rule map_trajectory:
    input:
        topology=AA_FILES["topology"],
        masses=AA_FILES["masses"] or [],
        trajectory=AA_FILES["trajectory"],
        mapping=config["mapping"]["file"],
    output:
        beads=f"{RESULTS}/mapped/beads.h5",
    log:
        f"{LOGS}/mapped/map_trajectory.log",
    benchmark:
        f"{BENCH}/mapped/map_trajectory.tsv"
    conda:
        "../../envs/cgdistill.yaml"
    threads: JOBS["light"]["threads"]
    resources:
        mem_mb=JOBS["light"]["mem_mb"],
        runtime=JOBS["light"]["runtime_min"],
    params:
        units=AA_FILES["units"],
        frames={key: config["mapping"][key] for key in ("start_ps", "stride", "max_frames", "check_forces")},
        reach_A=not_compared(max(config["network"]["cutoff_A"], STRUCTURE.reach_A)),
        code=source_digest("data.mapping"),
    message:
        "Map atoms to beads"
    script:
        "../scripts/map_trajectory.py"


rule split_frames:
    input:
        beads=BEADS,
    output:
        split=f"{RESULTS}/mapped/split.json",
    log:
        f"{LOGS}/mapped/split_frames.log",
    conda:
        "../../envs/cgdistill.yaml"
    resources:
        mem_mb=JOBS["light"]["mem_mb"],
        runtime=JOBS["light"]["runtime_min"],
    params:
        split=config["split"],
        seed=derive(config["seed"], "split"),
        code=source_digest("data.split"),
    message:
        "Split the frames into training, validation and test set"
    script:
        "../scripts/split_frames.py"


rule fit_prior:
    input:
        beads=BEADS,
        split=SPLIT,
    output:
        prior=f"{RESULTS}/prior/prior.csv",
    log:
        f"{LOGS}/prior/fit_prior.log",
    conda:
        "../../envs/cgdistill.yaml"
    resources:
        mem_mb=JOBS["light"]["mem_mb"],
        runtime=JOBS["light"]["runtime_min"],
    params:
        prior=config["prior"],
        code=source_digest("forcefield.prior"),
    message:
        "Fit the repulsive prior"
    script:
        "../scripts/fit_prior.py"
