"""Run the all-atom production.

Inputs: topology (.top), structure (.gro).
Outputs: trajectory (.trr: positions and forces), structure (.gro: its start), thermo (.csv: energies).
"""

from cgdistill.aa.engines import run_stage
from cgdistill.aa.stage import StageInput
from cgdistill.runtime.job import job

with job(snakemake.log[0], threads=snakemake.threads):
    stage = StageInput.from_config(
        snakemake.params.protocol,
        snakemake.input.topology,
        snakemake.input.structure,
        checkpoints=snakemake.params.checkpoints,
        seed=snakemake.params.seed,
        threads=snakemake.threads,
        device=snakemake.params.device,
    )
    run_stage("produce", snakemake.params.source, stage, dict(snakemake.output.items()))
