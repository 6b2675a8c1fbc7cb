"""Diagnostic frames of a run that blew up: its last configurations, and the beads at which it happened."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..core.units import FS_PER_PS
from ..geometry.cells import wrap
from ..geometry.neighbours import NeighbourList
from ..runtime.atomic_files import whole_file
from .lammps_engine import Unstable, bead_names
from .protocol import SimulationSpec
from .system import BeadSystem, Frame

#: Phase of a run that blew up before its first step.
MINIMISATION = "minimisation"
#: Distance up to which pairs are looked for first, in mean distances of beads; doubled until there is one.
_FIRST = 0.5
_ARRAYS = ("positions_A", "velocities_A_fs", "forces_kcal_mol_A")


class LastFrames:
    """The last frames that a run was looked at, and a file for them beside a checkpoint.

    Attributes
    ----------
    look: the last one of all; frames that are kept are ``every_steps`` apart.
    """

    def __init__(self, keep_frames: int, every_steps: int, start: Frame) -> None:
        self._every_steps = every_steps
        self.kept: deque[Frame] = deque(maxlen=keep_frames)
        self.look = start

    def add(self, frame: Frame) -> None:
        """Note that the run was looked at and is sound."""
        self.look = frame
        if frame.step % self._every_steps == 0:
            self.kept.append(frame)

    def until(self, end: Frame) -> list[Frame]:
        """The frames of a run that ended with ``end``: none where none are to be kept."""
        if self.kept.maxlen == 0:
            return []
        return [*(frame for frame in self.kept if frame.step < end.step), end]

    def save(self, path: Path) -> None:
        """Write them, to the last bit."""
        frames = [*self.kept, self.look]
        arrays = {name: np.stack([getattr(frame, name) for frame in frames]) for name in _ARRAYS}
        arrays["steps"] = np.array([frame.step for frame in frames])
        with whole_file(path) as partial:
            np.savez(partial, allow_pickle=False, **arrays)

    def load(self, path: Path) -> None:
        """Take up those of `save`."""
        with np.load(path, allow_pickle=False) as file:
            steps, arrays = file["steps"], [file[name] for name in _ARRAYS]
        *kept, self.look = [Frame(int(step), *values) for step, *values in zip(steps, *arrays, strict=True)]
        self.kept.clear()
        self.kept.extend(kept)


def describe(
    error: Unstable, frame: Frame, step: int, phase: str, system: BeadSystem, spec: SimulationSpec
) -> dict[str, Any]:
    """Where a run has blown up, for run.json; beads under their LAMMPS ids.

    Parameters
    ----------
    frame: the last one that is finite.
    step: the step at which the blow-up was found.
    """
    pair = closest_pair(frame.positions_A, system.cell_A)
    reason = str(error) if phase != MINIMISATION else f"{MINIMISATION}: {error}"
    if pair is not None and error.kind != "distance":
        reason += f"; closest beads: {bead_names(pair[:2], system)}, {pair[2]:.2f} A apart"
    return {
        "kind": error.kind,
        "reason": reason,
        "phase": phase,
        "step": step,
        "time_ps": step * spec.timestep_fs / FS_PER_PS,
        "value": error.value,
        "limit": error.limit,
        "unit": error.unit,
        "beads": [bead + 1 for bead in error.beads],
        "last_finite_step": frame.step,
        "closest_pair": None if pair is None else _pair(pair, system),
        "fastest_bead": _largest(frame.velocities_A_fs, system, "speed_A_fs"),
        "largest_force": _largest(frame.forces_kcal_mol_A, system, "force_kcal_mol_A"),
    }


def _pair(pair: tuple[int, int, float], system: BeadSystem) -> dict[str, Any]:
    first, second, distance_A = pair
    types = system.bead_types

    def alike(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        a, b = types[first], types[second]
        here, there = types[one], types[other]
        return np.asarray((here == a) & (there == b) | (here == b) & (there == a))

    at_start = closest_pair(system.positions_A, system.cell_A, alike)
    return {
        "beads": [first + 1, second + 1],
        "types": [system.type_names[types[bead]] for bead in (first, second)],
        "distance_A": distance_A,
        "start_distance_A": None if at_start is None else at_start[2],
    }


def _largest(vectors: np.ndarray, system: BeadSystem, name: str) -> dict[str, Any]:
    """The bead of the longest vector."""
    lengths = np.linalg.norm(vectors, axis=1)
    bead = int(lengths.argmax())
    kind = system.type_names[system.bead_types[bead]]
    return {"bead": bead + 1, "type": kind, name: float(lengths[bead])}


def closest_pair(
    positions_A: np.ndarray,
    cell_A: np.ndarray,
    wanted: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
) -> tuple[int, int, float] | None:
    """Indices of the two beads that are closest in a periodic cell, the lower one first, and their distance, A.

    Parameters
    ----------
    positions_A: (n_beads, 3), finite, not necessarily within the cell.
    wanted: of indices (n,) of first and second beads, which pairs count; by default all do.

    Returns
    -------
    tuple or None
        None where no two beads of the kind are within a cell's length of each other.
    """
    positions, furthest_A = wrap(positions_A, cell_A)[0], float(np.linalg.norm(cell_A, axis=1).max())
    cutoff_A = _FIRST * float(np.linalg.det(cell_A) / len(positions)) ** (1.0 / 3.0)
    while cutoff_A < 2.0 * furthest_A:
        first, second, vectors = NeighbourList(cutoff_A, 0.0).pairs(positions, cell_A)
        counted = first < second
        if wanted is not None:
            counted &= wanted(first, second)
        if counted.any():
            lengths = np.linalg.norm(vectors[counted], axis=1)
            nearest = int(lengths.argmin())
            return int(first[counted][nearest]), int(second[counted][nearest]), float(lengths[nearest])
        cutoff_A *= 2.0
    return None
