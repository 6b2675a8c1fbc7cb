"""Mapped frames of the demo data."""

from __future__ import annotations

from pathlib import Path

from cgdistill.data.atoms import read_topology
from cgdistill.data.beads import BeadFile, BeadFrames, BeadTopology
from cgdistill.data.mapping import FrameSelection, Mapper, map_trajectory
from cgdistill.data.mapping_rules import MappingRules
from cgdistill.io.text import read_yaml


def demo_beads(root: Path, folder: Path, n_frames: int) -> tuple[BeadFrames, BeadTopology]:
    """The first frames of 128 beads, and their topology; files go to ``folder``."""
    rules = MappingRules.from_dict(read_yaml(root / "config/mappings/des.yaml"), "des.yaml")
    demo, path = root / "resources/demo", folder / "beads.h5"
    mapper = Mapper(rules, read_topology(demo / "des128.gro", demo / "des128.top"))
    map_trajectory(path, mapper, [demo / "des128.trr"], {}, FrameSelection(max_frames=n_frames))
    with BeadFile(path) as beads:
        return beads.frames(), beads.topology
