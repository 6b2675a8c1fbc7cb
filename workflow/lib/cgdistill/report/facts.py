"""What the all-atom data of a run are, read from the bead file and the split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..data.beads import BeadFile
from ..data.split import PARTS, read_split

#: g/mol/A^3 to g/cm^3.
_G_CM3_PER_G_MOL_A3 = 1.66053907


@dataclass(frozen=True)
class BeadType:
    """One bead type: its name, how many beads, their mean mass in g/mol."""

    name: str
    count: int
    mass_g_mol: float


@dataclass(frozen=True)
class SystemFacts:
    """Beads, cell and frames.

    Attributes
    ----------
    n_atoms: of the all-atom system, 0 where the file does not know.
    edges_A: (3,) lengths of the cell vectors of the first frame.
    density_g_cm3: of the beads in that cell.
    spacing_ps: median time between frames, NaN for one frame.
    n_frames: frames by part of the split: train, valid, test.
    """

    types: tuple[BeadType, ...]
    n_atoms: int
    edges_A: tuple[float, ...]
    density_g_cm3: float
    frames: int
    spacing_ps: float
    n_frames: dict[str, int]

    @property
    def type_names(self) -> list[str]:
        """Names of the bead types in order."""
        return [bead_type.name for bead_type in self.types]

    @property
    def n_beads(self) -> int:
        """Number of beads."""
        return sum(bead_type.count for bead_type in self.types)


def read_system(beads: str | Path, split: str | Path) -> SystemFacts:
    """Facts of a bead file and its split."""
    with BeadFile(beads) as file:
        topology, times, cells = file.topology, file.times_ps, file.cells_A
        parts = read_split(split, len(file))
    types = []
    for index, name in enumerate(topology.type_names):
        own = topology.masses_g_mol[topology.bead_types == index]
        types.append(BeadType(name, len(own), float(own.mean()) if len(own) else float("nan")))
    volume_A3 = float(np.abs(np.linalg.det(cells[0])))
    return SystemFacts(
        types=tuple(types),
        n_atoms=len(topology.atom_beads),
        edges_A=tuple(float(edge) for edge in np.linalg.norm(cells[0], axis=1)),
        density_g_cm3=float(topology.masses_g_mol.sum()) / volume_A3 * _G_CM3_PER_G_MOL_A3,
        frames=len(times),
        spacing_ps=float(np.median(np.diff(times))) if len(times) > 1 else float("nan"),
        n_frames={name: len(parts.part(name)) for name in PARTS},
    )
