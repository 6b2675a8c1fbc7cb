"""Simulate a model: minimisation, equilibration, production, from its own frame of the training set.

Inputs: card, networks, mliap (coupling mliap), beads, split. Outputs: trajectory, thermo, record, final.
"""

from pathlib import Path

from cgdistill.beads import BeadFile
from cgdistill.console import job
from cgdistill.provenance import stamp
from cgdistill.split import read_split, start_frame

with job(snakemake.log[0], snakemake.threads) as log:
    import torch
    from cgdistill.lammps_engine import MliapModel
    from cgdistill.model_folder import load_networks
    from cgdistill.network_potential import NetworkPotential
    from cgdistill.simulation import run_simulation
    from cgdistill.simulation_spec import SimulationSpec
    from cgdistill.training_job import choose_device

    torch.set_num_threads(snakemake.threads)
    source, params, wildcards = snakemake.input, snakemake.params, snakemake.wildcards
    spec, device = SimulationSpec.from_config(params.simulation), choose_device(params.device)
    folder = Path(source.card).parent
    if spec.coupling == "mliap":
        interaction = MliapModel(folder / "mliap.pt", load_networks(folder)[0].type_names)
    else:
        interaction = NetworkPotential(load_networks(folder), spec.skin_A, device=device)
    with BeadFile(source.beads) as beads:
        topology = beads.topology
        chosen = start_frame(read_split(source.split, len(beads)).train, params.run_number, params.start_seed)
        frame = beads.frames([chosen])
    log.info("start from frame %d (%.1f ps)", chosen, frame.times_ps[0])
    record = run_simulation(
        interaction,
        frame.positions_A[0],
        frame.cells_A[0],
        topology,
        spec,
        velocity_seed=params.velocity_seed,
        out_dir=Path(snakemake.output.record).parent,
        checkpoint_dir=params.checkpoint,
        identity={
            "variant": wildcards.variant,
            "member": wildcards.member,
            "replica": int(wildcards.replica),
            "start_frame": chosen,
        },
        provenance=stamp(params.simulation, {"card": source.card, "beads": source.beads, "split": source.split}),
        threads=snakemake.threads,
        device=str(device),
    )
    log.info("%s at step %s, %.2f ns/day", record["status"], record["step"], record["ns_per_day"])
