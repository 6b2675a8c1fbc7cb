"""Map an all-atom trajectory to beads.

Inputs: topology, masses (may be empty), trajectory (list), mapping. Output: beads.
"""

from pathlib import Path

from cgdistill.data.atoms import read_topology
from cgdistill.data.mapping import FrameSelection, Mapper, map_trajectory
from cgdistill.data.mapping_rules import MappingRules
from cgdistill.io.text import read_yaml
from cgdistill.provenance.record import stamp
from cgdistill.runtime.atomic_files import whole_file
from cgdistill.runtime.job import job

with job(snakemake.log[0], snakemake.threads):
    source, params = snakemake.input, snakemake.params
    trajectories = [source.trajectory] if isinstance(source.trajectory, str) else list(source.trajectory)
    masses = str(source.masses) if source.masses else None
    topology = read_topology(source.topology, masses)
    mapper = Mapper(MappingRules.from_dict(read_yaml(source.mapping), source.mapping), topology)
    with whole_file(snakemake.output.beads) as partial:
        map_trajectory(
            partial,
            mapper,
            trajectories,
            stamp({"units": params.units, "frames": params.frames}, [Path(name) for name in source]),
            FrameSelection(**params.frames),
            units=params.units,
            reach_A=params.reach_A,
        )
