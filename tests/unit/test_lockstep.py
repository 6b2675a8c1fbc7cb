"""Tasks in lockstep, without LAMMPS.

Cannot detect what LAMMPS does on the stack of a task; the integration tests run it there.
"""

from __future__ import annotations

import threading

import numpy as np
import pytest
from cgdistill.core.errors import InputError
from cgdistill.forcefield.potential import Evaluation
from cgdistill.md.lockstep import Lockstep, SeparatePotentials

CELL = np.eye(3)
KINDS = np.zeros(1, dtype=int)


class Count:
    """Energy = x of the bead, plus 100 per system; remembers which systems were evaluated together."""

    cutoff_A = 3.0
    type_names = ("A",)

    def __init__(self, fail_at=None):
        self.rounds, self.fail_at, self.threads = [], fail_at, set()

    def evaluate_all(self, configurations):
        self.rounds.append(list(configurations))
        self.threads.add(threading.get_ident())
        if len(self.rounds) == self.fail_at:
            raise MemoryError("no memory")
        zero = np.zeros((1, 3))
        return {
            number: Evaluation(100 * number + positions[0, 0], zero, np.zeros(6), zero[0, :1])
            for number, (positions, _) in configurations.items()
        }


def mover(lockstep, number, n_steps, events, found):
    """A task that asks ``n_steps`` times, each time at another place."""

    def task():
        for step in range(n_steps):
            events.append((number, step))
            position = np.full((1, 3), float(step))
            found.append(lockstep.potentials[number].evaluate(position, CELL, KINDS).energy_kcal_mol)

    return task


def test_each_gets_its_own_answer_in_turn():
    """Tasks take turns in order, one evaluation per round; who has ended is not evaluated any more."""
    joint, events = Count(), []
    lockstep = Lockstep(joint, 4)
    found = {2: [], 0: [], 3: []}
    lengths = {2: 3, 0: 1, 3: 2}
    failures = lockstep.run({k: mover(lockstep, k, lengths[k], events, found[k]) for k in found})
    assert failures == {}
    assert joint.rounds == [[2, 0, 3], [2, 3], [2]]
    assert events == [(2, 0), (0, 0), (3, 0), (2, 1), (3, 1), (2, 2)]
    assert found == {2: [200, 201, 202], 0: [0], 3: [300, 301]}
    assert joint.threads == {threading.get_ident()}
    assert (lockstep.potentials[1].cutoff_A, lockstep.potentials[1].type_names) == (3.0, ("A",))


def test_one_at_a_time():
    """Between two evaluations no task sees another at work, however deep in calls it stands when it asks."""
    lockstep, busy, depth_seen = Lockstep(Count(), 5), [], []

    def ask(number, depth):
        if depth:
            return ask(number, depth - 1)
        busy.remove(number)
        energy = lockstep.potentials[number].evaluate(np.ones((1, 3)), CELL, KINDS).energy_kcal_mol
        busy.append(number)
        return energy

    def task(number):
        for depth in (number, 40 * number, 0):
            busy.append(number)
            assert busy == [number]
            depth_seen.append(ask(number, depth))
            busy.remove(number)

    assert lockstep.run({k: lambda k=k: task(k) for k in range(5)}) == {}
    assert sorted(depth_seen) == sorted([1 + 100 * k for k in range(5)] * 3)


def test_a_failed_task_drops_out():
    """Its exception is returned, whatever its kind; the others come to their ends."""
    joint, found = Count(), []
    lockstep = Lockstep(joint, 3)

    def failing():
        lockstep.potentials[1].evaluate(np.zeros((1, 3)), CELL, KINDS)
        raise SystemExit(143)

    def stillborn():
        raise ValueError("nothing to do")

    failures = lockstep.run({0: mover(lockstep, 0, 4, [], found), 1: failing, 2: stillborn})
    assert {number: repr(error) for number, error in failures.items()} == {
        1: "SystemExit(143)",
        2: "ValueError('nothing to do')",
    }
    assert joint.rounds == [[0, 1], [0], [0], [0]] and found == [0, 1, 2, 3]


@pytest.mark.parametrize("where", ["evaluation", "between"])
def test_a_failed_evaluation_reaches_all_that_wait(where):
    """Those who catch it can go on; those who do not end with it; those who had ended before do not see it."""
    joint, caught, calls = Count(fail_at=2 if where == "evaluation" else None), [], []
    lockstep = Lockstep(joint, 3)

    def between():
        calls.append(len(joint.rounds))
        if where == "between" and len(joint.rounds) == 2:
            raise MemoryError("no memory")

    def catching():
        for step in range(3):
            try:
                caught.append(lockstep.potentials[1].evaluate(np.full((1, 3), step), CELL, KINDS).energy_kcal_mol)
            except MemoryError:
                caught.append("caught")

    tasks = {0: mover(lockstep, 0, 3, [], []), 1: catching, 2: mover(lockstep, 2, 1, [], [])}
    failures = lockstep.run(tasks, between)
    assert list(failures) == [0] and isinstance(failures[0], MemoryError)
    assert caught == [100, "caught", 102]
    assert joint.rounds == [[0, 1, 2], [0, 1], [1]]
    assert calls == ([1, 3] if where == "evaluation" else [1, 2, 3])


def test_again_with_others():
    """What a run leaves behind, failed or not, does not reach the next one."""
    joint = Count(fail_at=1)
    lockstep = Lockstep(joint, 2)
    assert set(lockstep.run({0: mover(lockstep, 0, 2, [], [])})) == {0}
    found = []
    assert lockstep.run({1: mover(lockstep, 1, 2, [], found)}) == {}
    assert found == [100, 101] and joint.rounds == [[0], [1], [1]]
    assert lockstep.run({}) == {}


def test_a_potential_belongs_to_its_task():
    """Asked from elsewhere it would wait for ever: refused."""
    lockstep = Lockstep(Count(), 2)
    arguments = np.zeros((1, 3)), CELL, KINDS
    with pytest.raises(RuntimeError, match="potential 0 is evaluated outside its task"):
        lockstep.potentials[0].evaluate(*arguments)
    failures = lockstep.run({0: lambda: lockstep.potentials[1].evaluate(*arguments), 1: lambda: None})
    assert "potential 1 is evaluated outside its task" in str(failures[0])


def test_separate_potentials():
    """Each system by its own potential, with the bead types that were given; types that differ are refused."""

    class Own:
        type_names = ("A", "B")

        def __init__(self, value, cutoff_A):
            self.value, self.cutoff_A = value, cutoff_A

        def evaluate(self, positions_A, cell_A, bead_types):
            energy = self.value * positions_A.sum() + cell_A.sum() + bead_types.sum()
            return Evaluation(energy, positions_A, np.zeros(6), np.zeros(2))

    joint = SeparatePotentials([Own(1.0, 4.0), Own(10.0, 5.0), Own(100.0, 3.0)], np.array([0, 1]))
    assert (joint.cutoff_A, joint.type_names) == (5.0, ("A", "B"))
    ones = np.ones((2, 3))
    found = joint.evaluate_all({2: (ones, CELL), 0: (2 * ones, 2 * CELL)})
    assert {number: result.energy_kcal_mol for number, result in found.items()} == {2: 604.0, 0: 19.0}
    with pytest.raises(InputError, match="potentials: type_names"):
        SeparatePotentials([Own(1.0, 4.0), Count()], np.array([0, 1]))
