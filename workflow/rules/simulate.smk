# Replicated LAMMPS simulations of every model. Several runs of a variant share a job and advance together.
for variant, number, runs in simulation_jobs():

    rule:
        name:
            f"simulate_{variant}_{number}"
        input:
            # Of all members, so that another number of runs per job reruns nothing; one job exports them anyway.
            cards=expand(f"{RESULTS}/models/{variant}/{{member}}/card.json", member=members(variant)),
            networks=expand(f"{RESULTS}/models/{variant}/{{member}}/networks", member=members(variant)),
            beads=BEADS,
            split=SPLIT,
        output:
            equilibrations=expand(f"{RESULTS}/simulations/{{run}}/equilibration.lammpstrj", run=runs),
            trajectories=expand(f"{RESULTS}/simulations/{{run}}/trajectory.lammpstrj", run=runs),
            thermo=expand(f"{RESULTS}/simulations/{{run}}/thermo.csv", run=runs),
            records=expand(f"{RESULTS}/simulations/{{run}}/run.json", run=runs),
            final=expand(f"{RESULTS}/simulations/{{run}}/final.data", run=runs),
            last_frames=expand(f"{RESULTS}/simulations/{{run}}/last_frames.lammpstrj", run=runs),
        log:
            f"{LOGS}/simulations/{variant}/simulate_{number}.log",
        benchmark:
            f"{BENCH}/simulations/{variant}/simulate_{number}.tsv"
        conda:
            "../../envs/cgdistill.yaml"
        threads: JOBS["simulate"]["threads"]
        resources:
            mem_mb=JOBS["simulate"]["mem_mb"],
            runtime=JOBS["simulate"]["runtime_min"],
            gpu=JOBS["simulate"]["gpu"],
            gres=JOBS["simulate"]["gres"],
        params:
            simulation=SIMULATION,
            keep_frames=not_compared(config["simulation"]["limits"]["keep_frames"]),
            start_seed=derive(config["seed"], "start frames"),
            first_runs=first_runs(variant),
            runs=not_compared([run_of(run) for run in runs]),
            device=config["device"],
            code=[source_digest("md.simulation"), source_digest("forcefield.hipnn.network_potential")],
        message:
            f"Simulate {variant} ({', '.join(run.removeprefix(f'{variant}/') for run in runs)})"
        script:
            "../scripts/simulate.py"
