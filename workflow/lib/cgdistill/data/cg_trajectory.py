"""Positions of beads from any trajectory, for analysis.

A bead file of the workflow, LAMMPS dumps, formats of MDAnalysis and mdtraj with beads as atoms, or an all-atom
trajectory with a mapping file. Frames are read one at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..core.errors import InputError
from ..io.lammps_dump import is_dump, read_dump
from .beads import BeadFile
from .readers import DESMOND_SUFFIX, MAX_COORDINATE_A, read_trajectory, read_universe

_TOPOLOGY = "a file with names of beads, or a topology (--topology)"
#: Attributes of MDAnalysis that may contain the type of a bead, in the order of preference.
TYPE_ATTRIBUTES = ("names", "types", "resnames")


class PositionFrame(NamedTuple):
    """One frame.

    Attributes
    ----------
    time_ps: NaN if unknown.
    positions_A: (n_beads, 3), wrapped or unwrapped.
    cell_A: (3, 3) rows are the cell vectors.
    """

    time_ps: float
    positions_A: np.ndarray
    cell_A: np.ndarray


@dataclass(frozen=True)
class Origin:
    """Properties of a trajectory that its files do not contain, and the selection of frames.

    Attributes
    ----------
    topology: file with the names of the beads or atoms, if the trajectory has none.
    mapping, masses: mapping file of an all-atom trajectory, and a topology with masses if the first has none.
    units: ``real`` or ``metal``, of LAMMPS dumps without units.
    types: names of the bead types: of LAMMPS types 1, 2, ...; in other formats their order. Empty: as in the file.
    dump_types: names of the LAMMPS types if ``types`` is empty and their number matches; a dump contains no names.
    types_from: one of `TYPE_ATTRIBUTES`; None: the first that the topology has.
    cell_A: (3, 3) cell of a trajectory without one.
    begin_ps, end_ps: frames before and after are skipped.
    stride: every stride-th of the remaining frames is used.
    """

    topology: Path | None = None
    mapping: Path | None = None
    masses: Path | None = None
    units: str | None = None
    types: tuple[str, ...] = ()
    dump_types: tuple[str, ...] = ()
    types_from: str | None = None
    cell_A: np.ndarray | None = None
    begin_ps: float | None = None
    end_ps: float | None = None
    stride: int = 1


@dataclass(frozen=True)
class BeadTrajectory:
    """Beads and their frames.

    Attributes
    ----------
    source: name of the trajectory in messages.
    type_names, bead_types: names of the types, and (n_beads,) index of the type of each bead.
    read: iterates over the frames, each time from the first.
    """

    source: str
    type_names: tuple[str, ...]
    bead_types: np.ndarray
    read: Callable[[], Iterator[PositionFrame]]

    def first(self) -> PositionFrame:
        """The first frame.

        Raises
        ------
        InputError
            There is none.
        """
        for frame in self.read():
            return frame
        raise InputError(self.source, "frames", "none in the range of times", "at least one")


def open_trajectory(paths: Sequence[Path], origin: Origin) -> BeadTrajectory:
    """Trajectory of one or more files, read one after another.

    Raises
    ------
    InputError
        A file that cannot be read, no cell, no types, beads that change from frame to frame, or a range of times for a
        file without times. Some errors occur only when the frames are read.
    """
    for path in paths:
        if not (path.is_dir() if path.suffix == DESMOND_SUFFIX else path.is_file()):
            raise InputError(path, "file", "nothing", "a trajectory")
    if origin.mapping is not None:
        names, types, read = _mapped(paths, origin)
    elif paths[0].suffix == ".h5" and _is_bead_file(paths[0]):
        names, types, read = _of_bead_files(paths)
    elif is_dump(paths[0]):
        names, types, read = _of_dumps(paths, origin)
    else:
        names, types, read = _of_atom_files(paths, origin)
    source = ", ".join(map(str, paths))
    return BeadTrajectory(source, names, types, lambda: _chosen(read(), origin, source))


Parts = tuple[tuple[str, ...], np.ndarray, Callable[[], Iterator[PositionFrame]]]


def _chosen(frames: Iterator[PositionFrame], origin: Origin, source: str) -> Iterator[PositionFrame]:
    """Every stride-th frame within the range of times."""
    number = 0
    for place, frame in enumerate(frames):
        # A NaN compares as false.
        if not np.abs(frame.positions_A).max() <= MAX_COORDINATE_A:
            raise InputError(
                source, f"frame {place}", f"positions not finite or beyond {MAX_COORDINATE_A:g} A", "positions, A"
            )
        if not 0 < np.linalg.det(frame.cell_A) < np.inf:
            raise InputError(source, f"frame {place}, cell", frame.cell_A.tolist(), "a cell of positive volume")
        if not np.isfinite(frame.time_ps) and not (origin.begin_ps is None and origin.end_ps is None):
            raise InputError(source, "frames", "no times (LAMMPS: dump_modify time yes)", "times to begin or end at")
        if origin.begin_ps is not None and frame.time_ps < origin.begin_ps:
            continue
        if origin.end_ps is not None and frame.time_ps > origin.end_ps:
            return
        if number % origin.stride == 0:
            yield frame
        number += 1


def _is_bead_file(path: Path) -> bool:
    """Whether an HDF5 file is not H5MD, which MDAnalysis reads; other files are refused as bead files."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return "h5md" not in file
    except (OSError, RuntimeError, LookupError, ValueError):  # of h5py, if the file is damaged
        return True  # BeadFile reports the cause


def _of_bead_files(paths: Sequence[Path]) -> Parts:
    with BeadFile(paths[0]) as file:
        topology = file.topology

    def read() -> Iterator[PositionFrame]:
        for path in paths:
            with BeadFile(path) as file:
                if not np.array_equal(file.topology.bead_types, topology.bead_types):
                    raise InputError(path, "bead_types", "different beads", f"those of {paths[0]}")
                for chunk in file.chunks():
                    yield from map(PositionFrame, chunk.times_ps.tolist(), chunk.positions_A, chunk.cells_A)

    return topology.type_names, topology.bead_types, read


def _of_dumps(paths: Sequence[Path], origin: Origin) -> Parts:
    """Beads of LAMMPS dumps, by the column ``type``."""
    first = next(read_dump(paths[0], origin.units))
    if first.types is None:
        raise InputError(paths[0], "columns", "no type", "a column 'type'")
    types = first.types - 1
    n_types = int(types.max()) + 1
    if n_types > len(types):
        raise InputError(paths[0], "types", f"LAMMPS type {n_types}", f"at most {len(types)}, the number of beads")
    names = origin.types or tuple(str(number) for number in range(1, n_types + 1))
    if not origin.types and len(origin.dump_types) == n_types:
        names = origin.dump_types
    if len(names) < n_types:
        raise InputError(paths[0], "types", f"LAMMPS types up to {n_types}", f"{len(names)}: {', '.join(names)}")

    def read() -> Iterator[PositionFrame]:
        for path in paths:
            for frame in read_dump(path, origin.units):
                if frame.types is None or not np.array_equal(frame.types - 1, types):
                    raise InputError(
                        path, f"step {frame.step}", "different types", f"those of the first frame of {paths[0]}"
                    )
                yield PositionFrame(_time(frame.time_ps), frame.positions_A, frame.cell_A)

    return names, types, read


def _of_atom_files(paths: Sequence[Path], origin: Origin) -> Parts:
    """Beads as atoms of MDAnalysis."""
    universe = read_universe(origin.topology or paths[0], _TOPOLOGY)
    found = [name for name in TYPE_ATTRIBUTES if hasattr(universe.atoms, name)]
    if not found:
        raise InputError(origin.topology or paths[0], "names", "none", "names of beads, or a topology (--topology)")
    attribute = origin.types_from or found[0]
    if attribute not in found:
        raise InputError(origin.topology or paths[0], attribute, "none", f"one of {', '.join(found)}")
    labels = [str(label) for label in getattr(universe.atoms, attribute)]
    names = origin.types or tuple(dict.fromkeys(labels))
    unknown = set(labels) - set(names)
    if unknown:
        raise InputError(
            origin.topology or paths[0], attribute, ", ".join(sorted(unknown)), f"one of {', '.join(names)}"
        )
    types = np.array([names.index(label) for label in labels], dtype=np.int64)
    return names, types, lambda: _positions(paths, universe, len(labels), origin)


def _mapped(paths: Sequence[Path], origin: Origin) -> Parts:
    """An all-atom trajectory, mapped frame by frame."""
    from ..io.text import read_yaml
    from .atoms import AtomFrame, read_topology
    from .mapping import Mapper
    from .mapping_rules import MappingRules

    if origin.mapping is None or origin.topology is None:
        raise InputError("command line", "topology", "none", "the topology of the atoms that are mapped")
    rules = MappingRules.from_dict(read_yaml(origin.mapping), origin.mapping)
    try:
        topology = read_topology(origin.topology, origin.masses)
    except InputError as error:
        if error.item != "masses":
            raise
        expected = "masses: another topology that holds them (.top, .tpr, LAMMPS data)"
        raise InputError(error.source, error.item, error.found, expected) from None
    mapper = Mapper(rules, topology)
    # Forces are not needed here, and most trajectories for analysis have none.
    forces = np.zeros((topology.n_atoms, 3))

    def read() -> Iterator[PositionFrame]:
        for time_ps, positions, cell in _positions(paths, topology.universe, topology.n_atoms, origin):
            beads, _ = mapper.map_frame(AtomFrame(positions, forces, cell, time_ps))
            yield PositionFrame(time_ps, beads, cell)

    return mapper.topology.type_names, mapper.topology.bead_types, read


def _positions(paths: Sequence[Path], universe: Any, n_atoms: int, origin: Origin) -> Iterator[PositionFrame]:
    """Positions of atoms or beads from trajectory files."""
    for path in paths:
        if is_dump(path):
            for dumped in read_dump(path, origin.units):
                if len(dumped.positions_A) != n_atoms:
                    found, expected = f"{len(dumped.positions_A)} atoms", f"{n_atoms} as in the topology"
                    raise InputError(path, f"step {dumped.step}", found, expected)
                yield PositionFrame(_time(dumped.time_ps), dumped.positions_A, dumped.cell_A)
        else:
            for number, frame in enumerate(read_trajectory(path, universe, n_atoms)):
                cell = origin.cell_A if frame.cell_A is None else frame.cell_A
                if cell is None:
                    raise InputError(path, f"frame {number}", "no cell", "a periodic cell, in the file or given")
                if frame.positions_A is None:
                    raise InputError(path, f"frame {number}", "no positions", "positions in every frame")
                yield PositionFrame(frame.time_ps, frame.positions_A, cell)


def _time(time_ps: float | None) -> float:
    return np.nan if time_ps is None else time_ps
