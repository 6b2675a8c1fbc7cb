# Atoms to beads, split of the frames, repulsive prior.
# `local`: files that the config names are no products; a module's `prefix` does not apply to them.
if config["aa"]["source"] == "files":
    AA_FILES = {
        "topology": local(config["aa"]["files"]["topology"]),
        "masses": local(config["aa"]["files"]["masses"]) if config["aa"]["files"]["masses"] else [],
        "trajectory": [local(name) for name in config["aa"]["files"]["trajectory"]],
        "units": config["aa"]["files"]["units"],
    }
else:
    AA_FILES = {
        "topology": f"{producing_run('aa')}/aa/production.gro",
        "masses": f"{producing_run('aa')}/aa/system.top",
        "trajectory": [f"{producing_run('aa')}/aa/production.trr"],
        "units": None,
    }


rule map_trajectory:
    input:
        topology=AA_FILES["topology"],
        masses=AA_FILES["masses"],
        trajectory=AA_FILES["trajectory"],
        mapping=local(config["mapping"]["file"]),
    output:
        beads=f"{RESULTS}/mapped/beads.h5",
    log:
        f"{LOGS}/mapped/map_trajectory.log",
    benchmark:
        f"{BENCH}/mapped/map_trajectory.tsv"
    conda:
        "../../envs/cgdistill.yaml"
    resources:
        **job_resources("light"),
    params:
        units=AA_FILES["units"],
        frames={key: config["mapping"][key] for key in ("start_ps", "stride", "max_frames", "check_forces")},
        reach_A=no_rerun(max(config["network"]["cutoff_A"], STRUCTURE.reach_A)),
        code=code_of("map_trajectory"),
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
    group:
        "preparation"
    conda:
        "../../envs/cgdistill.yaml"
    resources:
        **job_resources("light"),
    params:
        split=config["split"],
        seed=derive(config["seed"], "split"),
        code=code_of("split_frames"),
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
    group:
        "preparation"
    conda:
        "../../envs/cgdistill.yaml"
    resources:
        **job_resources("light"),
    params:
        prior=config["prior"],
        code=code_of("fit_prior"),
    message:
        "Fit the repulsive prior"
    script:
        "../scripts/fit_prior.py"
