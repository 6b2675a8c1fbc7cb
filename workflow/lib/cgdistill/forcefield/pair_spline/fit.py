"""Least squares of pairwise splines from their normal equations.

The loss of the other architectures is the sum over labels of weight times (RMSE + MAE). Absolute errors are not
quadratic; here it is the sum of weight times RMSE, whose minimum is the same where the residuals of each label follow
one distribution of any width, for example a normal one, since RMSE and MAE are then proportional. It is convex and is
found by least squares with the weights of the labels divided by their RMSE, repeated until it falls no more (Weiszfeld,
Tohoku Math. J. 43, 355, 1937). With one label that is plain least squares.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cho_solve, cholesky, eigh
from scipy.linalg.lapack import dpocon

from .basis import SMOOTHING_SPACING_A, PairSplineSpec
from .equations import ROWS, NormalEquations
from .model import PairSplineModel

#: Directions of parameters that the data determine less than this, relative to the best, are left at zero.
_LEAST_CONDITION = 1e-13
_MOST_ITERATIONS = 100
_LEAST_GAIN = 1e-9
#: Errors below this part of a label's size are rounding.
_LEAST_ERROR = 1e-7


@dataclass(frozen=True)
class FitReport:
    """What came out of a fit.

    Attributes
    ----------
    rmse, r2: error of each label on the data of the fit (kcal/mol/A or kcal/mol; E per bead), and 1 - squared
        error over variance, NaN for a constant label.
    n_parameters: number of parameters that were fitted.
    n_undetermined: number of directions among them that neither data nor penalty determine, left at zero.
    n_iterations: number of least-squares problems solved.
    """

    rmse: dict[str, float]
    r2: dict[str, float]
    n_parameters: int
    n_undetermined: int
    n_iterations: int


def fit(
    equations: NormalEquations, spec: PairSplineSpec, weights: Mapping[str, float], type_names: tuple[str, ...]
) -> tuple[PairSplineModel, FitReport]:
    """Model that minimises the loss, and a report.

    Functions that vanish over all distances seen take no part, nor do constants of types that no energy depends on:
    their parameters are zero. What remains undetermined, without a penalty or by energies of systems of one composition
    alone, has the smallest parameters among all that fit equally well.

    Parameters
    ----------
    equations: sums over the training frames.
    spec: settings; its basis is that of the equations.
    weights: of the labels in the loss; those not named count 0.
    type_names: names of the bead types.

    Raises
    ------
    ValueError
        No frames, no weight above 0, or one for a label that the equations lack.
    """
    active = {name: weight for name, weight in weights.items() if weight > 0}
    if not active or not set(active) <= set(equations.targets) or equations.n_frames == 0:
        raise ValueError(f"weights {dict(weights)}, {equations.n_frames} frames of {equations.targets}")
    free = free_parameters(equations, spec, list(active))
    rmse = {name: _root_mean_square(equations, name) for name in active}
    loss, parameters, undetermined, n_iterations = np.inf, np.zeros(equations.n_parameters), 0, 0
    while n_iterations < _MOST_ITERATIONS:
        n_iterations += 1
        scales = {name: weight / max(rmse[name], 1e-300) for name, weight in active.items()}
        matrix, vector = _objective(equations, spec, scales)
        parameters[free], undetermined = solve(matrix[np.ix_(free, free)], vector[free])
        errors = {name: label_rmse(equations, name, parameters) for name in active}
        before, loss = loss, sum(weight * errors[name] for name, weight in active.items())
        if len(active) == 1 or loss > (1 - _LEAST_GAIN) * before:
            break
        rmse = {name: max(error, _LEAST_ERROR * _root_mean_square(equations, name)) for name, error in errors.items()}
    model = _model(equations, spec, type_names, parameters)
    errors = {name: label_rmse(equations, name, parameters) for name in equations.targets}
    variances = {name: _variance(equations, name) for name in errors}
    r2 = {name: 1 - errors[name] ** 2 / variance if variance > 0 else np.nan for name, variance in variances.items()}
    return model, FitReport(errors, r2, len(free), undetermined, n_iterations)


def free_parameters(equations: NormalEquations, spec: PairSplineSpec, targets: list[str]) -> np.ndarray:
    """Indices of the parameters that the labels and the penalty can determine.

    Without a penalty a function needs a pair within its support; with it, functions in gaps of the data count as well,
    and are bridged smoothly.
    """
    basis = equations.basis
    effects = [np.diag(equations.matrices[ROWS[name]]) for name in targets]
    seen = np.any(np.array(effects) > 0, axis=0)
    n = basis.n_functions
    for pair in range(equations.n_pairs):
        block = slice(pair * n, (pair + 1) * n)
        lowest = _lowest_interval(equations, pair)
        if lowest is None:
            seen[block] = False
            continue
        functions = np.arange(n)
        # The last function is the one that does not vanish at the cutoff.
        inside = (functions >= lowest) & (functions < n - 1)
        seen[block] = inside & (seen[block] | (spec.smoothing_pairs > 0))
    return np.flatnonzero(seen)


def label_rmse(equations: NormalEquations, target: str, parameters: np.ndarray) -> float:
    """Root mean square error of a label over the frames of the equations, exact but for rounding of its square."""
    sums, matrix = equations.labels[target], equations.matrices[ROWS[target]]
    square = parameters @ matrix @ parameters - 2 * parameters @ sums.vector + sums.square
    return float(np.sqrt(max(square, 0.0) / sums.n_values))


def solve(matrix: np.ndarray, vector: np.ndarray) -> tuple[np.ndarray, int]:
    """Solution (n,) of the equations of a positive matrix (n, n), and the number of directions left at zero.

    By Cholesky's decomposition; where the matrix is singular to rounding, the solution with the smallest parameters, in
    units in which each parameter alone has the same effect on the data.
    """
    diagonal = np.diag(matrix)
    used = np.flatnonzero(diagonal > 0)
    solution = np.zeros(len(vector))
    if not len(used):
        return solution, len(vector)
    scale = 1.0 / np.sqrt(diagonal[used])
    scaled, right = matrix[np.ix_(used, used)] * np.outer(scale, scale), vector[used] * scale
    n_lost = len(vector) - len(used)
    try:
        factor = cholesky(scaled)
        condition, _ = dpocon(factor, np.abs(scaled).sum(axis=0).max())
    except LinAlgError:
        condition = 0.0
    if condition > _LEAST_CONDITION:
        answer = cho_solve((factor, False), right)
        # One step of refinement gains the digits that the condition has cost.
        answer += cho_solve((factor, False), right - scaled @ answer)
    else:
        values, directions = eigh(scaled)
        kept = values > _LEAST_CONDITION * len(values) * values[-1]
        answer = directions[:, kept] @ ((directions[:, kept].T @ right) / values[kept])
        n_lost += int((~kept).sum())
    solution[used] = answer * scale
    return solution, n_lost


def _objective(
    equations: NormalEquations, spec: PairSplineSpec, scales: Mapping[str, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Matrix and vector of the sum over labels of scale times mean square error, and of the penalty."""
    n = equations.n_parameters
    matrix, vector = np.zeros((n, n)), np.zeros(n)
    for name, scale in scales.items():
        sums = equations.labels[name]
        matrix += scale / sums.n_values * equations.matrices[ROWS[name]]
        vector += scale / sums.n_values * sums.vector
    n_splines = equations.n_pairs * equations.basis.n_functions
    # What the data of one directed pair add to the diagonal, on average.
    per_pair = np.diag(matrix)[:n_splines].sum() / max(equations.counts.sum(), 1)
    # Squared second differences sum to the integral of the squared curvature times the third power of the spacing.
    strength = spec.smoothing_pairs * per_pair * (SMOOTHING_SPACING_A / spec.knot_spacing_A) ** 3
    for pair in range(equations.n_pairs):
        block = slice(pair * equations.basis.n_functions, (pair + 1) * equations.basis.n_functions)
        lowest = _lowest_interval(equations, pair)
        # Functions below the data have no part in the curvature of the others.
        differences = equations.basis.second_differences[lowest:] if lowest is not None else np.zeros((1, 1))
        matrix[block, block] += strength * (differences.T @ differences)
    return matrix, vector


def _lowest_interval(equations: NormalEquations, pair: int) -> int | None:
    """Interval of the shortest distance of a pair of types, None where it was never seen."""
    shortest = equations.shortest_A[pair : pair + 1]
    return int(equations.basis.interval_of(shortest)[0]) if np.isfinite(shortest[0]) else None


def _model(
    equations: NormalEquations, spec: PairSplineSpec, type_names: tuple[str, ...], parameters: np.ndarray
) -> PairSplineModel:
    n_splines = equations.n_pairs * equations.basis.n_functions
    coefficients = parameters[:n_splines].reshape(equations.n_pairs, -1)
    return PairSplineModel(spec, type_names, coefficients, equations.shortest_A.copy(), parameters[n_splines:].copy())


def _root_mean_square(equations: NormalEquations, target: str) -> float:
    sums = equations.labels[target]
    return float(np.sqrt(sums.square / sums.n_values))


def _variance(equations: NormalEquations, target: str) -> float:
    sums = equations.labels[target]
    return sums.square / sums.n_values - (sums.total / sums.n_values) ** 2
