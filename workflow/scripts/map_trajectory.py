"""Map an all-atom trajectory to beads.

Inputs: topology, masses (may be empty), trajectory (list), mapping. Output: beads.
"""

from pathlib import Path

from cgdistill.atoms import count_frames, read_topology
from cgdistill.config import read_yaml
from cgdistill.console import job
from cgdistill.mapping import Mapper, map_trajectory
from cgdistill.mapping_rules import MappingRules
from cgdistill.provenance import stamp, whole_file

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
            dump_units=params.units,
            expected_frames=count_frames(topology, trajectories),
            reach_A=params.reach_A,
            **params.frames,
        )
