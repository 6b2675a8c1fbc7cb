"""All-atom input: topology with masses, and a stream of frames with positions and forces.

Reads what MDAnalysis reads (GROMACS ``.gro``, ``.tpr``, ``.top``, ``.trr``; ``.pdb``, ``.psf``,
``.prmtop``, H5MD, Amber NetCDF, ...) and LAMMPS text dumps with ``fx fy fz``.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import MDAnalysis as mda
import numpy as np

from .errors import InputError
from .lammps_dump import is_dump, read_dump
from .units import KJ_PER_KCAL


@dataclass(frozen=True)
class AtomTopology:
    """Atoms in the order of the trajectory.

    Attributes
    ----------
    names, residue_names: (n_atoms,)
    residues: (n_atoms,) index of the residue of each atom, from 0, in order of appearance.
    masses_g_mol: (n_atoms,)
    bonds: (n_bonds, 2) atom indices; empty where the topology lists none.
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


def _universe(path: Path) -> Any:
    """Universe of a topology file, nothing guessed."""
    arguments: dict[str, Any] = {"to_guess": ()}
    if path.suffix in (".top", ".itp"):
        arguments |= {"topology_format": "ITP", "infer_system": True}
    if not path.is_file():
        raise InputError(path, "topology", "no such file", "a readable topology")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return mda.Universe(str(path), **arguments)
    except Exception as error:  # MDAnalysis raises many kinds
        raise InputError(
            path, "topology", f"{type(error).__name__}: {error}", "a topology that MDAnalysis reads"
        ) from None


def read_topology(topology: str | Path, masses: str | Path | None = None) -> AtomTopology:
    """Read names, residues, masses and bonds.

    Parameters
    ----------
    topology:
        Atoms, residues and, where the format has them, masses and bonds.
    masses:
        A second topology (GROMACS ``.top``, ``.tpr``, LAMMPS data, ...) for masses and bonds where the
        first has none. Same atoms in the same order.

    Raises
    ------
    InputError
        Unreadable, no masses, or two topologies that do not agree.
    """
    universe = _universe(Path(topology))
    atoms = universe.atoms
    for attribute in ("names", "resnames"):
        if not hasattr(atoms, attribute):
            raise InputError(topology, attribute, "none", "atom and residue names")
    second = atoms
    if masses is not None:
        second = _universe(Path(masses)).atoms
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
        yield AtomFrame(frame.positions_A, frame.forces_kcal_mol_A, frame.cell_A, frame.time_ps)


def _mda_frames(path: Path, universe: Any, n_atoms: int) -> Iterator[AtomFrame]:
    try:
        reader = mda.Universe(universe._topology, str(path)).trajectory
    except Exception as error:
        raise InputError(path, "trajectory", f"{type(error).__name__}: {error}", f"frames of {n_atoms} atoms") from None
    with reader:
        for step in reader:
            where = f"frame {step.frame}"
            for kind, there in (("positions", step.has_positions), ("forces", step.has_forces)):
                if not there:
                    raise InputError(path, where, f"no {kind}", "positions and forces in every frame")
            if step.dimensions is None:
                raise InputError(path, where, "no cell", "a periodic cell")
            yield AtomFrame(
                positions_A=step.positions.astype(np.float64),
                # MDAnalysis gives kJ/mol/A for every format.
                forces_kcal_mol_A=step.forces.astype(np.float64) / KJ_PER_KCAL,
                cell_A=np.asarray(step.triclinic_dimensions, dtype=np.float64),
                time_ps=float(step.time),
            )


def read_frames(
    topology: AtomTopology, trajectories: Sequence[str | Path], units: str | None = None
) -> Iterator[AtomFrame]:
    """Stream the frames of one or more trajectory files in order.

    Parameters
    ----------
    units:
        LAMMPS unit style of dumps that do not state theirs.

    Raises
    ------
    InputError
        Unreadable file, other atom count, no forces, no cell, values that are not finite, or times
        that do not increase. File and frame are named.
    """
    last_ps = -np.inf
    for name in trajectories:
        path = Path(name)
        if not path.is_file():
            raise InputError(path, "trajectory", "no such file", "a readable trajectory")
        frames = (
            _dump_frames(path, units, topology.n_atoms)
            if is_dump(path)
            else _mda_frames(path, topology.universe, topology.n_atoms)
        )
        for number, frame in enumerate(frames):
            for kind, values in (("positions", frame.positions_A), ("forces", frame.forces_kcal_mol_A)):
                if not np.isfinite(values).all():
                    atom = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0]) + 1
                    raise InputError(path, f"frame {number}", f"{kind} of atom {atom} not finite", "finite numbers")
            if frame.time_ps <= last_ps:
                found = f"time {frame.time_ps:g} ps after {last_ps:g} ps"
                raise InputError(path, f"frame {number}", found, "times that increase from frame to frame")
            last_ps = frame.time_ps
            yield frame


def count_frames(topology: AtomTopology, trajectories: Sequence[str | Path]) -> int | None:
    """Number of frames where it can be had without reading them all, else None."""
    total = 0
    for name in trajectories:
        if is_dump(name):
            return None
        try:
            with mda.Universe(topology.universe._topology, str(name)).trajectory as reader:
                total += len(reader)
        except Exception:  # reported with its cause by read_frames
            return None
    return total
