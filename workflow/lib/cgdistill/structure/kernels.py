"""Compiled loops of the structure analysis.

Each function has one signature and is compiled once per machine: numba keeps the machine code beside
this file, or in the user's cache folder where the installation is read-only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np

F = TypeVar("F", bound=Callable[..., Any])


def _compiled(function: F) -> F:
    """Compile without the interpreter lock, so that frames run side by side in threads."""
    try:
        return cast(F, numba.njit(cache=True, nogil=True)(function))
    except RuntimeError:  # numba finds no writable place for a cache
        return cast(F, numba.njit(nogil=True)(function))


@_compiled
def pair_histogram(
    first: np.ndarray,
    second: np.ndarray,
    distances: np.ndarray,
    types: np.ndarray,
    n_types: int,
    start: float,
    width: float,
    n_bins: int,
) -> np.ndarray:
    """Count each pair once by types (lower index first) and distance: (n_types, n_types, n_bins)."""
    counts = np.zeros((n_types, n_types, n_bins), dtype=np.int64)
    for p in range(len(distances)):
        k = int(math.floor((distances[p] - start) / width))
        if 0 <= k < n_bins:
            a, b = types[first[p]], types[second[p]]
            counts[min(a, b), max(a, b), k] += 1
    return counts


@_compiled
def angle_histogram(
    first: np.ndarray,
    second: np.ndarray,
    distances: np.ndarray,
    vectors: np.ndarray,
    types: np.ndarray,
    triplets: np.ndarray,
    r_max: np.ndarray,
    width: float,
    n_bins: int,
) -> np.ndarray:
    """Count angles neighbour-centre-neighbour: (n_triplets, n_r_max, n_bins).

    ``r_max`` ascends; an angle counts at the smallest radius that holds both neighbours. Neighbours of one
    type count as unordered pairs. Bins start at 0 and have ``width`` degrees. A neighbour that lies on the
    centre itself spans no angle and is passed over.
    """
    n_beads, n_radii, largest = len(types), len(r_max), r_max[-1]
    starts = np.zeros(n_beads + 1, dtype=np.int64)
    for p in range(len(distances)):
        if 0.0 < distances[p] < largest:
            starts[first[p] + 1] += 1
            starts[second[p] + 1] += 1
    for centre in range(n_beads):
        starts[centre + 1] += starts[centre]
    filled = np.zeros(n_beads, dtype=np.int64)
    kinds = np.empty(starts[-1], dtype=np.int64)
    shells = np.empty(starts[-1], dtype=np.int64)
    units = np.empty((starts[-1], 3))
    for p in range(len(distances)):
        if 0.0 < distances[p] < largest:
            shell = 0
            while distances[p] >= r_max[shell]:
                shell += 1
            scale = 1.0 / distances[p]
            for side in range(2):
                centre, other = (first[p], second[p]) if side == 0 else (second[p], first[p])
                sign = scale if side == 0 else -scale
                q = starts[centre] + filled[centre]
                filled[centre] += 1
                kinds[q] = types[other]
                shells[q] = shell
                for axis in range(3):
                    units[q, axis] = sign * vectors[p, axis]
    counts = np.zeros((len(triplets), n_radii, n_bins), dtype=np.int64)
    for centre in range(n_beads):
        low, high = starts[centre], starts[centre + 1]
        for t in range(len(triplets)):
            if triplets[t, 1] != types[centre]:
                continue
            left, right = triplets[t, 0], triplets[t, 2]
            for u in range(low, high):
                if kinds[u] != left:
                    continue
                for v in range(u + 1 if left == right else low, high):
                    if kinds[v] != right:
                        continue
                    cosine = 0.0
                    for axis in range(3):
                        cosine += units[u, axis] * units[v, axis]
                    theta = math.degrees(math.acos(min(1.0, max(-1.0, cosine))))
                    k = min(int(theta / width), n_bins - 1)
                    counts[t, max(shells[u], shells[v]), k] += 1
    return counts


@_compiled
def tree_lengths(
    order: np.ndarray, first: np.ndarray, second: np.ndarray, distances: np.ndarray, n_points: int
) -> np.ndarray:
    """Edge lengths, ascending, of the minimum spanning forest (Kruskal, union by path halving).

    Parameters
    ----------
    order: indices of the edges by ascending distance. Edges of length 0 count like any other.

    Returns
    -------
    (n_points - n_components,)
    """
    parents = np.arange(n_points)
    lengths = np.empty(n_points)
    found = 0
    for p in order:
        a, b = first[p], second[p]
        while parents[a] != a:
            parents[a] = parents[parents[a]]
            a = parents[a]
        while parents[b] != b:
            parents[b] = parents[parents[b]]
            b = parents[b]
        if a != b:
            parents[max(a, b)] = min(a, b)
            lengths[found] = distances[p]
            found += 1
            if found == n_points - 1:
                break
    return lengths[:found]
