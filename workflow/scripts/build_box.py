"""Write the all-atom topology and the packed box.

Inputs: force_field, molecules (structures and topologies of the config section aa.system).
Outputs: topology (.top), structure (.gro).
"""

from pathlib import Path

from cgdistill.aa.system import SystemSpec, build_box
from cgdistill.runtime.job import job

with job(snakemake.log[0], threads=snakemake.threads):
    build_box(
        SystemSpec.from_config(snakemake.params.system),
        snakemake.params.seed,
        topology=Path(snakemake.output.topology),
        structure=Path(snakemake.output.structure),
        folder=Path(snakemake.params.folder),
    )
