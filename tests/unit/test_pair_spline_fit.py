"""Fits of pairwise splines to labels of known potentials.

What these tests cannot detect: whether pairwise forces are a good model of a fluid.
"""

from __future__ import annotations

from dataclasses import replace

import numba
import numpy as np
import pytest
from bead_cases import TYPES
from cgdistill.core.errors import InputError
from cgdistill.forcefield.pair_spline.basis import PairSplineSpec, SplineBasis
from cgdistill.forcefield.pair_spline.equations import ROWS, NormalEquations, add_frames
from cgdistill.forcefield.pair_spline.fit import fit, label_rmse, solve
from cgdistill.geometry.neighbours import NeighbourList
from pair_spline_cases import SPEC, ShiftedMorse, equations_of, fitted, frames_of, known_model, labels_of
from scipy.optimize import minimize


@pytest.fixture(scope="module", autouse=True)
def one_numba_thread():
    """Neighbour lists of few beads on one thread: on several they wait for each other."""
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(before)


@pytest.fixture(scope="module")
def known():
    """Frames and noiseless labels of a model in the space of the splines."""
    positions, cells, types = frames_of(30)
    return positions, cells, types, labels_of(known_model(), positions, cells, types)


def curves(model, low=None):
    """Forces (3, n) of the three pairs over the distances that the data have."""
    r = np.linspace(np.max(model.shortest_A) if low is None else low, SPEC.cutoff_A, 500)
    return r, np.array([model.pair_values(np.full(len(r), pair), r)[1] for pair in range(3)])


@pytest.mark.parametrize("weights", [{"F": 1.0}, {"epsilon": 5.0}, {"F": 1.0, "epsilon": 5.0}, {"F": 2.0, "E": 5.0}])
def test_known_coefficients_come_back(known, weights):
    """A function in the space is found to 1e-8 from forces, energies of beads and of systems."""
    model, report = fitted(*known, weights)
    r, found = curves(model)
    expected = [known_model().pair_values(np.full(len(r), pair), r)[1] for pair in range(3)]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8)
    assert report.r2["F"] == pytest.approx(1.0, abs=1e-12)
    if "epsilon" in weights:
        np.testing.assert_allclose(model.constants_kcal_mol, known_model().constants_kcal_mol, atol=1e-8)
    if set(weights) == {"F"}:
        assert not model.constants_kcal_mol.any()


@pytest.mark.parametrize("degree, order", [(1, 2), (2, 3), (3, 4)])
def test_error_falls_with_the_spacing_at_the_order_of_the_spline(degree, order):
    """Forces of Morse potentials, which no spline holds: half the spacing divides the error by 2^order."""
    positions, cells, types = frames_of(60)
    potential, neighbours = ShiftedMorse(), NeighbourList(5.0, 0.0)
    frames = zip(positions, cells, strict=True)
    labels = {"F": np.array([potential.forces(*neighbours.pairs(*frame), types) for frame in frames])}
    errors = []
    for spacing in (0.5, 0.25):
        model, _ = fitted(positions, cells, types, labels, {"F": 1.0}, degree=degree, knot_spacing_A=spacing)
        r, found = curves(model, low=2.4)
        expected = [potential.pair_values(np.full(len(r), pair), r)[1] for pair in range(3)]
        errors.append(np.sqrt(np.mean((found - expected) ** 2)))
    assert errors[1] < 1e-2
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.6)


def test_noise_averages_out_as_one_over_the_root_of_the_frames():
    """Noise of 5 kcal/mol/A on each component: the error of the curves halves with four times the frames, twice."""
    positions, cells, types = frames_of(320)
    model, rng = known_model(), np.random.default_rng(3)
    exact = labels_of(model, positions, cells, types)["F"]
    errors = []
    for n in (20, 80, 320):
        trials = []
        for _ in range(6):
            noisy = {"F": exact[:n] + rng.normal(0, 5.0, exact[:n].shape)}
            found, _ = fitted(positions[:n], cells[:n], types, noisy, {"F": 1.0})
            r, forces = curves(found, low=2.5)
            expected = [model.pair_values(np.full(len(r), pair), r)[1] for pair in range(3)]
            trials.append(np.mean((forces - expected) ** 2))
        errors.append(np.sqrt(np.mean(trials)))
    assert errors[0] > 0.1
    np.testing.assert_allclose([errors[0] / errors[1], errors[1] / errors[2]], 2.0, atol=0.5)


def test_how_frames_are_grouped_changes_no_bit(known):
    """Added in groups of 1, 7 or all; sums over parts, merged, agree to rounding."""
    positions, cells, types, labels = known
    whole = equations_of(*known)
    grouped = NormalEquations(SplineBasis.of(SPEC), 2, tuple(labels))
    parts = []
    for group in np.array_split(np.arange(30), [1, 8, 15, 22]):
        part = positions[group], cells[group], types, {name: values[group] for name, values in labels.items()}
        add_frames(grouped, zip(*part[:2], strict=True), types, part[3])
        parts.append(equations_of(*part))
    for kind, matrix in whole.matrices.items():
        np.testing.assert_array_equal(grouped.matrices[kind], matrix)
    merged = parts[0]
    for part in parts[1:]:
        merged.merge(part)
    weights = {"F": 1.0, "epsilon": 5.0, "E": 5.0}
    expected, report = fit(whole, SPEC, weights, TYPES)
    found, other = fit(merged, SPEC, weights, TYPES)
    assert merged.n_frames == 30 and report.rmse.keys() == other.rmse.keys() == labels.keys()
    np.testing.assert_array_equal(found.shortest_A, expected.shortest_A)
    np.testing.assert_allclose(found.coefficients, expected.coefficients, atol=1e-8)
    with pytest.raises(ValueError, match="cannot be added"):
        merged.merge(NormalEquations(SplineBasis.of(SPEC), 2, ("F",)))


def test_systems_of_other_sizes_and_cells_add_up():
    """Frames of 27 and of 8 beads in other cells, one without a type: labels of one potential, found exactly."""
    model = known_model()
    equations = NormalEquations(SplineBasis.of(SPEC), 2, ("F", "epsilon"))
    for seed, cell, n_beads in ((1, "triclinic", 27), (2, "flat", 27), (3, "cubic", 8)):
        positions, cells, types = frames_of(20, cell, seed)
        types = np.zeros(8, dtype=int) if n_beads == 8 else types
        labels = labels_of(model, positions[:, :n_beads], cells, types)
        chosen = {name: labels[name] for name in equations.targets}
        add_frames(equations, zip(positions[:, :n_beads], cells, strict=True), types, chosen)
    found, _ = fit(equations, SPEC, {"F": 1.0, "epsilon": 5.0}, TYPES)
    r, forces = curves(found)
    expected = [model.pair_values(np.full(len(r), pair), r)[1] for pair in range(3)]
    np.testing.assert_allclose(forces, expected, atol=1e-8)


def noisy_labels(known, seed=4):
    """Labels with noise of different size and shape, none of which a pairwise model fits exactly."""
    positions, cells, types, labels = known
    rng = np.random.default_rng(seed)
    noise = {"F": 3.0, "f": 0.5, "epsilon": 1.0, "E": 4.0}
    exact = {"F": labels["F"], "f": labels["F"], "epsilon": labels["epsilon"], "E": labels["E"]}
    return positions, cells, types, {k: v + rng.normal(0, noise[k], v.shape) for k, v in exact.items()}


def test_the_weighted_sum_of_errors_is_at_its_minimum(known):
    """Against a general minimiser of 2 RMSE(F) + RMSE(f) + 5 RMSE(E/n) + 5 RMSE(epsilon), which begins elsewhere."""
    spec = replace(SPEC, knot_spacing_A=1.25)
    weights = {"F": 2.0, "f": 1.0, "E": 5.0, "epsilon": 5.0}
    equations = equations_of(*noisy_labels(known), spec)
    model, report = fit(equations, spec, weights, TYPES)
    assert report.n_iterations > 2
    found = np.concatenate([model.coefficients.reshape(-1), model.constants_kcal_mol])
    free = np.flatnonzero(found)

    # In units in which the parameters have like effects, which a general minimiser needs.
    units = 1 / np.sqrt(sum(matrix.diagonal()[free] for matrix in equations.matrices.values()))

    def loss(values):
        parameters = np.zeros_like(found)
        parameters[free] = values * units
        return sum(weight * label_rmse(equations, name, parameters) for name, weight in weights.items())

    def slope(values):
        parameters, total = np.zeros_like(found), np.zeros_like(found)
        parameters[free] = values * units
        for name, weight in weights.items():
            sums, matrix = equations.labels[name], equations.matrices[ROWS[name]]
            error = label_rmse(equations, name, parameters)
            total += weight * (matrix @ parameters - sums.vector) / (sums.n_values * error)
        return total[free] * units

    best = minimize(loss, np.zeros(len(free)), jac=slope, method="BFGS", options={"gtol": 1e-8, "maxiter": 2000})
    assert loss(found[free] / units) == pytest.approx(best.fun, rel=1e-6)
    assert loss(found[free] / units) < 0.8 * loss(np.zeros(len(free)))


def test_reported_errors_are_those_of_the_predictions(known):
    """RMSE and R² from the sums, against predictions of the model frame by frame."""
    positions, cells, types, labels = noisy_labels(known)
    model, report = fitted(positions, cells, types, labels, {"F": 1.0, "epsilon": 5.0})
    predicted = labels_of(model, positions, cells, types)
    for name, target in labels.items():
        error = predicted["F" if name == "f" else name] - target
        scale = len(types) if name == "E" else 1
        assert report.rmse[name] == pytest.approx(np.sqrt(np.mean(error**2)) / scale, rel=1e-9)
        assert report.r2[name] == pytest.approx(1 - np.mean(error**2) / np.var(target), rel=1e-6)


def test_a_linear_force_is_not_smoothed(known):
    """The penalty is on curvature: a force that falls linearly to the cutoff passes any."""
    positions, cells, types, _ = known
    linear = known_model()
    knots, degree = linear.basis.knots_A, linear.basis.degree
    centres = [knots[k + 1 : k + 1 + degree].mean() for k in range(linear.basis.n_functions)]
    linear = replace(linear, coefficients=np.outer([1.0, -2.0, 0.5], SPEC.cutoff_A - np.array(centres)))
    labels = {"F": labels_of(linear, positions, cells, types)["F"]}
    model, _ = fitted(positions, cells, types, labels, {"F": 1.0}, smoothing_pairs=1e4)
    r, found = curves(model)
    np.testing.assert_allclose(found, np.outer([1.0, -2.0, 0.5], SPEC.cutoff_A - r), atol=1e-7)


def test_the_penalty_hardly_depends_on_the_spacing():
    """Ten frames with noise: knots every 0.1 and every 0.4 A give like curves with the penalty; without, noise."""
    positions, cells, types = frames_of(10, seed=6)
    model, rng = known_model(replace(SPEC, knot_spacing_A=2.5)), np.random.default_rng(7)
    labels = {"F": labels_of(model, positions, cells, types)["F"]}
    labels["F"] += rng.normal(0, 3.0, labels["F"].shape)
    errors = {}
    for smoothing in (0.0, 10.0):
        found = [
            curves(fitted(positions, cells, types, labels, {"F": 1.0}, knot_spacing_A=h, smoothing_pairs=smoothing)[0])
            for h in (0.1, 0.4)
        ]
        errors[smoothing] = np.sqrt(np.mean((found[0][1] - found[1][1]) ** 2))
    assert errors[10.0] < 0.25 < 1.0 < errors[0.0]


def two_beads(distances, force):
    """Frames of a pair of beads of type 0 at given distances in a large cell, with their forces."""
    positions = np.zeros((len(distances), 2, 3))
    positions[:, 1, 0] = distances
    labels = np.zeros_like(positions)
    labels[:, 0, 0], labels[:, 1, 0] = -force(distances), force(distances)
    return positions, np.repeat(20 * np.eye(3)[None], len(distances), axis=0), np.zeros(2, dtype=int), {"F": labels}


def test_gaps_are_bridged_and_what_was_never_seen_is_zero():
    """No pair between 3 and 4.2 A, none below 2 A, none of the second type."""

    def force(r):
        return (5.0 - r) * (6.0 - r)

    distances = np.concatenate([np.linspace(2.0, 3.0, 200), np.linspace(4.2, 5.0, 200)])
    model, report = fitted(*two_beads(distances, force), {"F": 1.0}, knot_spacing_A=0.25, smoothing_pairs=1e-3)
    assert report.n_undetermined == 0
    r = np.linspace(2.0, 5.0, 300)
    assert np.abs(model.curve(0, 0, r).force_kcal_mol_A - force(r)).max() < 0.05
    for pair in ((0, 1), (1, 1)):
        curve = model.curve(*pair, np.linspace(0.1, 5.0, 50))
        assert not curve.force_kcal_mol_A.any() and not curve.energy_kcal_mol.any()
    bare, report = fitted(*two_beads(distances, force), {"F": 1.0}, knot_spacing_A=0.25)
    assert np.isfinite(bare.coefficients).all() and np.abs(bare.coefficients).max() < 100
    seen = np.concatenate([r[r < 3], r[r > 4.2]])
    assert np.abs(bare.curve(0, 0, seen).force_kcal_mol_A - force(seen)).max() < 0.05


@pytest.mark.parametrize("slope", [-30.0, 8.0])
def test_core_is_repulsive_and_continuous_under_noise(slope):
    """Twenty noisy pairs near the shortest distance, of a force that rises or falls inwards there."""
    rng = np.random.default_rng(5)
    distances = np.concatenate([rng.uniform(3.0, 3.2, 20), rng.uniform(3.2, 5.0, 4000)])
    positions, cells, types, labels = two_beads(distances, lambda r: slope * (r - 5.0))
    labels["F"] += rng.normal(0, 6.0, labels["F"].shape)
    model, _ = fitted(positions, cells, types, labels, {"F": 1.0}, knot_spacing_A=0.25, smoothing_pairs=10.0)
    shortest = distances.min()
    assert model.shortest_A[0] == pytest.approx(shortest)
    r = np.linspace(0.5, shortest, 2000)
    curve = model.curve(0, 0, r)
    inward = -np.diff(curve.force_kcal_mol_A) / np.diff(r)
    assert inward.min() > 0.999 * SPEC.core_stiffness_kcal_mol_A2 and np.ptp(inward) < 1e-6 * inward.max()
    assert inward.max() == pytest.approx(max(-slope, 10.0), rel=0.5)
    across = model.curve(0, 0, np.array([shortest - 1e-9, shortest + 1e-9]))
    assert np.abs(np.diff(across.force_kcal_mol_A)) < 1e-6 and np.abs(np.diff(across.energy_kcal_mol)) < 1e-6


def test_energies_of_one_composition_leave_constants_open(known):
    """From E alone only one sum of the constants is known: the smallest are taken, and the energies are right."""
    positions, cells, types, labels = known
    spec = replace(SPEC, knot_spacing_A=2.5)
    model = known_model(spec)
    labels = {"E": labels_of(model, positions, cells, types)["E"]}
    found, report = fitted(positions, cells, types, labels, {"E": 5.0}, spec)
    assert report.n_undetermined == 1
    np.testing.assert_allclose(labels_of(found, positions, cells, types)["E"], labels["E"], atol=1e-5)
    counts = np.bincount(types)
    assert found.constants_kcal_mol @ counts == pytest.approx(model.constants_kcal_mol @ counts, abs=1e-4)


def test_singular_equations_have_the_smallest_solution():
    """x + y = 2 twice: 1 and 1; an unused third is zero."""
    matrix = np.array([[2.0, 2.0, 0.0], [2.0, 2.0, 0.0], [0.0, 0.0, 0.0]])
    solution, lost = solve(matrix, np.array([4.0, 4.0, 0.0]))
    np.testing.assert_allclose(solution, [1.0, 1.0, 0.0], atol=1e-12)
    assert lost == 2


def test_settings_and_weights_that_make_no_sense_are_refused(known):
    for key, value in (
        ("cutoff_A", 0.0),
        ("knot_spacing_A", 20.0),
        ("degree", 0),
        ("degree", 2.5),
        ("smoothing_pairs", -1.0),
        ("core_stiffness_kcal_mol_A2", 0.0),
    ):
        with pytest.raises(InputError, match=key):
            PairSplineSpec(**{key: value})
    equations = equations_of(*known)
    for weights in ({}, {"F": 0.0}, {"f": 1.0}):
        with pytest.raises(ValueError, match="weights"):
            fit(equations, SPEC, weights, TYPES)
    with pytest.raises(ValueError, match="targets"):
        NormalEquations(SplineBasis.of(SPEC), 2, ("G",))
