"""Simulate the replicas of a model: minimise, equilibrate, produce, each from its own frame of the training set.

Inputs: card, networks (of the exported model), beads, split. Output: runs, the folder of the replicas' folders.
"""

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from cgdistill.data.beads import BeadFile
from cgdistill.data.split import read_split, start_frame
from cgdistill.provenance.record import stamp
from cgdistill.runtime.job import job

with job(snakemake.log[0], snakemake.threads) as log, ExitStack() as stack:
    import torch
    from cgdistill.export.model_folder import load_exported, read_card
    from cgdistill.md.protocol import SimulationSpec
    from cgdistill.md.simulation import RunPlan, run_simulations
    from cgdistill.runtime.devices import choose_device

    torch.set_num_threads(snakemake.threads)
    source, params, model = snakemake.input, snakemake.params, dict(snakemake.wildcards.items())
    limits = {**params.simulation["limits"], "keep_frames": params.keep_frames}
    spec, device = SimulationSpec.from_config({**params.simulation, "limits": limits}), choose_device(params.device)
    folder = Path(source.card).parent
    force_field, excluded = load_exported(folder), read_card(folder).get("excluded", "")
    inputs = {name: source[name] for name in ("card", "beads", "split")}
    provenance = stamp(params.simulation, inputs, code=params.code)
    plans = []
    with BeadFile(source.beads) as beads:
        topology = beads.topology
        train = read_split(source.split, len(beads)).train
        for run in params.runs:
            chosen = start_frame(train, run["number"], params.start_seed)
            frame = beads.frames([chosen])
            name = f"replica-{run['replica']}"
            log.info("%s: start from frame %d (%.1f ps)", name, chosen, frame.times_ps[0])
            plans.append(
                RunPlan(
                    frame.positions_A[0],
                    frame.cells_A[0],
                    velocity_seed=run["velocity_seed"],
                    out_dir=Path(snakemake.output.runs) / name,
                    checkpoint_dir=Path(params.checkpoints) / name,
                    identity={**model, "replica": run["replica"], "start_frame": chosen},
                    provenance=provenance,
                    excluded=excluded,
                    styles=force_field.prior.lammps_styles(),
                )
            )
    interaction = force_field.architecture.for_simulation(
        [force_field.networks] * len(plans),
        topology.bead_types,
        coupling=spec.coupling,
        skin_A=spec.skin_A,
        device=device,
        folder=Path(stack.enter_context(TemporaryDirectory(prefix="cgdistill-"))),
    )
    records = run_simulations(
        interaction,
        plans,
        topology,
        spec,
        threads=snakemake.threads,
        device=str(device),
        at_once=params.at_once,
        keep=True,
    )
    for plan, record in zip(plans, records, strict=True):
        log.info("%s: %s at step %s", plan.out_dir, record["status"], record["step"])
    log.info("%.2f ns/day together", records[0]["ns_per_day_together"])
