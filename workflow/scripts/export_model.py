"""Export the models of a variant as folders that stand alone.

Inputs: networks (weights, settings and metrics of each), health (of the teachers), beads, split. Outputs: cards, and
the rest of each folder.
"""

from pathlib import Path

from cgdistill.data.beads import BeadFile
from cgdistill.data.split import read_split
from cgdistill.provenance.record import sha256_of, stamp
from cgdistill.runtime.job import job

with job(snakemake.log[0]):
    from cgdistill.export.model_folder import export_model, facts_of_networks
    from cgdistill.md.protocol import SimulationSpec
    from cgdistill.training.teacher_selection import read_health, sound_networks

    source, params = snakemake.input, snakemake.params
    simulation = SimulationSpec.from_config(params.simulation)
    with BeadFile(source.beads) as beads:
        topology = beads.topology
        start = beads.frames(read_split(source.split, len(beads)).train[:1])
    digest, health = sha256_of(source.beads), read_health(source.health)
    for card, folders, seed in zip(snakemake.output.cards, params.folders, params.velocity_seeds, strict=True):
        out_dir = Path(card).parent
        networks, excluded = sound_networks({Path(folder).name: Path(folder) for folder in folders}, health)
        files = [path for path in source.networks if Path(path).parent in networks.values()]
        facts = {
            "name": f"{params.variant}/{out_dir.name}",
            "label": params.label,
            "variant": params.variant,
            "member": out_dir.name,
            "training_data_sha256": digest,
            # Of one network, the model itself is not to be used; of several, those are not in it.
            "excluded": next(iter(excluded.values())) if len(folders) == 1 and excluded else "",
            "left_out": excluded if len(folders) > 1 else {},
            "provenance": stamp({"folders": folders}, files, seed=seed),
            **facts_of_networks(networks),
        }
        first = (start.positions_A[0], start.cells_A[0])
        export_model(out_dir, networks, topology, first, simulation, facts, seed)
