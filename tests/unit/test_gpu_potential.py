"""Potentials on a GPU against the same on a CPU.

Not detected: anything about speed; on a machine without a GPU, errors of triton's compiler.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from bead_cases import CELLS, configuration, make_model
from cgdistill.forcefield.hipnn.network_potential import JointNetworkPotential
from gpu_cases import DEVICE, launches, run_in_interpreter, starts_interpreter

ENSEMBLES = {
    "one network": lambda: [[make_model(1)]],
    "one network, three systems": lambda: [[make_model(1, 1)]] * 3,
    "a network each": lambda: [[make_model(1)], [make_model(2)]],
    "two networks on two systems each": lambda: [[model] for model in (make_model(1), make_model(2)) for _ in "ab"],
    "mean of two": lambda: [[make_model(1), make_model(2)]],
    "means of two networks each": lambda: [[make_model(1), make_model(2)], [make_model(3), make_model(4)]],
    "mixed architectures": lambda: [[make_model(1), make_model(2, 0), make_model(3, 1, cutoff_A=4.2)], [make_model(4)]],
}


def on_the_device(ensembles, types, dtype):
    """The potential with the evaluator of a GPU, also where there is none but the interpreter."""
    from cgdistill.forcefield.hipnn.gpu_potential import GpuEvaluator

    potential = JointNetworkPotential(ensembles, types, 0.5, dtype, DEVICE)
    if DEVICE == "cpu":
        potential._evaluator = GpuEvaluator(ensembles, types, potential.cutoff_A, dtype, torch.device(DEVICE))
    assert isinstance(potential._evaluator, GpuEvaluator)
    return potential


def states(n, seed=0):
    """Configurations of n systems by number; cells differ."""
    cells = [CELLS[name] for name in ("triclinic", "flat", "cubic")]
    return {number: (configuration(cells[number % 3], seed + number)[0], cells[number % 3]) for number in range(n)}


def check(found, expected, tolerance):
    assert found.keys() == expected.keys()
    for number, mine in found.items():
        other = expected[number]
        assert mine.energy_kcal_mol == pytest.approx(other.energy_kcal_mol, rel=tolerance)
        for name in ("forces_kcal_mol_A", "virial_kcal_mol", "bead_energies_kcal_mol"):
            values = getattr(other, name)
            error = np.abs(getattr(mine, name) - values).max()
            assert error <= tolerance * np.sqrt(np.mean(values**2)), name


@launches
@pytest.mark.parametrize("ensembles", ENSEMBLES.values(), ids=ENSEMBLES)
def test_same_as_on_a_cpu(ensembles):
    types = configuration(CELLS["cubic"])[1]
    configurations = states(len(ensembles()))
    expected = JointNetworkPotential(ensembles(), types, 0.5, torch.float64).evaluate_all(configurations)
    check(on_the_device(ensembles(), types, torch.float64).evaluate_all(configurations), expected, 1e-9)


@launches
def test_single_precision_is_close_to_double():
    types = configuration(CELLS["cubic"])[1]
    expected = JointNetworkPotential([[make_model(1)]], types, 0.5, torch.float64).evaluate_all(states(1))
    check(on_the_device([[make_model(1)]], types, torch.float32).evaluate_all(states(1)), expected, 3e-5)


@launches
def test_systems_can_leave_and_move():
    """Fewer systems at each step, in steps small enough for the list and then not."""
    types = configuration(CELLS["cubic"])[1]
    models = [make_model(seed, 1) for seed in (1, 2)]
    potential = on_the_device([[model] for model in models], types, torch.float64)
    before = states(2)
    potential.evaluate_all(before)
    near = {number: (positions + 0.1, cell) for number, (positions, cell) in before.items()}
    potential.evaluate_all(near)
    assert potential.n_builds == 2
    last = {1: (near[1][0] + np.linspace(0, 0.6, 27)[:, None], near[1][1])}
    found = potential.evaluate_all(last)
    assert potential.n_builds == 3
    alone = JointNetworkPotential([[make_model(2, 1)]], types, 0.5, torch.float64)
    check({0: found[1]}, alone.evaluate_all({0: last[1]}), 1e-9)
    assert potential.evaluate_all({}) == {}


@starts_interpreter
def test_all_of_this_in_the_interpreter():
    run_in_interpreter(__file__)
