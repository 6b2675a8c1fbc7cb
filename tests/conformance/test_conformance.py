"""Every way of evaluating a force field against hippynn's graph in float64, case by case.

What these tests cannot detect: wrong weights or parameters in a file that all ways read, and faults of a GPU that
triton's interpreter has not.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from backends import (
    NETWORK_BACKENDS,
    Found,
    batch_of,
    external,
    in_precision,
    pair_style,
    potential_of_users,
    triton,
)
from cgdistill.core.errors import InputError
from cgdistill.forcefield.hipnn.plugin_build import build_plugin, find_compiler
from cgdistill.forcefield.potential import Evaluation
from force_field_cases import CASES, network_truth, prior_truth
from gpu_cases import launches, run_in_interpreter, starts_interpreter

#: Largest deviation as a fraction of the largest force or energy of the case, or of 1 kcal/mol(/A).
TOLERANCE = {torch.float64: 1e-10, torch.float32: 2e-5}
PRECISIONS = pytest.mark.parametrize("dtype", list(TOLERANCE), ids=["float64", "float32"])


def assert_same(found: Found, parts: list[Evaluation], dtype: torch.dtype) -> None:
    """What was found is the sum of parts of the truth."""
    energies, forces, virial = (
        np.sum([getattr(part, name) for part in parts], axis=0)
        for name in ("bead_energies_kcal_mol", "forces_kcal_mol_A", "virial_kcal_mol")
    )
    # Of the parts, which may cancel.
    scale = max(1.0, *(np.abs(part.forces_kcal_mol_A).max() for part in parts))
    energy_scale = max(1.0, *(np.abs(part.bead_energies_kcal_mol).max() for part in parts))
    close = TOLERANCE[dtype]
    np.testing.assert_allclose(found.forces, forces, rtol=0, atol=close * scale, err_msg="forces")
    n_beads = len(energies)
    assert found.energy == pytest.approx(energies.sum(), rel=0, abs=close * energy_scale * n_beads), "energy"
    if found.bead_energies is not None:
        np.testing.assert_allclose(found.bead_energies, energies, rtol=0, atol=close * energy_scale, err_msg="beads")
    if found.virial is not None:
        # Of n beads times some A.
        np.testing.assert_allclose(found.virial, virial, rtol=0, atol=10 * close * scale * n_beads, err_msg="virial")


@pytest.mark.parametrize("name", CASES)
def test_the_cases_are_what_their_names_say(name):
    """Forces of networks and of the prior where there should be some, none where not."""
    networks, prior = (np.abs(truth(name).forces_kcal_mol_A).max() for truth in (network_truth, prior_truth))
    if name in ("lone bead", "pair just outside the cutoff", "pair at the cutoff"):
        assert networks < 1e-12
        assert (prior > 0) == (name != "lone bead")
    elif name == "pair just inside the cutoff":
        assert 1e-9 < networks < 1e-2
    elif name == "pair inside the repulsive core":
        # Sensitivities are in 1/r, and none reaches as far in.
        assert prior > 10
    else:
        assert networks > 0.05
        assert (prior > 0.01) == (name != "pair without repulsion")


@PRECISIONS
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("backend", NETWORK_BACKENDS)
def test_networks(backend, name, dtype):
    """Energy, forces, virial and per-bead energies without the prior."""
    assert_same(NETWORK_BACKENDS[backend](CASES[name], dtype), [network_truth(name)], dtype)


@launches
@PRECISIONS
@pytest.mark.parametrize("name", CASES)
def test_networks_by_triton(name, dtype):
    """The same on a GPU, or in triton's interpreter."""
    assert_same(triton(CASES[name], dtype), [network_truth(name)], dtype)


@starts_interpreter
def test_triton_in_its_interpreter():
    """The test above, in a process in which triton interprets."""
    run_in_interpreter(f"{__file__}::test_networks_by_triton")


@PRECISIONS
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("backend", [potential_of_users, external], ids=["python", "lammps"])
def test_whole_force_field(backend, name, dtype):
    """Networks and prior, in Python and in the simulations."""
    assert_same(backend(CASES[name], dtype), [network_truth(name), prior_truth(name)], dtype)


@pytest.fixture(scope="session")
def plugin(tmp_path_factory):
    """The pair style, compiled."""
    try:
        find_compiler()
    except InputError as missing:
        pytest.skip(str(missing))
    path = tmp_path_factory.mktemp("plugin") / "pair_cgdistill.so"
    build_plugin(path)
    return path


@PRECISIONS
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("prior", [False, True], ids=["networks", "force field"])
def test_pair_style_in_cpp(plugin, tmp_path, name, prior, dtype):
    """LAMMPS alone, with the styles of the prior overlaid or without."""
    truth = [network_truth(name), *([prior_truth(name)] if prior else [])]
    assert_same(pair_style(CASES[name], dtype, plugin, tmp_path, prior), truth, dtype)


def gradients(case, dtype, evaluation):
    """By each weight of each network: gradient of a sum of energies and forces with fixed factors."""
    rng = np.random.default_rng(1)
    n_beads = len(case.types)
    by_energy, by_force = (torch.as_tensor(rng.normal(size=shape)) for shape in ((1, n_beads), (1, n_beads, 3)))
    found = []
    with in_precision(case.networks(), dtype) as models:
        for model in models:
            model.zero_grad(set_to_none=True)
            batch = batch_of(case, dtype, model.spec.cutoff_A)
            energies, forces = model.energies_and_forces(
                batch.species, batch.first, batch.second, batch.vectors_A, True, evaluation
            )
            ((energies * by_energy).sum() + (forces * by_force).sum()).backward()
            parameters = dict(model.named_parameters()).items()
            found.append({name: p.grad.double().clone() for name, p in parameters if p.grad is not None})
            model.zero_grad(set_to_none=True)
    return found


@PRECISIONS
@pytest.mark.parametrize("name", CASES)
def test_gradients_by_parameters(name, dtype):
    """Training's fused evaluation against the graph in float64."""
    expected, found = gradients(CASES[name], torch.float64, "stock"), gradients(CASES[name], dtype, "auto")
    for own, truth in zip(found, expected, strict=True):
        scale = max(float(value.abs().max()) for value in truth.values())
        for parameter, value in truth.items():
            # A weight that nothing depends on has no gradient, or zeros.
            mine = own.get(parameter, torch.zeros_like(value))
            assert (mine - value).abs().max() <= 10 * TOLERANCE[dtype] * scale, parameter
