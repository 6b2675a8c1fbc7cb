"""All-atom input: topology with masses, and a stream of frames with positions and forces.

Formats: those of MDAnalysis (GROMACS ``.gro``, ``.tpr``, ``.top``, ``.trr``; ``.pdb``, ``.psf``,
``.prmtop``, H5MD, Amber NetCDF, ...) and LAMMPS text dumps with ``fx fy fz``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import h5py
import MDAnalysis as mda
import numpy as np

from ..core.errors import InputError
from ..geometry.cells import is_restricted, restricted_cell
from ..io.lammps_dump import is_dump, read_dump
from ..io.trr import check_trr
from ..io.untrusted import check_hdf5
from ..runtime.job import log
from .force_checks import N_FRAMES, ForceSanityCheck
from .readers import MAX_COORDINATE_A, read_trajectory, read_universe

#: Largest plausible component of a force; beyond it a file is damaged.
_MAX_FORCE_kcal_mol_A = 1e7
#: Largest ratio of the RMS force of a frame to that of the first frames of its file.
_FORCE_JUMP = 10.0
#: Relative change of the volume that is logged, and ratio of volumes that one system in equilibrium cannot have.
_VOLUME_CHANGE = 1e-3
_VOLUME_JUMP = 1.5


@dataclass(frozen=True)
class AtomTopology:
    """Atoms in the order of the trajectory.

    Attributes
    ----------
    names, residue_names: (n_atoms,)
    residues: (n_atoms,) index of the residue of each atom, from 0, in order of appearance.
    masses_g_mol: (n_atoms,)
    bonds: (n_bonds, 2) atom indices; empty if the topology lists none.
    universe: MDAnalysis universe, for selections.
    """

    names: np.ndarray
    residue_names: np.ndarray
    residues: np.ndarray
    masses_g_mol: np.ndarray
    bonds: np.ndarray
    universe: Any

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return len(self.names)


@dataclass(frozen=True)
class AtomFrame:
    """One frame: positions and forces (n_atoms, 3), cell (3, 3) with the cell vectors as rows, time."""

    positions_A: np.ndarray
    forces_kcal_mol_A: np.ndarray
    cell_A: np.ndarray
    time_ps: float


def read_topology(topology: str | Path, masses: str | Path | None = None) -> AtomTopology:
    """Names, residues, masses and bonds of a topology.

    Parameters
    ----------
    topology:
        File with atoms, residues and, depending on the format, masses and bonds.
    masses:
        Second topology (GROMACS ``.top``, ``.tpr``, LAMMPS data, ...) with masses and bonds, if the first has none; the
        same atoms in the same order.

    Raises
    ------
    InputError
        An unreadable file, no masses, or two topologies that do not agree.
    """
    universe = read_universe(Path(topology), "a topology that MDAnalysis reads")
    atoms = universe.atoms
    for attribute in ("names", "resnames"):
        if not hasattr(atoms, attribute):
            raise InputError(topology, attribute, "none", "atom and residue names")
    second = atoms
    if masses is not None:
        second = read_universe(Path(masses), "a topology that MDAnalysis reads").atoms
        if len(second) != len(atoms):
            raise InputError(masses, "number of atoms", len(second), f"{len(atoms)} as in {topology}")
        if hasattr(second, "names"):
            differing = np.flatnonzero(second.names != atoms.names)
            if len(differing):
                i = int(differing[0])
                raise InputError(masses, f"atom {i + 1}", second.names[i], f"{atoms.names[i]} as in {topology}")
    mass_file = topology if masses is None else masses
    if not hasattr(second, "masses"):
        raise InputError(
            mass_file, "masses", "none", "masses (set aa.files.masses to a .top, .tpr or LAMMPS data file)"
        )
    values = np.asarray(second.masses, dtype=np.float64)
    if not (values > 0).all():
        i = int(np.flatnonzero(~(values > 0))[0])
        raise InputError(mass_file, f"mass of atom {i + 1} ({atoms.names[i]})", values[i], "a positive mass, g/mol")
    try:
        bonds = np.asarray(second.universe.bonds.indices, dtype=np.int64).reshape(-1, 2)
    except (AttributeError, mda.exceptions.NoDataError):
        bonds = np.empty((0, 2), dtype=np.int64)
    return AtomTopology(
        names=np.asarray(atoms.names, dtype=object),
        residue_names=np.asarray(atoms.resnames, dtype=object),
        residues=np.asarray(atoms.resindices, dtype=np.int64),
        masses_g_mol=values,
        bonds=bonds,
        universe=universe,
    )


def _dump_frames(path: Path, units: str | None, n_atoms: int) -> Iterator[AtomFrame]:
    for number, frame in enumerate(read_dump(path, units)):
        where = f"frame {number}"
        if len(frame.positions_A) != n_atoms:
            raise InputError(path, where, f"{len(frame.positions_A)} atoms", f"{n_atoms} as in the topology")
        if frame.forces_kcal_mol_A is None:
            raise InputError(path, where, "no forces", "columns fx fy fz")
        if frame.time_ps is None:
            raise InputError(path, where, "no time", "ITEM: TIME (LAMMPS: dump_modify ... time yes)")
        positions, forces = frame.positions_A, frame.forces_kcal_mol_A
        cell = frame.cell_A
        if not is_restricted(cell):
            cell, rotation = restricted_cell(cell)
            positions, forces = positions @ rotation, forces @ rotation
        yield AtomFrame(positions, forces, cell, frame.time_ps)


def _check_h5md_cell(path: Path) -> None:
    """Check the orientation of the cell vectors in an H5MD file, of which MDAnalysis keeps only lengths and angles."""
    try:
        with h5py.File(path, "r") as file:
            for name, particles in file.get("particles", {}).items():
                edges = particles["box/edges"]
                values = np.asarray(edges["value"] if isinstance(edges, h5py.Group) else edges)
                if values.shape[-2:] != (3, 3):
                    continue
                for number, cell in enumerate(values.reshape(-1, 3, 3)):
                    if not is_restricted(cell):
                        expected = "a along x and b in the plane of x and y"
                        raise InputError(path, f"frame {number}, {name}/box/edges", cell.tolist(), expected)
    except (OSError, KeyError, AttributeError, TypeError, ValueError, np.linalg.LinAlgError) as error:
        found = f"{type(error).__name__}: {error}"
        raise InputError(path, "particles/*/box/edges", found, "H5MD with a periodic cell") from None


def _mdanalysis_frames(path: Path, topology: AtomTopology) -> Iterator[AtomFrame]:
    if path.suffix in (".h5md", ".h5"):
        check_hdf5(path, "trajectory")
        _check_h5md_cell(path)
    number = 0
    for frame in read_trajectory(path, topology.universe, topology.n_atoms, forces=True):
        where = f"frame {number}"
        if frame.positions_A is None:
            raise InputError(path, where, "no positions", "positions and forces in every frame")
        if frame.forces_kcal_mol_A is None:
            raise InputError(path, where, "no forces", "positions and forces in every frame")
        if frame.cell_A is None:
            raise InputError(path, where, "no cell", "a periodic cell")
        yield AtomFrame(frame.positions_A, frame.forces_kcal_mol_A, frame.cell_A, frame.time_ps)
        number += 1
    if number == 0:
        raise InputError(path, "trajectory", "no frame", "at least one")


class _Sequence:
    """Checks of every frame and of the sequence of frames, across all files."""

    def __init__(self) -> None:
        self._first_A3 = self._last_A3 = self._last_ps = np.nan
        self._varies = False

    def check(self, frame: AtomFrame, path: Path, where: str) -> None:
        """Check that the values are plausible, and continue those of the previous frame."""
        _check_values("positions", frame.positions_A, MAX_COORDINATE_A, "A", path, where)
        _check_values("forces", frame.forces_kcal_mol_A, _MAX_FORCE_kcal_mol_A, "kcal/mol/A", path, where)
        volume_A3 = float(np.linalg.det(frame.cell_A)) if np.isfinite(frame.cell_A).all() else np.nan
        if not 0 < volume_A3 < MAX_COORDINATE_A**3:
            raise InputError(path, where, f"cell {frame.cell_A.tolist()}", "three vectors that span a volume")
        if not np.isfinite(frame.time_ps):
            raise InputError(path, where, f"time {frame.time_ps}", "a finite time, ps")
        if frame.time_ps <= self._last_ps:
            found = f"time {frame.time_ps:g} ps after {self._last_ps:g} ps"
            raise InputError(path, where, found, "times that increase from frame to frame")
        ratio = volume_A3 / self._last_A3
        if ratio > _VOLUME_JUMP or ratio < 1 / _VOLUME_JUMP:
            found = f"a cell of {volume_A3:.5g} A^3 after one of {self._last_A3:.5g} A^3"
            raise InputError(path, where, found, "one system in equilibrium")
        if not self._varies and abs(volume_A3 / self._first_A3 - 1) > _VOLUME_CHANGE:
            self._varies = True
            log.warning("%s: %s: the cell changes; a simulation uses the cell of its start frame", path, where)
        self._last_A3, self._last_ps = volume_A3, frame.time_ps
        if np.isnan(self._first_A3):
            self._first_A3 = volume_A3


def _check_values(quantity: str, values: np.ndarray, limit: float, unit: str, path: Path, where: str) -> None:
    # A NaN compares as false.
    if np.abs(values).max() <= limit:
        return
    atom = int(np.flatnonzero(~(np.abs(values) <= limit).all(axis=1))[0])
    if np.isfinite(values[atom]).all():
        found = f"{quantity} of atom {atom + 1} up to {np.abs(values[atom]).max():.3g} {unit}"
        raise InputError(path, where, found, f"at most {limit:g} {unit} (is the file damaged?)")
    raise InputError(path, where, f"{quantity} of atom {atom + 1} not finite", "finite numbers")


def _checked_forces(
    frames: Iterator[AtomFrame], check: ForceSanityCheck, path: Path, check_forces: bool
) -> Iterator[AtomFrame]:
    """Frames of a file, after the forces of its first frames have passed the check."""
    check.reset()
    reported = False

    def report(where: str) -> None:
        nonlocal reported
        fault = check.fault()
        if fault is None or reported:
            return
        reported = True
        if check_forces:
            for more in islice(frames, N_FRAMES - check.n_frames):  # more frames identify the unit more reliably
                check.add(more.positions_A, more.forces_kcal_mol_A, more.cell_A)
            raise InputError(path, where, *(check.fault() or fault))
        log.warning("%s: %s: found %s, expected %s", path, where, *fault)

    for number, frame in enumerate(frames):
        if number > 0:
            rms = float(np.sqrt((frame.forces_kcal_mol_A**2).sum() / len(frame.forces_kcal_mol_A)))
            if check_forces and rms > _FORCE_JUMP * check.rms_kcal_mol_A:
                found = f"forces of {rms:.3g} kcal/mol/A (RMS)"
                expected = f"about {check.rms_kcal_mol_A:.3g} as in the first frames, or mapping.check_forces: false"
                raise InputError(path, f"frame {number}", found, expected)
        if number < N_FRAMES:
            check.add(frame.positions_A, frame.forces_kcal_mol_A, frame.cell_A)
            if number in (0, N_FRAMES - 1):
                report(f"frame {number}")
        yield frame
    report(f"frame {check.n_frames - 1}")


def read_frames(
    topology: AtomTopology, trajectories: Sequence[str | Path], units: str | None = None, check_forces: bool = True
) -> Iterator[AtomFrame]:
    """Frames of one or more trajectory files in order, one at a time.

    Parameters
    ----------
    units:
        LAMMPS unit style of dumps without ``ITEM: UNITS``.
    check_forces:
        Whether forces that fail `ForceSanityCheck`, or grow within a file, are errors; otherwise a warning is logged.

    Raises
    ------
    InputError
        An unreadable file, another number of atoms, no forces or cell, values that are not finite or implausible,
        times that do not increase, or forces that are not those on these atoms. File and frame are named.
    """
    paths = [Path(name) for name in trajectories]
    for path in paths:
        if not path.is_file():
            raise InputError(path, "trajectory", "no such file", "a readable trajectory")
        if path.suffix == ".trr":
            check_trr(path, topology.n_atoms)
    check = ForceSanityCheck(topology.masses_g_mol, topology.residues, topology.bonds)
    sequence = _Sequence()

    def checked(path: Path) -> Iterator[AtomFrame]:
        is_text = is_dump(path)
        frames = _dump_frames(path, units, topology.n_atoms) if is_text else _mdanalysis_frames(path, topology)
        for number, frame in enumerate(frames):
            sequence.check(frame, path, f"frame {number}")
            yield frame

    for path in paths:
        try:
            yield from _checked_forces(checked(path), check, path, check_forces)
        finally:
            # Also if the caller stops before the last frame.
            if check.n_frames:
                log.info("%s: %s", path, check.summary())
                doubt = check.doubt()
                if doubt is not None:
                    log.warning("%s: %s", path, doubt)


def count_frames(topology: AtomTopology, trajectories: Sequence[str | Path]) -> int | None:
    """Number of frames, or None if they would all have to be read to know it."""
    total = 0
    for name in trajectories:
        if is_dump(name):
            return None
        if Path(name).suffix == ".trr" and Path(name).is_file():
            total += check_trr(Path(name), topology.n_atoms)
            continue
        check_hdf5(name, "trajectory")
        try:
            with mda.Universe(topology.universe._topology, str(name)).trajectory as reader:
                total += len(reader)
        except Exception:  # reported with its cause by read_frames
            return None
    return total
