"""Export a model as a folder that stands alone.

Inputs: networks (weights, settings and metrics of each), beads, split. Outputs: card and the rest of its folder.
"""

from pathlib import Path

from cgdistill.beads import BeadFile
from cgdistill.console import job
from cgdistill.provenance import sha256_of, stamp
from cgdistill.split import read_split
from cgdistill.tables import read_table

with job(snakemake.log[0]):
    from cgdistill.model_folder import export_model
    from cgdistill.network import read_settings
    from cgdistill.simulation_spec import SimulationSpec

    source, params, wildcards = snakemake.input, snakemake.params, snakemake.wildcards
    folders = [Path(folder) for folder in params.folders]
    with BeadFile(source.beads) as beads:
        topology = beads.topology
        start = beads.frames(read_split(source.split, len(beads)).train[:1])
    metrics = {
        folder.name: read_table(folder / "metrics.csv").query("bead_type == 'all'").to_dict(orient="records")
        for folder in folders
    }
    facts = {
        "name": f"{wildcards.variant}/{wildcards.member}",
        "label": params.label,
        "variant": wildcards.variant,
        "member": wildcards.member,
        "training": {folder.name: read_settings(folder)["training"] for folder in folders},
        "training_data_sha256": sha256_of(source.beads),
        "metrics": metrics,
        "provenance": stamp({"folders": params.folders}, list(source.networks), seed=params.velocity_seed),
    }
    export_model(
        Path(snakemake.output.card).parent,
        {folder.name: folder for folder in folders},
        topology,
        (start.positions_A[0], start.cells_A[0]),
        SimulationSpec.from_config(params.simulation),
        facts,
        params.velocity_seed,
    )
