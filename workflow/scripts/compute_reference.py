"""Structure of the mapped all-atom reference.

Input: beads. Outputs: curves, blocks, resolved, series.
"""

from cgdistill.analysis.run_analysis import analyse_reference
from cgdistill.data.beads import BeadFile
from cgdistill.provenance.record import stamp
from cgdistill.runtime.job import job
from cgdistill.structure.files import write_blocks, write_curves, write_resolved, write_series
from cgdistill.structure.spec import StructureSpec

with job(snakemake.log[0], snakemake.threads):
    output, params = snakemake.output, snakemake.params
    spec = StructureSpec.from_config(params.structure)
    with BeadFile(snakemake.input.beads) as beads:
        found = analyse_reference(beads, spec, n_blocks=params.blocks, threads=snakemake.threads)
    settings = {"structure": params.structure, "statistics": {"blocks": params.blocks}}
    provenance = stamp(settings, dict(snakemake.input.items()))
    write_curves(output.curves, found.curves, provenance)
    write_blocks(output.blocks, found.blocks, provenance)
    write_resolved(output.resolved, found.resolved, provenance)
    write_series(output.series, found.series, provenance)
