"""Faults of simulations, one by one: how each is made, and what the run leaves.

Beads repel each other softly (a Gaussian) until the fault; potential, forces and the fault are functions of the
positions and of the number of evaluations, one per step.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tests" / "integration"))

from cgdistill.forcefield.architecture import LammpsModel  # noqa: E402
from cgdistill.forcefield.hipnn.export import mliap_style  # noqa: E402
from cgdistill.forcefield.potential import Evaluation  # noqa: E402
from cgdistill.geometry.neighbours import NeighbourList  # noqa: E402
from cgdistill.md.lammps_engine import Engine  # noqa: E402
from cgdistill.md.protocol import Minimisation, SimulationSpec  # noqa: E402
from cgdistill.md.simulation import RunPlan  # noqa: E402
from lj import IDENTITY, PROVENANCE, TRICLINIC, TYPES, lattice  # noqa: E402

CELL = TRICLINIC
HEIGHT_kcal_mol, WIDTH_A, CUTOFF_A = 20.0, 1.6, 7.0
EVERY = 20
#: 240 steps of 2 fs, a third of them equilibration; no minimisation: the k-th step is the k+1-th evaluation.
SPEC = SimulationSpec.from_config(
    {
        "temperature_K": 300.0,
        "timestep_fs": 2.0,
        "minimise": {"max_iterations": 0},
        "equilibration_ps": 0.16,
        "production_ps": 0.32,
        "frame_every_ps": 0.06,
        "thermo_every_ps": 0.04,
        "limits": {"temperature_K": 1500.0, "min_distance_A": 1.0, "check_every_steps": EVERY, "keep_frames": 4},
    }
)
#: Beads that faults are about (indices); neighbours in the start frame.
ONE, OTHER = 62, 63


class Soft:
    """Gaussian repulsion of all beads; ``fault`` changes forces and energy of an evaluation."""

    cutoff_A = CUTOFF_A
    type_names = TYPES

    def __init__(self, fault: Callable[[int, np.ndarray, np.ndarray], float] | None = None) -> None:
        self.neighbours = NeighbourList(CUTOFF_A, 1.5)
        self.fault, self.step = fault, -1

    def forget(self) -> None:
        """The order of the pairs does not depend on when the list was built."""

    def evaluate(self, positions_A: np.ndarray, cell_A: np.ndarray, bead_types: np.ndarray) -> Evaluation:
        """Sum over directed pairs, each counted half."""
        self.step += 1
        first, _, vectors = self.neighbours.pairs(positions_A, cell_A)
        n = len(positions_A)
        energies = HEIGHT_kcal_mol * np.exp(-0.5 * np.einsum("ij,ij->i", vectors, vectors) / WIDTH_A**2)
        on_first = -(energies / WIDTH_A**2)[:, None] * vectors
        forces = np.stack([np.bincount(first, on_first[:, k], n) for k in range(3)], axis=1)
        energy = 0.5 * float(energies.sum())
        if self.fault is not None:
            energy += self.fault(self.step, positions_A, forces)
        return Evaluation(energy, forces, np.zeros(6), np.full(n, energy / n))


def between(positions_A: np.ndarray, one: int, other: int) -> np.ndarray:
    """(3,) shortest vector from one bead to another, by all 27 cells around."""
    shifts = np.stack(np.meshgrid(*[(-1, 0, 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3) @ CELL
    fractions = (positions_A[other] - positions_A[one]) @ np.linalg.inv(CELL)
    vectors = (fractions - np.round(fractions)) @ CELL + shifts
    return vectors[np.linalg.norm(vectors, axis=1).argmin()]


def hole(_step: int, positions_A: np.ndarray, forces: np.ndarray, pull: float = 12.0) -> float:
    """Two beads are drawn together by a constant force."""
    vector = between(positions_A, ONE, OTHER)
    length = np.linalg.norm(vector)
    forces[ONE] += pull * vector / length
    forces[OTHER] -= pull * vector / length
    return pull * float(length)


def spring(step: int, positions_A: np.ndarray, forces: np.ndarray) -> float:
    """From step 50 on two beads are in a narrow well at 3 A, which they enter from its rim."""
    if step < 50:
        return 0.0
    stiffness, rest_A = 900.0, 3.0
    vector = between(positions_A, ONE, OTHER)
    length = np.linalg.norm(vector)
    stretch = np.clip(length - rest_A, -0.8, 0.8)
    pull = stiffness * stretch * vector / length
    forces[ONE] += pull
    forces[OTHER] -= pull
    return float(0.5 * stiffness * stretch**2 + 0.8 * stiffness * max(0.0, abs(length - rest_A) - 0.8))


def heat(step: int, _positions: np.ndarray, forces: np.ndarray) -> float:
    """From step 100 on forces are what they should not be."""
    if step >= 100:
        forces *= -6.0
    return 0.0


def floor(step: int, positions_A: np.ndarray, forces: np.ndarray) -> float:
    """From step 50 on all beads are drawn to two planes; the thermostat takes up what they gain."""
    if step < 50:
        return 0.0
    depth, waves = 40.0, np.array([0.0, 0.0, 4.0 * np.pi / CELL[2, 2]])
    phases = positions_A @ waves
    forces += depth * np.cos(phases)[:, None] * waves
    return -depth * float(np.sin(phases).sum())


def undefined_at_zero(_step: int, positions_A: np.ndarray, forces: np.ndarray) -> float:
    """What unit vectors make of two beads in one place."""
    if np.linalg.norm(between(positions_A, ONE, OTHER)) < 1e-3:
        forces[[ONE, OTHER]] = np.nan
    return 0.0


def at(step: int, change: Callable[[np.ndarray], float | None]) -> Callable[[int, np.ndarray, np.ndarray], float]:
    """A fault of one step."""

    def fault(found: int, _positions: np.ndarray, forces: np.ndarray) -> float:
        return (change(forces) or 0.0) if found == step else 0.0

    return fault


def not_a_number(forces: np.ndarray) -> None:
    """One component of the force on one bead."""
    forces[16, 1] = np.nan


def kick(size: float) -> Callable[[np.ndarray], None]:
    """A force that throws one bead out of the cell."""

    def change(forces: np.ndarray) -> None:
        forces[16] = [size, 0.0, 0.0]

    return change


def overlapping(distance_A: float) -> np.ndarray:
    """Start frame with two beads (almost) in one place."""
    positions = start()
    positions[OTHER] = positions[ONE] + [0.0, distance_A, 0.0]
    return positions


def start() -> np.ndarray:
    """(125, 3) start frame; two beads stand somewhat closer than others."""
    positions = lattice(CELL, noise_A=0.1)[0]
    positions[OTHER] = positions[ONE] + [0.0, 0.0, 4.0]
    return positions


class WithoutCallback(Engine):
    """Forces from within LAMMPS, as with ML-IAP; at step 137 a bead is thrown out of the cell."""

    def _couple(self, _interaction: object, _styles: object) -> None:
        self._commands("pair_style gauss 7.0", f"pair_coeff * * {-HEIGHT_kcal_mol!r} {0.5 / WIDTH_A**2!r}")

    def run(self, n_steps: int) -> None:
        """Advance, in two parts where the fault lies in between."""
        before = 137 - self.step
        if 0 < before <= n_steps:
            super().run(before)
            self.lmp.numpy.extract_atom("v")[16] = [1e13, 0.0, 0.0]
            n_steps -= before
        super().run(n_steps)


@dataclass(frozen=True)
class Fault:
    """One row of the table.

    Attributes
    ----------
    fault: changes forces and energy; an engine class stands in for the whole coupling.
    spec, limits: settings of the simulation other than `SPEC`.
    kind, phase, step: how and where the run must be found to have blown up.
    said: regular expression, the beginning of the reason.
    finite: step of the last finite configuration, where it is another one.
    pair: LAMMPS ids of the closest beads, where the fault is about two.
    passes: limits without which the run comes to its end.
    """

    title: str
    kind: str
    phase: str
    step: int
    said: str
    fault: Any = None
    positions_A: np.ndarray | None = None
    spec: dict[str, Any] = field(default_factory=dict)
    limits: dict[str, Any] = field(default_factory=dict)
    finite: int | None = None
    pair: tuple[int, int] | None = None
    passes: dict[str, Any] | None = None

    def settings(self, **limits: Any) -> SimulationSpec:
        """Settings of the run, with other limits."""
        return replace(SPEC, limits=replace(SPEC.limits, **(self.limits | limits)), **self.spec)

    def interaction(self) -> Soft | LammpsModel:
        """What forces come from."""
        return LammpsModel(TYPES, mliap_style("model.pt", TYPES)) if isinstance(self.fault, type) else Soft(self.fault)


PAIR = (ONE + 1, OTHER + 1)
_NAMES = rf"bead {PAIR[0]} \([AB]\), bead {PAIR[1]} \([AB]\)"

FAULTS = [
    Fault(
        "two beads in one place in the start frame, where the potential is undefined", "not finite", "minimisation", 0,
        rf"minimisation: forces are not finite, {_NAMES}; closest beads: {_NAMES}, 0.00 A apart",
        undefined_at_zero, overlapping(0.0), {"minimise": Minimisation(max_iterations=20)}, pair=PAIR,
    ),
    Fault(
        "two beads 0.6 A apart in the start frame, no minimisation", "distance", "equilibration", 0,
        rf"{_NAMES} are 0.60 A apart, the limit is 1 A", None, overlapping(0.6), pair=PAIR,
    ),
    Fault(
        "two beads drawn into each other (a hole), in equilibration", "distance", "equilibration", 80,
        rf"{_NAMES} are 0\.\d\d A apart", lambda *now: hole(*now, pull=20.0), pair=PAIR,
    ),
    Fault(
        "two beads drawn into each other (a hole), in production", "distance", "production", 100,
        rf"{_NAMES} are 0\.\d\d A apart", hole, pair=PAIR,
    ),
    Fault(
        "forces that are wrong from one step on: the temperature runs away", "temperature", "production", 140,
        r"temperature \d+ K exceeds 1500 K; closest beads: bead", heat,
    ),
    Fault(
        "two beads caught in a narrow well: the mean temperature does not show it", "force", "equilibration", 60,
        rf"force on bead {PAIR[0]} \([AB]\), 7\d\d.\d kcal/mol/A, exceeds 500 kcal/mol/A; closest beads: {_NAMES}",
        spring, pair=PAIR, passes={"force_kcal_mol_A": 0.0},
    ),
    Fault(
        "all beads fall, the thermostat cools", "energy", "production", 140,
        r"potential energy fell by 11\.\d kcal/mol per bead, the limit is 10", floor, spec={"damping_fs": 20.0},
        passes={"energy_kcal_mol_bead": 0.0},
    ),
    Fault(
        "one force is not a number, in equilibration, between two looks", "not finite", "equilibration", 37,
        r"forces are not finite, bead 17 \([AB]\); closest", at(37, not_a_number),
    ),
    Fault(
        "one force is not a number, in production, between two looks", "not finite", "production", 137,
        r"forces are not finite, bead 17 \([AB]\); closest", at(137, not_a_number),
    ),
    Fault(
        "the energy is infinite", "not finite", "production", 137, "energy or virial is not finite; closest",
        at(137, lambda _: float("inf")),
    ),
    Fault(
        "one force throws a bead out of the cell", "lost beads", "production", 138,
        r"beads lost: bead 17 \([AB]\); closest", at(137, kick(1e13)), finite=137,
    ),
    Fault(
        "one force beyond what positions can hold", "not finite", "production", 138,
        r"positions are not finite or beyond 1e\+06 A, bead 1 \([AB]\), .* and more; closest", at(137, kick(1e200)),
        finite=137,
    ),
    Fault(
        "ML-IAP: a bead is thrown out of the cell, and LAMMPS stops", "LAMMPS", "production", 140,
        "LAMMPS stopped: .*Lost atoms", WithoutCallback, finite=120,
    ),
]  # fmt: skip


def plan(folder: Path, fault: Fault | None = None, number: int = 0) -> RunPlan:
    """A run below a folder, in ``out`` and ``checkpoint``."""
    positions = start() if fault is None or fault.positions_A is None else fault.positions_A
    identity = IDENTITY | {"replica": number}
    return RunPlan(positions, CELL, 3 + number, folder / "out", folder / "checkpoint", identity, PROVENANCE)
