"""Structure curves and descriptions of the runs of a variant.

Inputs: beads (topology of the reference), runs (trajectory, thermo, record of each). Outputs: curves, runs.
"""

from cgdistill.beads import BeadFile
from cgdistill.console import job
from cgdistill.provenance import stamp
from cgdistill.runs import analyse_runs
from cgdistill.structure.curves import write_curves
from cgdistill.structure.spec import StructureSpec
from cgdistill.tables import write_table

with job(snakemake.log[0], snakemake.threads):
    params = snakemake.params
    with BeadFile(snakemake.input.beads) as beads:
        topology = beads.topology
    spec = StructureSpec.from_config(params.structure)
    curves, runs = analyse_runs(params.folders, topology, spec, snakemake.threads)
    provenance = stamp(params.structure, list(snakemake.input.runs))
    write_curves(snakemake.output.curves, curves, provenance)
    write_table(snakemake.output.runs, runs, provenance)
