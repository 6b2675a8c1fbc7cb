# All-atom data where aa.source is gromacs or openmm: pack a box, minimise, equilibrate, produce.
AA = f"{RESULTS}/aa"


rule build_box:
    input:
        force_field=[local(name) for name in config["aa"]["system"]["force_field"]],
        molecules=[local(row[key]) for row in config["aa"]["system"]["molecules"] for key in ("structure", "topology")],
    output:
        topology=f"{AA}/system.top",
        structure=f"{AA}/packed.gro",
    log:
        f"{LOGS}/aa/build_box.log",
    conda:
        "../../envs/aa.yaml"
    resources:
        **job_resources("aa"),
    params:
        system=config["aa"]["system"],
        seed=derive(config["seed"], "build_box"),
        folder=placed(f"{CHECKPOINTS}/aa/build_box"),
        code=code_of("build_box"),
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
    threads: job_threads("aa")
    resources:
        **job_resources("aa"),
    params:
        source=config["aa"]["source"],
        protocol=config["aa"]["protocol"],
        seed=derive(config["seed"], "minimise_aa"),
        checkpoints=placed(f"{CHECKPOINTS}/aa"),
        device=config["device"],
        code=code_of("minimise_aa"),
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
    threads: job_threads("aa")
    resources:
        **job_resources("aa"),
    params:
        source=config["aa"]["source"],
        protocol=config["aa"]["protocol"],
        seed=derive(config["seed"], "equilibrate_aa"),
        checkpoints=placed(f"{CHECKPOINTS}/aa"),
        device=config["device"],
        code=code_of("equilibrate_aa"),
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
    threads: job_threads("aa")
    resources:
        **job_resources("aa"),
    params:
        source=config["aa"]["source"],
        protocol=config["aa"]["protocol"],
        seed=derive(config["seed"], "produce_aa"),
        checkpoints=placed(f"{CHECKPOINTS}/aa"),
        device=config["device"],
        code=code_of("produce_aa"),
    message:
        "Produce all-atom positions and forces ({params.source})"
    script:
        "../scripts/produce_aa.py"
