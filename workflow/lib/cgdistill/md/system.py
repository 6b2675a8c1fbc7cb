"""Beads and configurations as the MD engine sees them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..core.errors import InputError
from ..data.beads import BeadTopology
from ..geometry.cells import restricted_cell, wrap


@dataclass(frozen=True)
class BeadSystem:
    """Beads as LAMMPS sees them: cell in its orientation, positions within it.

    Attributes
    ----------
    positions_A: (n_beads, 3)
    cell_A: (3, 3) lower triangular.
    bead_types: (n_beads,) from 0.
    type_names: (n_types,)
    type_masses_g_mol: (n_types,); 1 for types without beads, which LAMMPS wants to be massive too.
    """

    positions_A: np.ndarray
    cell_A: np.ndarray
    bead_types: np.ndarray
    type_names: tuple[str, ...]
    type_masses_g_mol: np.ndarray

    @property
    def n_beads(self) -> int:
        """Number of beads."""
        return len(self.positions_A)

    @classmethod
    def from_frame(cls, positions_A: np.ndarray, cell_A: np.ndarray, topology: BeadTopology) -> BeadSystem:
        """System of one frame (any cell, unwrapped positions).

        Raises
        ------
        InputError
            Positions that are not finite or not one per bead, a cell without volume, beads of one type
            with different masses.
        """
        positions = np.asarray(positions_A, dtype=np.float64)
        if positions.shape != (topology.n_beads, 3) or not np.isfinite(positions).all():
            raise InputError(
                "start frame", "positions_A", f"shape {positions.shape}, or not finite", f"({topology.n_beads}, 3)"
            )
        masses = topology.type_masses_g_mol()
        if not np.allclose(masses[topology.bead_types], topology.masses_g_mol, rtol=1e-3):
            raise InputError("start frame", "masses_g_mol", "beads of one type differ", "one mass per type")
        cell, rotation = restricted_cell(cell_A)
        return cls(
            positions_A=wrap(positions @ rotation, cell)[0],
            cell_A=cell,
            bead_types=np.asarray(topology.bead_types, dtype=np.int64),
            type_names=topology.type_names,
            type_masses_g_mol=np.nan_to_num(masses, nan=1.0),
        )


@dataclass(frozen=True)
class Frame:
    """One configuration; beads in the order of their ids.

    Attributes
    ----------
    step: time step; 0 while minimising.
    positions_A: (n_beads, 3), unwrapped, finite.
    velocities_A_fs, forces_kcal_mol_A: (n_beads, 3), finite; forces that were not are 0.
    """

    step: int
    positions_A: np.ndarray
    velocities_A_fs: np.ndarray
    forces_kcal_mol_A: np.ndarray
