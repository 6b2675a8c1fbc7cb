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
#: Cell vectors a, b, c one behind the other; numba keeps the numbers of a tuple in registers.
Cell = tuple[float, float, float, float, float, float, float, float, float]


def _compiled(function: F) -> F:
    """Compile without the interpreter lock, so that frames run side by side in threads."""
    try:
        return cast(F, numba.njit(cache=True, nogil=True)(function))
    except RuntimeError:  # numba finds no writable place for a cache
        return cast(F, numba.njit(nogil=True)(function))


@_compiled
def _cell_of(x: float, n_cells: int) -> int:
    """Grid cell of a fractional coordinate; 1.0, which rounding can give, belongs to the last."""
    return min(int(x * n_cells), n_cells - 1)


@_compiled
def sort_into_cells(fractions: np.ndarray, n_cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Beads sorted by the cell of a grid that they lie in.

    Parameters
    ----------
    fractions: (3, n) in units of the cell vectors, 0 to 1.
    n_cells: (3,) cells along each vector.

    Returns
    -------
    order: (n,) beads, those of one cell side by side; the cells along the last vector follow each other.
    starts: (n_all_cells + 1,) where each cell begins in ``order``.
    """
    n = fractions.shape[1]
    home = np.empty(n, dtype=np.int64)
    starts = np.zeros(n_cells[0] * n_cells[1] * n_cells[2] + 1, dtype=np.int64)
    for i in range(n):
        a, b = _cell_of(fractions[0, i], n_cells[0]), _cell_of(fractions[1, i], n_cells[1])
        home[i] = (a * n_cells[1] + b) * n_cells[2] + _cell_of(fractions[2, i], n_cells[2])
        starts[home[i] + 1] += 1
    for c in range(len(starts) - 1):
        starts[c + 1] += starts[c]
    filled = starts[:-1].copy()
    order = np.empty(n, dtype=np.int64)
    for i in range(n):
        order[filled[home[i]]] = i
        filled[home[i]] += 1
    return order, starts


@_compiled
def _runs(
    a0: int, b0: int, c0: int, n_cells: np.ndarray, reach: np.ndarray, starts: np.ndarray, runs: np.ndarray
) -> int:
    """Write the ranges of sorted beads in the cells around one to ``runs`` (n, 2); returns their number.

    Along each vector there is one cell, or enough of them that those within ``reach`` differ. Cells along the last
    vector lie side by side: one range, or two where it passes the end.
    """
    n = 0
    for da in range(-reach[0], reach[0] + 1):
        a = (a0 + da) % n_cells[0]
        for db in range(-reach[1], reach[1] + 1):
            row = (a * n_cells[1] + (b0 + db) % n_cells[1]) * n_cells[2]
            low, high = c0 - reach[2], c0 + reach[2]
            runs[n, 0], runs[n, 1] = starts[row + max(low, 0)], starts[row + min(high, n_cells[2] - 1) + 1]
            n += 1
            if low < 0:
                runs[n, 0], runs[n, 1] = starts[row + low + n_cells[2]], starts[row + n_cells[2]]
                n += 1
            if high >= n_cells[2]:
                runs[n, 0], runs[n, 1] = starts[row], starts[row + high - n_cells[2] + 1]
                n += 1
    return n


@_compiled
def _nearest(u: float, v: float, w: float, cell: Cell) -> tuple[float, float, float]:
    """Cartesian vector of the image nearest to fractional coordinates, if that is closer than half the cell."""
    u -= math.floor(u + 0.5)
    v -= math.floor(v + 0.5)
    w -= math.floor(w + 0.5)
    return (
        u * cell[0] + v * cell[3] + w * cell[6],
        u * cell[1] + v * cell[4] + w * cell[7],
        u * cell[2] + v * cell[5] + w * cell[8],
    )


@_compiled
def _squared_distances(
    x: float, y: float, z: float, us: np.ndarray, vs: np.ndarray, ws: np.ndarray, cell: Cell, squares: np.ndarray
) -> None:
    """Squared distances from a bead to others, all in fractional coordinates, to ``squares``."""
    for k in range(len(us)):
        dx, dy, dz = _nearest(us[k] - x, vs[k] - y, ws[k] - z, cell)
        squares[k] = dx * dx + dy * dy + dz * dz


@_compiled
def pair_histogram(
    first: np.ndarray,
    second: np.ndarray,
    starts: np.ndarray,
    n_cells: np.ndarray,
    reach: np.ndarray,
    cell: Cell,
    alike: bool,
    width: float,
    n_bins: int,
) -> np.ndarray:
    """Count pairs by the distance of their nearest images: (n_bins,), bins from 0.

    Parameters
    ----------
    first, second: (3, n) fractional coordinates, 0 to 1; ``second`` in the order of `sort_into_cells`.
    starts, n_cells, reach: grid of ``second``; cells up to ``reach`` away hold all that is to be counted.
    cell: cell vectors one behind the other; the bins end at half of the smallest width or before.
    alike: ``first`` is ``second``; each pair is then counted once.
    """
    # Rounding may put what is just within the limit behind the last bin.
    counts = np.zeros(n_bins + 1, dtype=np.int64)
    limit = (n_bins * width) ** 2
    squares, bins = np.empty(second.shape[1]), np.empty(second.shape[1], dtype=np.int64)
    runs = np.empty((3 * (2 * reach[0] + 1) * (2 * reach[1] + 1), 2), dtype=np.int64)
    for i in range(first.shape[1]):
        x, y, z = first[0, i], first[1, i], first[2, i]
        a, b, c = _cell_of(x, n_cells[0]), _cell_of(y, n_cells[1]), _cell_of(z, n_cells[2])
        for run in range(_runs(a, b, c, n_cells, reach, starts, runs)):
            low, high = runs[run, 0], runs[run, 1]
            if alike:
                low = max(low, i + 1)
            if low >= high:
                continue
            # Each loop is vectorised or free of branches.
            us, vs, ws = second[0, low:high], second[1, low:high], second[2, low:high]
            _squared_distances(x, y, z, us, vs, ws, cell, squares)
            n = 0
            for k in range(high - low):
                square = squares[k]
                squares[n] = square
                n += square < limit
            for k in range(n):
                bins[k] = int(math.sqrt(squares[k]) / width)
            for k in range(n):
                counts[bins[k]] += 1
    return counts[:n_bins]


@_compiled
def near_pairs(
    beads: np.ndarray,
    order: np.ndarray,
    starts: np.ndarray,
    n_cells: np.ndarray,
    reach: np.ndarray,
    cell: Cell,
    cutoff: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pairs whose nearest images are closer than ``cutoff``, each once.

    Parameters
    ----------
    beads: (3, n) fractional coordinates, 0 to 1, in the ``order`` of `sort_into_cells`.
    starts, n_cells, reach, cell: see `pair_histogram`.

    Returns
    -------
    first, second: (n_pairs,) indices of the beads before they were sorted.
    distances: (n_pairs,)
    vectors: (n_pairs, 3) from the first to the second.
    """
    n_beads = beads.shape[1]
    limit = cutoff * cutoff
    firsts, seconds = np.empty(16 * n_beads, dtype=np.int64), np.empty(16 * n_beads, dtype=np.int64)
    # What lies around a cell, side by side.
    around = np.empty(n_beads, dtype=np.int64)
    us, vs, ws, squares = np.empty(n_beads), np.empty(n_beads), np.empty(n_beads), np.empty(n_beads)
    runs = np.empty((3 * (2 * reach[0] + 1) * (2 * reach[1] + 1), 2), dtype=np.int64)
    found = home = 0
    for a in range(n_cells[0]):
        for b in range(n_cells[1]):
            for c in range(n_cells[2]):
                n = 0
                for run in range(_runs(a, b, c, n_cells, reach, starts, runs)):
                    # Each pair is found from the cell that comes first.
                    for j in range(max(runs[run, 0], starts[home]), runs[run, 1]):
                        around[n], us[n], vs[n], ws[n] = j, beads[0, j], beads[1, j], beads[2, j]
                        n += 1
                for i in range(starts[home], starts[home + 1]):
                    if found + n > len(firsts):
                        firsts, seconds = _longer(firsts, 2 * (found + n)), _longer(seconds, 2 * (found + n))
                    x, y, z = beads[0, i], beads[1, i], beads[2, i]
                    _squared_distances(x, y, z, us[:n], vs[:n], ws[:n], cell, squares)
                    for k in range(n):
                        firsts[found], seconds[found] = i, around[k]
                        found += (squares[k] < limit) & (around[k] > i)
                home += 1
    distances, vectors = np.empty(found), np.empty((found, 3))
    for p in range(found):
        i, j = firsts[p], seconds[p]
        u, v, w = beads[0, j] - beads[0, i], beads[1, j] - beads[1, i], beads[2, j] - beads[2, i]
        dx, dy, dz = _nearest(u, v, w, cell)
        vectors[p, 0], vectors[p, 1], vectors[p, 2] = dx, dy, dz
        distances[p] = math.sqrt(dx * dx + dy * dy + dz * dz)
        firsts[p], seconds[p] = order[i], order[j]
    return firsts[:found], seconds[:found], distances, vectors


@_compiled
def _share(counts: np.ndarray, value: float, start: float, width: float) -> None:
    """Add one to ``counts`` (n_bins,), shared linearly between the two bins whose centres are nearest to ``value``.

    Up to the first centre and from the last one on, that bin takes all.
    """
    place, last = (value - start) / width - 0.5, len(counts) - 1
    if place <= 0.0:
        counts[0] += 1.0
    elif place >= last:
        counts[last] += 1.0
    else:
        low = int(place)
        counts[low] += 1.0 - (place - low)
        counts[low + 1] += place - low


@_compiled
def shared_histogram(
    values: np.ndarray, rows: np.ndarray, n_rows: int, start: float, width: float, n_bins: int
) -> np.ndarray:
    """Histogram (n_rows, n_bins) of ``values`` by ``rows``, each shared between two bins as by `_share`."""
    counts = np.zeros((n_rows, n_bins))
    for k in range(len(values)):
        if start <= values[k] <= start + n_bins * width:
            _share(counts[rows[k]], values[k], start, width)
    return counts


@_compiled
def _longer(values: np.ndarray, size: int) -> np.ndarray:
    """``values`` at the start of an array of ``size``."""
    longer = np.empty(size, dtype=values.dtype)
    longer[: len(values)] = values
    return longer


@_compiled
def _guess_bins(edges: np.ndarray, n: int) -> np.ndarray:
    """(n + 1,) bin, between descending ``edges`` from 1 to -1, at the end of each n-th from 1 downwards."""
    guesses = np.empty(n + 1, dtype=np.int64)
    k = 0
    for g in range(n + 1):
        while k < len(edges) - 2 and edges[k + 1] >= 1.0 - 2.0 * g / n:
            k += 1
        guesses[g] = k
    return guesses


@_compiled
def angle_histogram(
    first: np.ndarray,
    second: np.ndarray,
    distances: np.ndarray,
    vectors: np.ndarray,
    types: np.ndarray,
    n_types: int,
    triplets: np.ndarray,
    r_max: np.ndarray,
    edges: np.ndarray,
    shared: bool,
) -> np.ndarray:
    """Count angles neighbour-centre-neighbour: (n_triplets, n_r_max, n_bins).

    ``r_max`` ascends; an angle counts at the smallest radius that holds both neighbours. Neighbours of one
    type count as unordered pairs. ``edges`` (n_bins + 1,) are the bins' edges, degrees, up to 180, and from 0 unless
    ``shared``; bins of one width. ``shared``: each angle is shared between two bins as by `_share`. A neighbour that
    lies on the centre itself spans no angle and is passed over.
    """
    n_beads, n_radii, largest, n_bins = len(types), len(r_max), r_max[-1], len(edges) - 1
    # Neighbours sorted by centre and type: unit vectors and shells.
    starts = np.zeros(n_beads * n_types + 1, dtype=np.int64)
    for p in range(len(distances)):
        if 0.0 < distances[p] < largest:
            starts[first[p] * n_types + types[second[p]] + 1] += 1
            starts[second[p] * n_types + types[first[p]] + 1] += 1
    most = starts.max()
    for row in range(n_beads * n_types):
        starts[row + 1] += starts[row]
    filled = starts[:-1].copy()
    shells = np.empty(starts[-1], dtype=np.int64)
    units = np.empty((3, starts[-1]))
    for p in range(len(distances)):
        if 0.0 < distances[p] < largest:
            shell = 0
            while distances[p] >= r_max[shell]:
                shell += 1
            scale = 1.0 / distances[p]
            for side in range(2):
                centre, other = (first[p], second[p]) if side == 0 else (second[p], first[p])
                sign = scale if side == 0 else -scale
                row = centre * n_types + types[other]
                q = filled[row]
                filled[row] += 1
                shells[q] = shell
                for axis in range(3):
                    units[axis, q] = sign * vectors[p, axis]
    n_guesses, start, width = 4096, edges[0], (edges[-1] - edges[0]) / n_bins
    edges = np.cos(np.radians(edges))
    guesses = _guess_bins(edges, n_guesses)
    cosines = np.empty(most)
    counts = np.zeros((len(triplets), n_radii, n_bins))
    for centre in range(n_beads):
        for t in range(len(triplets)):
            if triplets[t, 1] != types[centre]:
                continue
            left, right = centre * n_types + triplets[t, 0], centre * n_types + triplets[t, 2]
            high = starts[right + 1]
            for u in range(starts[left], starts[left + 1]):
                low = u + 1 if left == right else starts[right]
                x, y, z = units[0, u], units[1, u], units[2, u]
                xs, ys, zs = units[0, low:high], units[1, low:high], units[2, low:high]
                for k in range(len(xs)):
                    cosines[k] = x * xs[k] + y * ys[k] + z * zs[k]
                for k in range(len(xs)):
                    cosine = min(1.0, max(-1.0, cosines[k]))
                    if shared:
                        angle = math.degrees(math.acos(cosine))
                        if angle >= start:
                            _share(counts[t, max(shells[u], shells[low + k])], angle, start, width)
                        continue
                    # An arc cosine for each angle would take most of the time.
                    guess = guesses[int((1.0 - cosine) * (0.5 * n_guesses))]
                    while guess > 0 and cosine > edges[guess]:
                        guess -= 1
                    while guess < n_bins - 1 and cosine <= edges[guess + 1]:
                        guess += 1
                    counts[t, max(shells[u], shells[low + k]), guess] += 1
    return counts


@_compiled
def single_linkage(
    order: np.ndarray, first: np.ndarray, second: np.ndarray, distances: np.ndarray, n_points: int
) -> tuple[np.ndarray, np.ndarray]:
    """Merge clusters by ascending distance: the minimum spanning forest (Kruskal, union by path halving).

    Parameters
    ----------
    order: indices of the edges by ascending distance. Edges of length 0 count like any other.

    Returns
    -------
    lengths: (n_points - n_components,) of the tree's edges, ascending: the distances of the mergers.
    largest: (n_points - n_components,) points in the largest cluster behind each merger.
    """
    parents = np.arange(n_points)
    sizes = np.ones(n_points, dtype=np.int64)
    lengths = np.empty(n_points)
    largest = np.empty(n_points, dtype=np.int64)
    found = 0
    most = 1
    for p in order:
        a, b = first[p], second[p]
        while parents[a] != a:
            parents[a] = parents[parents[a]]
            a = parents[a]
        while parents[b] != b:
            parents[b] = parents[parents[b]]
            b = parents[b]
        if a != b:
            root, other = min(a, b), max(a, b)
            parents[other] = root
            sizes[root] += sizes[other]
            most = max(most, sizes[root])
            lengths[found], largest[found] = distances[p], most
            found += 1
            if found == n_points - 1:
                break
    return lengths[:found], largest[:found]
