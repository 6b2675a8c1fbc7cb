"""Structure, stability and descriptions of the runs of a variant.

Inputs: beads (topology of the reference), reference (its series), runs (folder of each member's runs).
Outputs: curves, blocks, resolved, series, runs.
"""

from cgdistill.analysis.run_analysis import analyse_runs, read_cluster_cutoffs
from cgdistill.analysis.stability import StabilitySpec
from cgdistill.data.beads import BeadFile
from cgdistill.io.csv_tables import write_table
from cgdistill.md.run_record import run_folders
from cgdistill.provenance.record import stamp
from cgdistill.runtime.job import job
from cgdistill.structure.files import read_series, write_blocks, write_curves, write_resolved, write_series
from cgdistill.structure.spec import StructureSpec

#: Files of a run that are read.
FILES = ("equilibration.lammpstrj", "trajectory.lammpstrj", "thermo.csv", "run.json")

with job(snakemake.log[0], snakemake.threads):
    source, output, params = snakemake.input, snakemake.output, snakemake.params
    with BeadFile(source.beads) as beads:
        topology = beads.topology
    folders = run_folders(source.runs)
    found = analyse_runs(
        folders,
        topology,
        StructureSpec.from_config(params.structure),
        n_blocks=params.blocks,
        stability=StabilitySpec.from_config(params.stability),
        cluster_cutoffs_A=read_cluster_cutoffs(read_series(source.reference)),
        threads=snakemake.threads,
    )
    settings = {
        "structure": params.structure,
        "statistics": {"blocks": params.blocks},
        "stability": params.stability,
    }
    provenance = stamp(settings, [source.reference, *(folder / name for folder in folders for name in FILES)])
    write_curves(output.curves, found.curves, provenance)
    write_blocks(output.blocks, found.blocks, provenance)
    write_resolved(output.resolved, found.resolved, provenance)
    write_series(output.series, found.series, provenance)
    write_table(output.runs, found.runs, provenance)
