"""Export the models of a variant as folders that stand alone.

Inputs: networks (weights, settings and metrics of each), beads, split. Outputs: cards, and the rest of each folder.
"""

from pathlib import Path

from cgdistill.beads import BeadFile
from cgdistill.console import job
from cgdistill.provenance import sha256_of, stamp
from cgdistill.split import read_split

with job(snakemake.log[0]):
    from cgdistill.md.simulation_spec import SimulationSpec
    from cgdistill.model_folder import export_model, facts_of_networks

    source, params = snakemake.input, snakemake.params
    simulation = SimulationSpec.from_config(params.simulation)
    with BeadFile(source.beads) as beads:
        topology = beads.topology
        start = beads.frames(read_split(source.split, len(beads)).train[:1])
    digest = sha256_of(source.beads)
    for card, folders, seed in zip(snakemake.output.cards, params.folders, params.velocity_seeds, strict=True):
        out_dir = Path(card).parent
        networks = {Path(folder).name: Path(folder) for folder in folders}
        files = [path for path in source.networks if str(Path(path).parent) in folders]
        facts = {
            "name": f"{params.variant}/{out_dir.name}",
            "label": params.label,
            "variant": params.variant,
            "member": out_dir.name,
            "training_data_sha256": digest,
            "provenance": stamp({"folders": folders}, files, seed=seed),
            **facts_of_networks(networks),
        }
        first = (start.positions_A[0], start.cells_A[0])
        export_model(out_dir, networks, topology, first, simulation, facts, seed)
