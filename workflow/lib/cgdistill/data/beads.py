"""Bead trajectories: one HDF5 file with units, provenance and the assignment of atoms to beads.

Layout (all datasets carry an attribute ``unit``)::

    positions   (n_frames, n_beads, 3)  A           centres of mass, unwrapped
    forces      (n_frames, n_beads, 3)  kcal/mol/A  optional
    cell        (n_frames, 3, 3)        A           rows are the cell vectors a, b, c
    time        (n_frames,)             ps
    bead_types  (n_beads,)              index into type_names
    masses      (n_beads,)              g/mol
    residues    (n_beads,)              index of the residue of each bead
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

from ..core.errors import InputError
from ..io.hdf5_writer import Hdf5Output
from ..io.untrusted import open_hdf5

FORMAT = "cgdistill-beads-1"
#: Exceptions that h5py and JSON raise on an incomplete file.
_DAMAGE = (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError, ArithmeticError)
_UNITS = {
    "positions": "A",
    "forces": "kcal/mol/A",
    "cell": "A",
    "time": "ps",
    "bead_types": "1",
    "masses": "g/mol",
    "residues": "1",
    "atoms": "1",
}


def _in_pieces(dataset: h5py.Dataset) -> np.ndarray:
    """A complete dataset of one chunk per frame, read in pieces: HDF5 keeps 7 kB for each chunk of one read."""
    pieces = [dataset[start : start + 256] for start in range(0, len(dataset), 256)]
    return np.concatenate(pieces) if pieces else np.asarray(dataset[:])


@dataclass(frozen=True)
class BeadTopology:
    """Properties of the beads that do not change from frame to frame.

    Attributes
    ----------
    type_names: names of the bead types, in the order of their index.
    bead_types: (n_beads,) index into ``type_names``.
    bead_names: (n_beads,) name of each bead within its residue.
    masses_g_mol: (n_beads,)
    residues: (n_beads,) index of the residue of each bead.
    atom_beads: (n_atoms,) bead of each atom, -1 for none; empty without an all-atom system.
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
        """(n_types,) mass of each type, g/mol: that of its first bead, NaN for a type without beads."""
        masses = np.full(self.n_types, np.nan)
        for index in range(self.n_types):
            members = np.flatnonzero(self.bead_types == index)
            if len(members):
                masses[index] = self.masses_g_mol[members[0]]
        return masses


@dataclass(frozen=True)
class BeadFrames:
    """Frames in memory: positions and forces (n, n_beads, 3), cells (n, 3, 3), times (n,)."""

    positions_A: np.ndarray
    forces_kcal_mol_A: np.ndarray | None
    cells_A: np.ndarray
    times_ps: np.ndarray

    def __len__(self) -> int:
        return len(self.positions_A)


class BeadWriter:
    """Writer of a bead trajectory, frame by frame or in chunks; memory does not grow with the number of frames."""

    def __init__(
        self,
        path: str | Path,
        topology: BeadTopology,
        provenance: Mapping[str, Any],
        forces: bool = True,
    ) -> None:
        # The newer layout has checksums of all metadata; HDF5 can crash on damaged metadata without them.
        self._output = Hdf5Output(path, libver=("v110", "v110"))
        self._file = self._output.file
        n = topology.n_beads
        shapes = {"positions": (n, 3), "cell": (3, 3), "time": ()} | ({"forces": (n, 3)} if forces else {})
        for name, shape in shapes.items():
            dtype = "f4" if name in ("positions", "forces") else "f8"
            # A checksum per frame (HDF5's Fletcher-32): data damaged on disk are an error when they are read.
            data = self._file.create_dataset(
                name, (0, *shape), dtype, maxshape=(None, *shape), chunks=(1, *shape), fletcher32=True
            )
            data.attrs["unit"] = _UNITS[name]
        fixed = {
            "bead_types": topology.bead_types.astype("i4"),
            "masses": topology.masses_g_mol.astype("f8"),
            "residues": topology.residues.astype("i4"),
            "atoms": topology.atom_beads.astype("i4"),
        }
        for name, values in fixed.items():
            checksum = len(values) > 0  # HDF5 has no chunks in empty datasets
            self._file.create_dataset(name, data=values, fletcher32=checksum).attrs["unit"] = _UNITS[name]
        self._file.attrs["format"] = FORMAT
        self._file.attrs["type_names"] = json.dumps(topology.type_names)
        self._file.attrs["bead_names"] = json.dumps(topology.bead_names)
        self._file.attrs["provenance"] = json.dumps(dict(provenance))

    def append(self, frames: BeadFrames) -> None:
        """Append frames in the order given.

        Raises
        ------
        OSError
            The disk is full.
        """
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
        self._output.check()

    def close(self) -> None:
        """Flush and close.

        Raises
        ------
        OSError
            The disk is full.
        """
        self._output.close()

    def __enter__(self) -> BeadWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._output.__exit__(kind, error, trace)


class BeadFile:
    """Reader of a bead trajectory; frames are loaded on demand.

    Raises
    ------
    InputError
        Not a bead file, a missing dataset, a missing or unexpected unit, inconsistent parts, or damage; damage of a
        frame is found when it is loaded.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file = open_hdf5(self.path, f"an HDF5 file of format {FORMAT}")
        try:
            self._open()
        except InputError:
            self._file.close()
            raise
        except _DAMAGE as error:
            self._file.close()
            raise InputError(path, "file", f"{type(error).__name__}: {error}", f"a complete file of {FORMAT}") from None

    def _open(self) -> None:
        """Read and check everything except positions and forces."""
        path = self.path
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
        self._check_topology()
        self._times_ps, self._cells_A = _in_pieces(self._file["time"]), _in_pieces(self._file["cell"])
        self._check_frames()

    def _expect(self, fits: bool, item: str, found: object, expected: object) -> None:
        if not fits:
            raise InputError(self.path, item, found, expected)

    def _check_topology(self) -> None:
        topology = self.topology
        names, n = topology.type_names, topology.n_beads
        for item, values in (("type_names", names), ("bead_names", topology.bead_names)):
            # Names are written to files of LAMMPS, where they must not contain blanks or line breaks.
            plain = all(isinstance(name, str) and name.isprintable() and name.split() == [name] for name in values)
            self._expect(plain, item, values, "names without blanks")
        self._expect(0 < len(set(names)) == len(names), "type_names", names, "unique names")
        sizes = {
            "bead_names": len(topology.bead_names),
            "masses": len(topology.masses_g_mol),
            "residues": len(topology.residues),
        }
        for item, size in sizes.items():
            self._expect(size == n > 0, item, f"{size} values", f"{n}, one per bead")
        types, atoms = topology.bead_types, topology.atom_beads
        self._expect(types.min() >= 0 and types.max() < len(names), "bead_types", types.max(), f"0 to {len(names) - 1}")
        masses = topology.masses_g_mol
        self._expect(bool((masses > 0).all() and np.isfinite(masses).all()), "masses", masses.min(), "positive, g/mol")
        in_range = len(atoms) == 0 or (atoms.min() >= -1 and atoms.max() < n)
        self._expect(in_range, "atoms", "an index beyond the beads", f"-1 to {n - 1}")

    def _check_frames(self) -> None:
        n = len(self._times_ps)
        shapes = {"time": (n,), "cell": (n, 3, 3), "positions": (n, self.topology.n_beads, 3)}
        for item, shape in (shapes | ({"forces": shapes["positions"]} if self.has_forces else {})).items():
            dataset = self._file[item]
            self._expect(
                dataset.shape == shape and dataset.dtype.kind == "f", item, dataset, f"numbers of shape {shape}"
            )
        steps = np.diff(self._times_ps)
        fits = bool(np.isfinite(self._times_ps).all() and (steps > 0).all())
        self._expect(fits, "time", "times that do not increase", "increasing times, ps")
        bad = np.flatnonzero(~(np.isfinite(self._cells_A).all(axis=(1, 2)) & (np.linalg.det(self._cells_A) > 0)))
        if len(bad):
            raise InputError(self.path, f"frame {bad[0]}, cell", self._cells_A[bad[0]].tolist(), "a positive volume")

    def __len__(self) -> int:
        return len(self._times_ps)

    @property
    def has_forces(self) -> bool:
        """Whether the file holds forces."""
        return "forces" in self._file

    @property
    def times_ps(self) -> np.ndarray:
        """(n_frames,) times, ps."""
        return self._times_ps.copy()

    @property
    def cells_A(self) -> np.ndarray:
        """(n_frames, 3, 3) cell vectors as rows, A."""
        return self._cells_A.copy()

    def frames(self, index: slice | Sequence[int] | np.ndarray | None = None) -> BeadFrames:
        """Frames as float64 arrays: all, a slice, or those of increasing indices.

        Raises
        ------
        InputError
            A frame that is damaged or not finite.
        """
        chosen: Any = slice(None) if index is None else index
        if not isinstance(chosen, slice):
            chosen = np.asarray(chosen, dtype=np.int64)
        return BeadFrames(
            positions_A=self._numbers("positions", chosen),
            forces_kcal_mol_A=self._numbers("forces", chosen) if self.has_forces else None,
            cells_A=self._cells_A[chosen],
            times_ps=self._times_ps[chosen],
        )

    def _numbers(self, name: str, chosen: slice | np.ndarray) -> np.ndarray:
        """(n, n_beads, 3) positions or forces of some frames."""
        try:
            values: np.ndarray = self._file[name][chosen].astype(np.float64)
        except (OSError, RuntimeError) as error:
            numbers = np.arange(len(self))[chosen]
            where = f"{name} of frames {numbers.min()} to {numbers.max()}"
            raise InputError(self.path, where, error, "undamaged data") from None
        if not np.isfinite(values).all():
            bad = np.flatnonzero(~np.isfinite(values).all(axis=(1, 2)))[0]
            where = f"frame {np.arange(len(self))[chosen][bad]}, {name}"
            raise InputError(self.path, where, "values that are not finite", "numbers")
        return values

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
