"""Run the all-atom production.

Inputs: topology (.top), structure (.gro).
Outputs: trajectory (.trr: positions and forces), structure (.gro: its start), thermo (.csv: energies).
"""

from pathlib import Path

from cgdistill.aa.engines import engine
from cgdistill.aa.stage import StageInput
from cgdistill.config.aa_protocol import ProtocolSpec
from cgdistill.runtime.job import job

with job(snakemake.log[0], threads=snakemake.threads):
    stage = StageInput(
        topology=Path(snakemake.input.topology),
        structure=Path(snakemake.input.structure),
        protocol=ProtocolSpec.from_config(snakemake.params.protocol),
        checkpoints=Path(snakemake.params.checkpoints),
        seed=snakemake.params.seed,
        threads=snakemake.threads,
        device=snakemake.params.device,
    )
    engine(snakemake.params.source).produce(
        stage,
        trajectory=Path(snakemake.output.trajectory),
        structure=Path(snakemake.output.structure),
        thermo=Path(snakemake.output.thermo),
    )
