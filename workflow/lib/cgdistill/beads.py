"""Bead trajectories on disk: one HDF5 file with units, provenance and the atom-to-bead table.

Layout (all datasets carry an attribute ``unit``)::

    positions   (n_frames, n_beads, 3)  A           centres of mass, not wrapped
    forces      (n_frames, n_beads, 3)  kcal/mol/A  optional
    cell        (n_frames, 3, 3)        A           rows are the cell vectors a, b, c
    time        (n_frames,)             ps
    bead_types  (n_beads,)              index into type_names
    masses      (n_beads,)              g/mol
    residues    (n_beads,)              index of the residue that the bead belongs to
    atoms       (n_atoms,)              bead of each atom of the all-atom system, -1 for none

and the attributes ``format``, ``type_names``, ``bead_names`` and ``provenance`` (JSON).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np

from .errors import InputError
from .units import UNITS

FORMAT = "cgdistill-beads-1"
_UNITS = {
    "positions": UNITS["length"],
    "forces": UNITS["force"],
    "cell": UNITS["length"],
    "time": UNITS["time"],
    "bead_types": "1",
    "masses": UNITS["mass"],
    "residues": "1",
    "atoms": "1",
}


@dataclass(frozen=True)
class BeadTopology:
    """What does not change from frame to frame.

    Attributes
    ----------
    type_names: names of the bead types, in the order of their index.
    bead_types: (n_beads,) index into ``type_names``.
    bead_names: (n_beads,) name of each bead in its residue.
    masses_g_mol: (n_beads,)
    residues: (n_beads,) index of the residue of each bead.
    atom_beads: (n_atoms,) bead of each atom, -1 for none; empty where no all-atom system stands behind.
    """

    type_names: tuple[str, ...]
    bead_types: np.ndarray
    bead_names: tuple[str, ...]
    masses_g_mol: np.ndarray
    residues: np.ndarray
    atom_beads: np.ndarray

    @property
    def n_beads(self) -> int:
        """Number of beads."""
        return len(self.bead_types)

    @property
    def n_types(self) -> int:
        """Number of bead types."""
        return len(self.type_names)

    def type_masses_g_mol(self) -> np.ndarray:
        """(n_types,) mass of each type, g/mol (that of its first bead; NaN where there is none)."""
        masses = np.full(self.n_types, np.nan)
        for index in range(self.n_types):
            members = np.flatnonzero(self.bead_types == index)
            if len(members):
                masses[index] = self.masses_g_mol[members[0]]
        return masses


@dataclass(frozen=True)
class BeadFrames:
    """Some frames in memory: positions and forces (n, n_beads, 3), cells (n, 3, 3), times (n,)."""

    positions_A: np.ndarray
    forces_kcal_mol_A: np.ndarray | None
    cells_A: np.ndarray
    times_ps: np.ndarray

    def __len__(self) -> int:
        return len(self.positions_A)


class BeadWriter:
    """Write a bead trajectory frame by frame or in chunks; memory does not grow with the frames."""

    def __init__(
        self,
        path: str | Path,
        topology: BeadTopology,
        provenance: Mapping[str, Any],
        forces: bool = True,
    ) -> None:
        self._file = h5py.File(path, "w")
        n = topology.n_beads
        shapes = {"positions": (n, 3), "cell": (3, 3), "time": ()} | ({"forces": (n, 3)} if forces else {})
        for name, shape in shapes.items():
            dtype = "f4" if name in ("positions", "forces") else "f8"
            data = self._file.create_dataset(name, (0, *shape), dtype, maxshape=(None, *shape), chunks=(1, *shape))
            data.attrs["unit"] = _UNITS[name]
        fixed = {
            "bead_types": topology.bead_types.astype("i4"),
            "masses": topology.masses_g_mol.astype("f8"),
            "residues": topology.residues.astype("i4"),
            "atoms": topology.atom_beads.astype("i4"),
        }
        for name, values in fixed.items():
            self._file.create_dataset(name, data=values).attrs["unit"] = _UNITS[name]
        self._file.attrs["format"] = FORMAT
        self._file.attrs["type_names"] = json.dumps(topology.type_names)
        self._file.attrs["bead_names"] = json.dumps(topology.bead_names)
        self._file.attrs["provenance"] = json.dumps(dict(provenance))

    def append(self, frames: BeadFrames) -> None:
        """Append frames in the order given."""
        start = len(self._file["time"])
        values = {"positions": frames.positions_A, "cell": frames.cells_A, "time": frames.times_ps}
        if "forces" in self._file:
            if frames.forces_kcal_mol_A is None:
                raise ValueError("the file declares forces but the frames have none")
            values["forces"] = frames.forces_kcal_mol_A
        for name, data in values.items():
            dataset = self._file[name]
            dataset.resize(start + len(frames), axis=0)
            dataset[start:] = data

    def close(self) -> None:
        """Flush and close."""
        self._file.close()

    def __enter__(self) -> BeadWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class BeadFile:
    """Read a bead trajectory; frames are loaded when asked for.

    Raises
    ------
    InputError
        Not a bead file, a dataset missing, or a unit that is absent or other than the expected one.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self._file = h5py.File(self.path, "r")
        except OSError as error:
            raise InputError(path, "file", error, f"an HDF5 file of format {FORMAT}") from None
        if self._file.attrs.get("format") != FORMAT:
            raise InputError(path, "attribute 'format'", self._file.attrs.get("format"), FORMAT)
        for name, unit in _UNITS.items():
            if name not in self._file:
                if name == "forces":
                    continue
                raise InputError(path, name, "no such dataset", f"a dataset in {unit}")
            if self._file[name].attrs.get("unit") != unit:
                raise InputError(path, f"unit of '{name}'", self._file[name].attrs.get("unit"), unit)
        self.topology = BeadTopology(
            type_names=tuple(json.loads(self._file.attrs["type_names"])),
            bead_types=self._file["bead_types"][:].astype(np.int64),
            bead_names=tuple(json.loads(self._file.attrs["bead_names"])),
            masses_g_mol=self._file["masses"][:],
            residues=self._file["residues"][:].astype(np.int64),
            atom_beads=self._file["atoms"][:].astype(np.int64),
        )
        self.provenance: dict[str, Any] = json.loads(self._file.attrs["provenance"])

    def __len__(self) -> int:
        return len(self._file["time"])

    @property
    def has_forces(self) -> bool:
        """Whether the file holds forces."""
        return "forces" in self._file

    @property
    def times_ps(self) -> np.ndarray:
        """(n_frames,) times, ps."""
        return np.asarray(self._file["time"][:])

    @property
    def cells_A(self) -> np.ndarray:
        """(n_frames, 3, 3) cell vectors as rows, A."""
        return np.asarray(self._file["cell"][:])

    def frames(self, index: slice | Sequence[int] | np.ndarray | None = None) -> BeadFrames:
        """Load frames: all, a slice, or increasing indices (float64 arrays)."""
        chosen: Any = slice(None) if index is None else index
        if not isinstance(chosen, slice):
            chosen = np.asarray(chosen, dtype=np.int64)
        forces = self._file["forces"][chosen].astype(np.float64) if self.has_forces else None
        return BeadFrames(
            positions_A=self._file["positions"][chosen].astype(np.float64),
            forces_kcal_mol_A=forces,
            cells_A=np.asarray(self._file["cell"][chosen]),
            times_ps=np.asarray(self._file["time"][chosen]),
        )

    def chunks(self, size: int = 64) -> Iterator[BeadFrames]:
        """All frames in order, ``size`` at a time."""
        for start in range(0, len(self), size):
            yield self.frames(slice(start, start + size))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> BeadFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
