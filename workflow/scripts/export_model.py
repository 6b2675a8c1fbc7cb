"""Export a model as a folder that is complete in itself.

Inputs: networks (weights, settings and metrics of each), health (of the teachers), beads, split. Outputs: card, and
the rest of the folder.
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

    source, params, wildcards = snakemake.input, snakemake.params, snakemake.wildcards
    with BeadFile(source.beads) as beads:
        topology = beads.topology
        start = beads.frames(read_split(source.split, len(beads)).train[:1])
    folders = list(dict.fromkeys(Path(path).parent for path in source.networks))
    networks, left_out = sound_networks({folder.name: folder for folder in folders}, read_health(source.health))
    files = [path for path in source.networks if Path(path).parent in networks.values()]
    facts = {
        "name": f"{wildcards.variant}/{wildcards.member}",
        "label": params.label,
        "variant": wildcards.variant,
        "member": wildcards.member,
        "training_data_sha256": sha256_of(source.beads),
        # Of one network, the model itself is not to be used; of several, those are not in it.
        "excluded": next(iter(left_out.values())) if len(folders) == 1 and left_out else "",
        "left_out": left_out if len(folders) > 1 else {},
        "provenance": stamp({"folders": list(map(str, folders))}, files, seed=params.velocity_seed),
        **facts_of_networks(networks),
    }
    export_model(
        Path(snakemake.output.card).parent,
        networks,
        topology,
        (start.positions_A[0], start.cells_A[0]),
        SimulationSpec.from_config(params.simulation),
        facts,
        params.velocity_seed,
    )
