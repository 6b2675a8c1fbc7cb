"""B-splines of the pair force, and their integrals, the pair energy.

The force between two beads, positive for repulsion, is f(r) = sum_k c_k B_k(r) up to the cutoff, and the energy is its
integral u(r) = sum_k c_k e_k(r) with e_k(r) the integral of B_k from r to the cutoff. Knots are evenly spaced downwards
from the cutoff, for all pairs of types alike, so that sums over frames need not know the shortest distance beforehand.

At the cutoff the energy is zero by construction and the force because the one function that does not vanish there is
left out: a force that jumped would make the energy of a simulation drift. Its slope stays free, since each further
condition changes the fit within the last intervals, where the true mean force of ions is not zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.interpolate import BSpline

from ...core.errors import InputError

_MOST_INTERVALS = 2000
_HIGHEST_DEGREE = 5
#: Spacing of knots for which ``smoothing_pairs`` is counted, A.
SMOOTHING_SPACING_A = 0.25


@dataclass(frozen=True)
class PairSplineSpec:
    """Settings of a pairwise force field.

    Attributes
    ----------
    cutoff_A: distance from which on beads do not interact, A.
    knot_spacing_A: distance between knots, A.
    degree: of the polynomials of the force: 1 (linear) to 5; the energy's is higher by one.
    smoothing_pairs:
        Weight of the penalty on the curvature of the force (P-splines; Eilers and Marx, Stat. Sci. 11, 89, 1996): with
        knots every `SMOOTHING_SPACING_A` the second difference of neighbouring coefficients counts as much as the data
        of this number of pairs, and with others the integral of the squared curvature has the same weight. It decides
        where next to no pair was seen and is without effect where thousands were. 0 for none: then functions that one
        pair alone touches follow its noise.
    core_stiffness_kcal_mol_A2:
        Below the shortest distance of the data the force continues linearly with the slope that it has there, but
        rises inwards by at least this much, kcal/mol/A per A.
    bootstrap:
        Whether the training frames are drawn with replacement, by the seed of the model. Least squares have no initial
        weights: without it models of different seeds are the same, and an ensemble has no spread.

    Raises
    ------
    InputError
        A setting out of range.
    """

    cutoff_A: float = 12.0
    knot_spacing_A: float = 0.25
    degree: int = 3
    smoothing_pairs: float = 10.0
    core_stiffness_kcal_mol_A2: float = 10.0
    bootstrap: bool = True

    def __post_init__(self) -> None:
        cutoff, spacing = self.cutoff_A, self.knot_spacing_A
        self._expect(0 < cutoff < math.inf, "cutoff_A", cutoff, "a distance above 0")
        least = cutoff / _MOST_INTERVALS
        self._expect(least <= spacing <= cutoff, "knot_spacing_A", spacing, f"{least:g} to {cutoff:g}, the cutoff")
        degree = self.degree
        known = isinstance(degree, int) and 1 <= degree <= _HIGHEST_DEGREE
        self._expect(known, "degree", degree, f"an integer from 1 to {_HIGHEST_DEGREE}")
        self._expect(0 <= self.smoothing_pairs < math.inf, "smoothing_pairs", self.smoothing_pairs, "a number from 0")
        stiffness = self.core_stiffness_kcal_mol_A2
        self._expect(0 < stiffness < math.inf, "core_stiffness_kcal_mol_A2", stiffness, "a number above 0")

    @staticmethod
    def _expect(fits: bool, key: str, found: object, expected: str) -> None:
        if not fits:
            raise InputError("pair-spline", key, found, expected)


@dataclass(frozen=True)
class SplineBasis:
    """The functions B_k and e_k, the same for each pair of types.

    On interval m the functions m to m + degree are not zero. Functions are numbered from short distances on; the last
    one is not zero at the cutoff, and models do without it.
    """

    cutoff_A: float
    knot_spacing_A: float
    degree: int

    @classmethod
    def of(cls, spec: PairSplineSpec) -> SplineBasis:
        """The basis of the settings."""
        return cls(spec.cutoff_A, spec.knot_spacing_A, spec.degree)

    @property
    def n_intervals(self) -> int:
        """Number of intervals between knots, from the cutoff down to 0 or just below."""
        return math.ceil(self.cutoff_A / self.knot_spacing_A - 1e-9)

    @property
    def n_functions(self) -> int:
        """Number of functions, that at the cutoff included."""
        return self.n_intervals + self.degree

    @cached_property
    def breaks_A(self) -> np.ndarray:
        """(n_intervals + 1,) distances at which intervals meet, A; the last is the cutoff."""
        return self.cutoff_A - self.knot_spacing_A * np.arange(self.n_intervals, -1, -1.0)

    @cached_property
    def knots_A(self) -> np.ndarray:
        """(n_functions + degree + 1,) knots, A; the cutoff counts degree + 1 times."""
        below = self.breaks_A[0] - self.knot_spacing_A * np.arange(self.degree, 0, -1.0)
        return np.concatenate([below, self.breaks_A, np.full(self.degree, self.cutoff_A)])

    @cached_property
    def force_polynomials(self) -> np.ndarray:
        """(n_intervals, degree + 1, degree + 1) coefficients of the functions on each interval.

        [m, l, p] belongs to the power p of r - breaks_A[m] in function m + l.
        """
        splines = BSpline(self.knots_A, np.eye(self.n_functions), self.degree)
        intervals = np.arange(self.n_intervals)[:, None]
        functions = intervals + np.arange(self.degree + 1)
        powers = [
            splines.derivative(power)(self.breaks_A[:-1])[intervals, functions] / math.factorial(power)
            for power in range(self.degree + 1)
        ]
        return np.ascontiguousarray(np.stack(powers, axis=-1))

    @cached_property
    def integrals_A(self) -> np.ndarray:
        """(n_functions,) integrals of the functions up to the cutoff, from the lowest break on, A."""
        splines = BSpline(self.knots_A, np.eye(self.n_functions), self.degree)
        return np.asarray(splines.integrate(self.breaks_A[0], self.cutoff_A))

    @cached_property
    def energy_polynomials(self) -> np.ndarray:
        """(n_intervals, degree + 1, degree + 2) the same for e_k, A; e_k beyond these is ``integrals_A`` or zero."""
        integral = BSpline(self.knots_A, np.eye(self.n_functions), self.degree).antiderivative()
        at_breaks = integral(self.cutoff_A) - integral(self.breaks_A[:-1])
        intervals = np.arange(self.n_intervals)[:, None]
        constant = at_breaks[intervals, intervals + np.arange(self.degree + 1)]
        rest = -self.force_polynomials / np.arange(1, self.degree + 2)
        return np.ascontiguousarray(np.concatenate([constant[..., None], rest], axis=-1))

    @cached_property
    def second_differences(self) -> np.ndarray:
        """(n_functions - 2, n_functions) matrix D: D c is zero where the force is linear in r.

        For evenly spaced knots these are c_k - 2 c_k+1 + c_k+2. Coefficients belong to the means of ``degree`` knots
        (Greville's abscissae), which come closer to each other at the cutoff.
        """
        n, degree = self.n_functions, self.degree
        centres = np.array([self.knots_A[k + 1 : k + 1 + degree].mean() for k in range(n)])
        slopes = np.diff(np.eye(n), axis=0) * (self.knot_spacing_A / np.diff(centres))[:, None]
        return np.asarray(np.diff(slopes, axis=0))

    def interval_of(self, distances_A: np.ndarray) -> np.ndarray:
        """(n,) intervals of distances from 0 to the cutoff, A."""
        found = ((distances_A - self.breaks_A[0]) / self.knot_spacing_A).astype(np.int64)
        return np.asarray(np.clip(found, 0, self.n_intervals - 1))

    def pieces(self, coefficients: np.ndarray) -> np.ndarray:
        """Polynomials of pair energies, (n_pairs, n_intervals, degree + 2), kcal/mol by powers of A.

        Parameters
        ----------
        coefficients: (n_pairs, n_functions) of the forces, kcal/mol/A.
        """
        functions = np.arange(self.n_intervals)[:, None] + np.arange(self.degree + 1)
        pieces = np.einsum("pml,mlq->pmq", coefficients[:, functions], self.energy_polynomials)
        # Functions that begin beyond an interval add their whole integral to its energy.
        whole = np.cumsum((coefficients * self.integrals_A)[:, ::-1], axis=1)[:, ::-1]
        beyond = self.degree + 1 + np.arange(self.n_intervals - 1)
        pieces[:, :-1, 0] += whole[:, beyond]
        return np.asarray(pieces)


def pair_numbers(n_types: int) -> np.ndarray:
    """(n_types, n_types) symmetric: number of the pair of two types, in the order 0-0, 0-1, ..., 1-1, ..."""
    numbers = np.zeros((n_types, n_types), dtype=np.int64)
    rows, columns = np.triu_indices(n_types)
    numbers[rows, columns] = numbers[columns, rows] = np.arange(len(rows))
    return numbers
