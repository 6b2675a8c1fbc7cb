"""Simulate runs of one variant: minimisation, equilibration, production, each from its own frame of the training set.

Inputs: cards, networks, beads, split. Outputs: six files per run, in its folder.
"""

from contextlib import ExitStack
from pathlib import Path

from cgdistill.data.beads import BeadFile
from cgdistill.data.split import read_split, start_frame
from cgdistill.provenance.record import stamp
from cgdistill.runtime.job import job

with job(snakemake.log[0], snakemake.threads) as log, ExitStack() as stack:
    import torch
    from cgdistill.export.model_folder import load_networks, read_card, written_mliap
    from cgdistill.forcefield.hipnn.network_potential import JointNetworkPotential
    from cgdistill.md.lammps_engine import MliapModel
    from cgdistill.md.protocol import SimulationSpec
    from cgdistill.md.simulation import RunPlan, run_simulations
    from cgdistill.runtime.devices import choose_device

    torch.set_num_threads(snakemake.threads)
    source, params = snakemake.input, snakemake.params
    limits = {**params.simulation["limits"], "keep_frames": params.keep_frames}
    spec, device = SimulationSpec.from_config({**params.simulation, "limits": limits}), choose_device(params.device)
    folders = {Path(card).parent.name: Path(card).parent for card in source.cards}
    members = [run["member"] for run in params.runs]
    networks = {member: load_networks(folders[member]) for member in dict.fromkeys(members)}
    excluded = {member: read_card(folders[member]).get("excluded", "") for member in networks}
    stamps = {
        member: stamp(
            params.simulation, {"card": folders[member] / "card.json", "beads": source.beads, "split": source.split}
        )
        for member in networks
    }
    plans = []
    with BeadFile(source.beads) as beads:
        topology = beads.topology
        train = read_split(source.split, len(beads)).train
        for run in params.runs:
            chosen = start_frame(train, run["number"], params.start_seed)
            frame = beads.frames([chosen])
            log.info("%s: start from frame %d (%.1f ps)", run["out_dir"], chosen, frame.times_ps[0])
            plans.append(
                RunPlan(
                    frame.positions_A[0],
                    frame.cells_A[0],
                    velocity_seed=run["velocity_seed"],
                    out_dir=run["out_dir"],
                    checkpoint_dir=run["checkpoint_dir"],
                    identity={key: run[key] for key in ("variant", "member", "replica")} | {"start_frame": chosen},
                    provenance=stamps[run["member"]],
                    excluded=excluded[run["member"]],
                )
            )
    if spec.coupling == "mliap":
        files = stack.enter_context(written_mliap(networks))
        interaction = [MliapModel(files[name], networks[name][0].type_names) for name in members]
    else:
        ensembles = [networks[name] for name in members]
        interaction = JointNetworkPotential(ensembles, topology.bead_types, spec.skin_A, device=device)
    records = run_simulations(interaction, plans, topology, spec, threads=snakemake.threads, device=str(device))
    for plan, record in zip(plans, records, strict=True):
        log.info("%s: %s at step %s", plan.out_dir, record["status"], record["step"])
    log.info("%.2f ns/day together", records[0]["ns_per_day_together"])
