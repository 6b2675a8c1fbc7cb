"""Take the minimised box through the annealing schedule.

Inputs: topology (.top), structure (.gro).
Outputs: structure (.gro with velocities).
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
    engine(snakemake.params.source).equilibrate(stage, Path(snakemake.output.structure))
