"""Many short simulations in one process, in every way in which they end: for what they might leave behind.

The beads hang on springs, which costs nothing: what is exercised is LAMMPS, its callbacks, lockstep, checkpoints and
products.
"""

from __future__ import annotations

import gc
import logging
import os
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

import numpy as np
from cgdistill.core.errors import InputError
from cgdistill.data.beads import BeadTopology
from cgdistill.forcefield.architecture import LammpsModel
from cgdistill.forcefield.hipnn.export import mliap_style
from cgdistill.forcefield.potential import Evaluation
from cgdistill.md.lockstep import SeparatePotentials
from cgdistill.md.protocol import SimulationSpec
from cgdistill.md.simulation import RunPlan, run_simulations
from cgdistill.runtime.signals import Interrupted

from .resources import Held, memory_MB

TYPES = ("A", "B")
RUNS_PER_JOB = 8
CELL_A = np.diag([20.0, 20.0, 20.0])
#: Of 10 steps, 2 of them equilibration.
SHORT = {
    "temperature_K": 150.0,
    "equilibration_ps": 0.004,
    "production_ps": 0.016,
    "frame_every_ps": 0.004,
    "thermo_every_ps": 0.004,
    "checkpoint_every_steps": 4,
    "minimise": {"max_iterations": 1},
    "limits": {"check_every_steps": 5},
}
#: Methods of `Replicas`, in the order in which they take turns.
KINDS = (
    "finish", "blow_up", "finish", "stop", "finish", "fail", "finish_alone", "blow_up_alone", "stop_alone",
    "fail_alone", "fail_to_write", "refuse",
)  # fmt: skip
Action = Callable[[Evaluation], Evaluation | None]


class Springs:
    """Every bead on a spring of 2 kcal/mol/A^2 at its place; something else happens at one of the evaluations.

    Parameters
    ----------
    home_A: (n_beads, 3)
    at, action: at which evaluation (from 1), and what; it may give another result, or raise.
    """

    cutoff_A = 4.0

    def __init__(self, home_A: np.ndarray, at: int = 0, action: Action = lambda result: None) -> None:
        self._home_A, self._at, self._action = home_A, at, action
        self._n_calls = 0
        self.type_names = TYPES

    def forget(self) -> None:
        """Nothing is kept."""

    def evaluate(self, positions_A: np.ndarray, cell_A: np.ndarray, bead_types: np.ndarray) -> Evaluation:
        """Energy, forces and virial (that of a spring to a fixed place does not matter here)."""
        self._n_calls += 1
        away = positions_A - self._home_A
        away -= np.rint(away / np.diag(cell_A)) * np.diag(cell_A)
        energies = (away**2).sum(axis=1)
        result = Evaluation(float(energies.sum()), -2.0 * away, np.zeros(6), energies)
        return (self._action(result) or result) if self._n_calls == self._at else result


class Broken(Exception):
    """What an evaluator raises that is broken."""


def _nan(result: Evaluation) -> Evaluation:
    return replace(result, forces_kcal_mol_A=result.forces_kcal_mol_A * np.nan)


def _kick(result: Evaluation) -> Evaluation:
    """One bead leaves the cell at once: LAMMPS itself stops with an error."""
    forces = result.forces_kcal_mol_A.copy()
    forces[0] = [1e13, 0.0, 0.0]
    return replace(result, forces_kcal_mol_A=forces)


def _break(_result: Evaluation) -> None:
    raise Broken("out of memory")


def _stop(_result: Evaluation) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


class Replicas:
    """Jobs of `RUNS_PER_JOB` runs in ``folder``."""

    def __init__(self, folder: Path, spec: SimulationSpec | None = None) -> None:
        self.folder, self.spec = folder, spec or SimulationSpec.from_config(SHORT)
        rng = np.random.default_rng(1)
        grid = np.stack(np.meshgrid(*[np.arange(2)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
        self.home_A = 10.0 * grid + 5.0
        self.start_A = self.home_A + rng.normal(scale=0.1, size=self.home_A.shape)
        kinds, n = np.arange(8) % 2, 8
        masses = np.array([35.0, 60.0])[kinds]
        self.topology = BeadTopology(TYPES, kinds, ("X",) * n, masses, np.arange(n), np.empty(0, dtype=np.int64))

    def springs(self, at: int = 0, action: Action = lambda result: None) -> Springs:
        """The potential of one run."""
        return Springs(self.home_A, at, action)

    def run(self, potentials: Sequence[Springs | LammpsModel], together: bool = True) -> list[str]:
        """Simulations in lockstep, or one after another; how they ended."""
        plans = []
        for number in range(len(potentials)):
            own = self.folder / str(number)
            identity = {"variant": "springs", "member": "seed-1", "replica": number}
            plans.append(
                RunPlan(self.start_A, CELL_A, 20 + number, own / "out", own / "checkpoint", identity, {"program": "x"})
            )
        spec = self.spec
        joint = SeparatePotentials(potentials, self.topology.bead_types) if together else potentials
        return [record["status"] for record in run_simulations(joint, plans, self.topology, spec)]

    def finish(self) -> None:
        """All come to their ends, in lockstep."""
        _expect(self.run([self.springs() for _ in range(RUNS_PER_JOB)]), {"finished": RUNS_PER_JOB})

    def finish_alone(self) -> None:
        """The same, one after another."""
        _expect(self.run([self.springs() for _ in range(RUNS_PER_JOB)], False), {"finished": RUNS_PER_JOB})

    def blow_up(self, together: bool = True) -> None:
        """Three blow up: while they minimise, by forces that are no numbers, and by a bead that LAMMPS loses."""
        potentials = [self.springs() for _ in range(RUNS_PER_JOB)]
        potentials[2], potentials[4], potentials[6] = (
            self.springs(1, _nan),
            self.springs(9, _nan),
            self.springs(9, _kick),
        )
        _expect(self.run(potentials, together), {"finished": RUNS_PER_JOB - 3, "blown up": 3})

    def blow_up_alone(self) -> None:
        """The same, one after another."""
        self.blow_up(together=False)

    def stop(self, together: bool = True) -> None:
        """A signal to stop comes, and the next start goes on."""
        potentials = [self.springs() for _ in range(RUNS_PER_JOB)]
        potentials[3] = self.springs(9, _stop)
        _fails(Interrupted, lambda: self.run(potentials, together))
        _expect(self.run([self.springs() for _ in potentials], together), {"finished": RUNS_PER_JOB})

    def stop_alone(self) -> None:
        """The same, one after another."""
        self.stop(together=False)

    def fail(self) -> None:
        """The evaluation of all raises an error."""
        potentials = [self.springs() for _ in range(RUNS_PER_JOB)]
        potentials[5] = self.springs(12, _break)
        _fails(Broken, lambda: self.run(potentials))

    def fail_alone(self) -> None:
        """The same, one after another: those behind it do not begin."""
        potentials = [self.springs() for _ in range(RUNS_PER_JOB)]
        potentials[5] = self.springs(12, _break)
        _fails(Broken, lambda: self.run(potentials, together=False))

    def fail_to_write(self) -> None:
        """LAMMPS cannot write the frames of one run."""
        place = self.folder / "1" / "checkpoint" / "trajectory.lammpstrj"

        def in_the_way(_result: Evaluation) -> None:
            place.unlink(missing_ok=True)
            place.mkdir()

        potentials = [self.springs() for _ in range(RUNS_PER_JOB)]
        potentials[1] = self.springs(4, in_the_way)
        _fails(Exception, lambda: self.run(potentials))

    def refuse(self) -> None:
        """What cannot be run: a model of other beads, one that does not exist; then a damaged restart file."""
        other = [self.springs() for _ in range(RUNS_PER_JOB)]
        for one in other:
            one.type_names = ("A", "C")
        _fails(InputError, lambda: self.run(other))
        model = LammpsModel(TYPES, mliap_style("none.pt", TYPES))
        _fails(Exception, lambda: self.run([model], together=False))
        self.fail()
        (damaged,) = self.folder.glob("2/checkpoint/restart-*.lammps")
        damaged.write_bytes(damaged.read_bytes()[:100])
        self.finish()

    def jobs(self, n_jobs: int, kinds: Sequence[str] = KINDS) -> Iterator[tuple[int, str]]:
        """Jobs, one of each kind in turn, each in an empty folder; number of simulations so far, and kind of the job.

        Simulations that go on are counted once, those that never begin too. ``kinds``: names of methods.
        """
        for number in range(n_jobs):
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            kind = kinds[number % len(kinds)]
            getattr(self, kind)()
            yield (number + 1) * RUNS_PER_JOB, kind


@dataclass(frozen=True)
class Sample:
    """What the process holds after so many simulations, the last of them in a job of this kind.

    ``lammps_open``: LAMMPS instances that were open when the job returned, before garbage was collected.
    """

    n_replicas: int
    kind: str
    lammps_open: int
    held: Held
    memory_MB: float


def sample_replicas(folder: Path, n_jobs: int, kinds: Sequence[str] = KINDS) -> list[Sample]:
    """Run jobs (`Replicas.jobs`) and look at the process behind each.

    Nothing is forced to disk, which would take most of the time.
    """
    found = []
    log = logging.getLogger("cgdistill")
    before = log.level
    log.setLevel(logging.CRITICAL + 1)  # hundreds of runs that blow up are told of otherwise
    gc.collect()
    gc.freeze()  # what was there before is not looked through each time
    try:
        with mock.patch("os.fsync", lambda descriptor: None):
            for n_replicas, kind in Replicas(folder).jobs(n_jobs, kinds):
                n_open = Held.now(collect=False).lammps_open
                held = Held.now()
                found.append(Sample(n_replicas, kind, n_open, held, memory_MB()))
    finally:
        gc.unfreeze()
        log.setLevel(before)
    return found


def _expect(found: Sequence[str], expected: dict[str, int]) -> None:
    counts = {name: list(found).count(name) for name in dict.fromkeys(found)}
    if counts != expected:
        raise RuntimeError(f"runs ended as {counts} instead of {expected}")


def _fails(kind: type[BaseException], work: Callable[[], object]) -> None:
    try:
        work()
    except kind:
        return
    raise RuntimeError(f"no {kind.__name__}")
