"""Reading of topologies and trajectories by MDAnalysis and, for a format that it does not read, by mdtraj.

Both are imported when they are used: the command line starts without them.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..core.errors import InputError
from ..core.units import KJ_PER_KCAL
from ..io.untrusted import check_hdf5

#: Suffix of trajectories of Desmond, which are folders; MDAnalysis does not read them, mdtraj does.
DESMOND_SUFFIX = ".dtr"
#: Largest plausible coordinate, A; beyond it a file is damaged.
MAX_COORDINATE_A = 1e6


class RawFrame(NamedTuple):
    """One frame as read, not checked.

    Attributes
    ----------
    time_ps: 0 or the number of the frame if the format has no times.
    positions_A, forces_kcal_mol_A: (n_atoms, 3), None if the frame has none.
    cell_A: (3, 3) rows are the cell vectors; None without a cell.
    """

    time_ps: float
    positions_A: np.ndarray | None
    forces_kcal_mol_A: np.ndarray | None
    cell_A: np.ndarray | None


def read_universe(path: Path, expected: str) -> Any:
    """MDAnalysis universe of a topology file, without guessed attributes.

    Parameters
    ----------
    expected:
        Description of a valid file, for the error message.

    Raises
    ------
    InputError
        No such file, or MDAnalysis cannot read it.
    """
    import MDAnalysis as mda

    arguments: dict[str, Any] = {"to_guess": ()}
    if path.suffix in (".top", ".itp"):
        arguments |= {"topology_format": "ITP", "infer_system": True}
    if not path.is_file():
        raise InputError(path, "topology", "no such file", "a readable topology")
    check_hdf5(path, "topology")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return mda.Universe(str(path), **arguments)
    except Exception as error:  # MDAnalysis raises exceptions of many classes
        raise InputError(path, "topology", f"{type(error).__name__}: {error}", expected) from None


def read_trajectory(path: Path, universe: Any, n_atoms: int, forces: bool = False) -> Iterator[RawFrame]:
    """Frames of a trajectory file, one at a time.

    Parameters
    ----------
    universe:
        Topology, of `read_universe`.
    forces:
        Whether to read forces.

    Raises
    ------
    InputError
        The file cannot be read, or has another number of atoms; file and frame are named.
    """
    if path.suffix == DESMOND_SUFFIX:
        frames = _desmond_frames(path, n_atoms)
    else:
        frames = _mdanalysis_frames(path, universe, n_atoms, forces)
    number = 0
    while True:
        try:
            frame = next(frames, None)
        except InputError:
            raise
        except Exception as error:  # of many classes, if the file is damaged
            raise InputError(path, f"frame {number}", f"{type(error).__name__}: {error}", "a complete frame") from None
        if frame is None:
            return
        yield frame
        number += 1


def _mdanalysis_frames(path: Path, universe: Any, n_atoms: int, forces: bool) -> Iterator[RawFrame]:
    import MDAnalysis as mda

    check_hdf5(path, "trajectory")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reader = mda.Universe(universe._topology, str(path)).trajectory
    except Exception as error:  # MDAnalysis raises exceptions of many classes
        raise InputError(path, "trajectory", f"{type(error).__name__}: {error}", f"frames of {n_atoms} atoms") from None
    with reader:
        for step in reader:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a file without times
                time_ps = float(step.time)
            yield RawFrame(
                time_ps,
                step.positions.astype(np.float64) if step.has_positions else None,
                # MDAnalysis converts the forces of every format to kJ/mol/A.
                step.forces.astype(np.float64) / KJ_PER_KCAL if forces and step.has_forces else None,
                None if step.dimensions is None else np.asarray(step.triclinic_dimensions, dtype=np.float64),
            )


def _desmond_frames(path: Path, n_atoms: int) -> Iterator[RawFrame]:
    import mdtraj
    from MDAnalysis.lib.mdamath import triclinic_vectors

    name = str(path)  # must outlive the file: mdtraj keeps a pointer to it
    try:
        file = mdtraj.open(name)
    except Exception as error:  # mdtraj raises exceptions of many classes
        raise InputError(path, "trajectory", f"{type(error).__name__}: {error}", "a trajectory of Desmond") from None
    with file:
        while True:
            positions, times, lengths, angles = file.read(1)
            if len(positions) == 0:
                return
            if positions.shape[1] != n_atoms:
                raise InputError(path, "trajectory", f"{positions.shape[1]} atoms", f"{n_atoms} as in the topology")
            cell = triclinic_vectors([*lengths[0], *angles[0]], dtype=np.float64)
            # Zeros stand for a cell without volume.
            yield RawFrame(float(times[0]), positions[0].astype(np.float64), None, cell if cell.any() else None)
