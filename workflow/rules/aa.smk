# All-atom data: pack a box, minimise, equilibrate, produce. In use when aa.source is gromacs or openmm.
AA = f"{RESULTS}/aa"


rule build_box:
    input:
        force_field=config["aa"]["system"]["force_field"],
        molecules=[row[key] for row in config["aa"]["system"]["molecules"] for key in ("structure", "topology")],
    output:
        topology=f"{AA}/system.top",
        structure=f"{AA}/packed.gro",
    log:
        f"{LOGS}/aa/build_box.log",
    conda:
        "../../envs/aa.yaml"
    resources:
        mem_mb=JOBS["aa"]["mem_mb"],
        runtime=30,
    params:
        system=config["aa"]["system"],
        seed=derive(config["seed"], "build_box"),
        folder=f"{CHECKPOINTS}/aa/build_box",
        code=source_digest("aa.system"),
    message:
        "Pack the all-atom box"
    script:
        "../scripts/build_box.py"


rule minimise_aa:
    input:
        topology=rules.build_box.output.topology,
        structure=rules.build_box.output.structure,
    output:
        structure=f"{AA}/minimised.gro",
    log:
        f"{LOGS}/aa/minimise_aa.log",
    benchmark:
        f"{BENCH}/aa/minimise_aa.tsv"
    conda:
        "../../envs/aa.yaml"
    threads: JOBS["aa"]["threads"]
    resources:
        mem_mb=JOBS["aa"]["mem_mb"],
        runtime=JOBS["aa"]["runtime_min"],
        gpu=JOBS["aa"]["gpu"],
        gres=JOBS["aa"]["gres"],
    params:
        source=config["aa"]["source"],
        protocol=config["aa"]["protocol"],
        seed=derive(config["seed"], "minimise_aa"),
        checkpoints=f"{CHECKPOINTS}/aa",
        device=config["device"],
        code=lambda wildcards: source_digest(f"aa.{config['aa']['source']}"),
    message:
        "Minimise the all-atom box ({params.source})"
    script:
        "../scripts/minimise_aa.py"


rule equilibrate_aa:
    input:
        topology=rules.build_box.output.topology,
        structure=rules.minimise_aa.output.structure,
    output:
        structure=f"{AA}/equilibrated.gro",
    log:
        f"{LOGS}/aa/equilibrate_aa.log",
    benchmark:
        f"{BENCH}/aa/equilibrate_aa.tsv"
    conda:
        "../../envs/aa.yaml"
    threads: JOBS["aa"]["threads"]
    resources:
        mem_mb=JOBS["aa"]["mem_mb"],
        runtime=JOBS["aa"]["runtime_min"],
        gpu=JOBS["aa"]["gpu"],
        gres=JOBS["aa"]["gres"],
    params:
        source=config["aa"]["source"],
        protocol=config["aa"]["protocol"],
        seed=derive(config["seed"], "equilibrate_aa"),
        checkpoints=f"{CHECKPOINTS}/aa",
        device=config["device"],
        code=lambda wildcards: source_digest(f"aa.{config['aa']['source']}"),
    message:
        "Equilibrate the all-atom box ({params.source})"
    script:
        "../scripts/equilibrate_aa.py"


rule produce_aa:
    input:
        topology=rules.build_box.output.topology,
        structure=rules.equilibrate_aa.output.structure,
    output:
        trajectory=f"{AA}/production.trr",
        structure=f"{AA}/production.gro",
        thermo=f"{AA}/production.csv",
    log:
        f"{LOGS}/aa/produce_aa.log",
    benchmark:
        f"{BENCH}/aa/produce_aa.tsv"
    conda:
        "../../envs/aa.yaml"
    threads: JOBS["aa"]["threads"]
    resources:
        mem_mb=JOBS["aa"]["mem_mb"],
        runtime=JOBS["aa"]["runtime_min"],
        gpu=JOBS["aa"]["gpu"],
        gres=JOBS["aa"]["gres"],
    params:
        source=config["aa"]["source"],
        protocol=config["aa"]["protocol"],
        seed=derive(config["seed"], "produce_aa"),
        checkpoints=f"{CHECKPOINTS}/aa",
        device=config["device"],
        code=lambda wildcards: source_digest(f"aa.{config['aa']['source']}"),
    message:
        "Produce all-atom positions and forces ({params.source})"
    script:
        "../scripts/produce_aa.py"
