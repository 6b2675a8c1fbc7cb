"""How far the teachers disagree, on all-atom frames and on frames of one run of every model.

Inputs: beads, split, predictions and networks of the teachers, their health, simulations (of one member of
each variant). Output: spread.
"""

from pathlib import Path

from cgdistill.analysis.ensemble_spread import compute_spread
from cgdistill.io.csv_tables import write_table
from cgdistill.md.run_record import run_folders
from cgdistill.provenance.record import stamp
from cgdistill.runtime.job import job
from cgdistill.training.teacher_selection import sound_files

with job(snakemake.log[0], snakemake.threads):
    source, params = snakemake.input, snakemake.params
    trajectories = [run_folders([folder])[0] / "trajectory.lammpstrj" for folder in source.simulations]
    networks = sound_files(source.networks, source.health)
    spread = compute_spread(
        source.beads,
        source.split,
        [Path(path).parent for path in networks],
        dict(zip(params.variants, trajectories, strict=True)),
        device=params.device,
        labels=dict(params.labels),
        batch_size=params.batch_size,
    )
    files = [source.beads, source.split, source.health, *networks, *trajectories]
    write_table(snakemake.output.spread, spread, stamp(dict(params.labels), files))
