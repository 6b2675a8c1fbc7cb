"""Structure of the mapped all-atom reference.

Input: beads. Output: curves.
"""

from cgdistill.beads import BeadFile
from cgdistill.console import job
from cgdistill.provenance import stamp
from cgdistill.structure.curves import compute_curves, label_run, write_curves
from cgdistill.structure.spec import StructureSpec

with job(snakemake.log[0], snakemake.threads):
    params = snakemake.params
    with BeadFile(snakemake.input.beads) as beads:
        curves = compute_curves(
            ((chunk.positions_A, chunk.cells_A) for chunk in beads.chunks(16)),
            beads.topology.type_names,
            beads.topology.bead_types,
            StructureSpec.from_config(params.structure),
            threads=snakemake.threads,
            source=snakemake.input.beads,
            n_frames=len(beads),
        )
    provenance = stamp(params.structure, dict(snakemake.input.items()))
    write_curves(snakemake.output.curves, label_run(curves, "AA", "AA", 0), provenance)
