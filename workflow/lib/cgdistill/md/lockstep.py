"""Several tasks in lockstep: each asks its own potential for forces, and all are answered by one evaluation.

LAMMPS asks for forces from within its loop over steps and cannot leave it in between. A task is therefore a
greenlet, a coroutine with a C stack of its own: where it asks for forces it stands still, with LAMMPS's calls
on its stack, and the next task goes on. All of them are in one thread, that of the caller, one at a time; so
neither tasks nor LAMMPS, whose MPI knows nothing of threads, need locks, and the evaluation, which the caller
does itself, is free to use all cores. A change of task takes about a microsecond.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from greenlet import getcurrent, greenlet

from ..core.errors import InputError
from ..forcefield.potential import Evaluation, JointPotential, Potential


class SeparatePotentials:
    """Potentials that know nothing of each other as a `JointPotential`: evaluated one by one.

    Parameters
    ----------
    potentials: one per system; one object may stand for several systems.
    bead_types: (n_beads,) index into ``type_names``, the same for all systems.

    Raises
    ------
    InputError
        No potential, or potentials of different bead types.
    """

    def __init__(self, potentials: Sequence[Potential], bead_types: np.ndarray) -> None:
        names = sorted({tuple(potential.type_names) for potential in potentials})
        if len(names) != 1:
            raise InputError("potentials", "type_names", names, "the same of each")
        self._potentials, self._bead_types = tuple(potentials), np.asarray(bead_types)

    @property
    def cutoff_A(self) -> float:
        """Range of the interactions, A."""
        return max(potential.cutoff_A for potential in self._potentials)

    @property
    def type_names(self) -> tuple[str, ...]:
        """Names of the bead types, in the order of their index."""
        return tuple(self._potentials[0].type_names)

    def forget(self, number: int) -> None:
        """Keep nothing of earlier evaluations of a system."""
        self._potentials[number].forget()

    def evaluate_all(self, configurations: Mapping[int, tuple[np.ndarray, np.ndarray]]) -> dict[int, Evaluation]:
        """Evaluate the systems of the given numbers: positions (n_beads, 3) and cell (3, 3) each, A."""
        return {
            number: self._potentials[number].evaluate(positions_A, cell_A, self._bead_types)
            for number, (positions_A, cell_A) in configurations.items()
        }


class Lockstep:
    """Tasks that share one `JointPotential`; task k moves system k.

    Attributes
    ----------
    joint: what evaluates all systems.
    potentials:
        One `Potential` per system, to be evaluated by the task of that system and by no other. It takes
        the bead types for those of the system.
    """

    def __init__(self, potential: JointPotential, n_systems: int) -> None:
        self.joint = potential
        self.potentials: tuple[Potential, ...] = tuple(_Proxy(self, number) for number in range(n_systems))
        self._tasks: dict[int, greenlet] = {}
        self._asked: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._answers: dict[int, Evaluation] = {}
        self._fault: BaseException | None = None

    def run(
        self, tasks: Mapping[int, Callable[[], object]], between: Callable[[], object] = lambda: None
    ) -> dict[int, BaseException]:
        """Run tasks to their ends.

        A task that ends, in whatever way, drops out; the others go on. What the joint evaluation or
        ``between`` raises comes out of `Potential.evaluate` in each task that waits for it.

        Parameters
        ----------
        tasks:
            By number of their system; they run in this order, and systems without a task are left out.
        between:
            Called behind each evaluation, while all tasks wait for its result.

        Returns
        -------
        dict
            The exceptions, of any kind, that tasks ended with, by number.
        """
        failures: dict[int, BaseException] = {}

        def run_one(number: int) -> None:
            try:
                tasks[number]()
            except BaseException as error:
                failures[number] = error

        self._tasks = {number: greenlet(run_one) for number in tasks}
        for number, task in self._tasks.items():
            task.switch(number)
        while self._asked:
            asked, self._asked = self._asked, {}
            try:
                self._answers, self._fault = self.joint.evaluate_all(asked), None
                between()
            except BaseException as error:
                self._fault = error
            for number in asked:
                self._tasks[number].switch()
        self._tasks, self._answers, self._fault = {}, {}, None
        return failures

    def wait(self, number: int, positions_A: np.ndarray, cell_A: np.ndarray) -> Evaluation:
        """Hand over a configuration within task ``number`` and wait for the joint evaluation.

        Raises
        ------
        RuntimeError
            Called from elsewhere.
        """
        if number not in self._tasks or self._tasks[number] is not getcurrent():
            raise RuntimeError(f"potential {number} is evaluated outside its task")
        self._asked[number] = positions_A, cell_A
        self._tasks[number].parent.switch()
        if self._fault is not None:
            raise self._fault
        return self._answers[number]


class _Proxy:
    """A `Potential` whose evaluations are made together with those of the other tasks."""

    def __init__(self, lockstep: Lockstep, number: int) -> None:
        self._lockstep, self._number = lockstep, number

    @property
    def cutoff_A(self) -> float:
        """Range of the interactions, A."""
        return self._lockstep.joint.cutoff_A

    @property
    def type_names(self) -> tuple[str, ...]:
        """Names of the bead types, in the order of their index."""
        return tuple(self._lockstep.joint.type_names)

    def forget(self) -> None:
        """Keep nothing of earlier evaluations."""
        self._lockstep.joint.forget(self._number)

    def evaluate(self, positions_A: np.ndarray, cell_A: np.ndarray, bead_types: np.ndarray) -> Evaluation:
        """Wait for the joint evaluation; ``positions_A`` and ``cell_A`` must stay as they are until then."""
        return self._lockstep.wait(self._number, positions_A, cell_A)
