"""One step of MD on a CPU: geometry from a list with a skin, environment sums to features, and back to forces.

A bead's environment sums exist only while that bead is worked on. The order of every sum is fixed, so results do not
depend on the number of threads.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from .compiled import inlined, inner, parallel
from .environment_cpu import RECORD, one_pair, sum_block, write_record
from .simd import VECTOR_BYTES, add, div, fma, like, load, mul, softplus_and_sigmoid, splat, sqrt, store
from .simd import total as total_of

#: Slices of the beads that add up forces on their own; a fixed number, for results must not depend on the threads.
N_SLICES = 16
#: Parts that the beads of a tile are dealt out in where nothing is shared between them.
_N_PARTS = 64


@inner
def _aligned(size, like_array):
    """Empty array of the dtype of another that starts where a vector does: loads across cache lines take twice."""
    spare = VECTOR_BYTES // like_array.itemsize
    array = np.empty(size + spare, dtype=like_array.dtype)
    begin = (-(array.ctypes.data // like_array.itemsize)) % spare
    return array[begin : begin + size]


@inner
def _gather_of_bead(
    bead,
    positions,
    begin,
    end,
    starts,
    ends,
    second,
    images,
    shifts,
    list_cutoff,
    cutoff,
    n_types,
    at,
    records,
    near,
    row_starts,
    row_ends,
):
    offset = at - starts[begin * n_types]
    limit = list_cutoff * list_cutoff
    for row in range(bead * n_types, (bead + 1) * n_types):
        slot = starts[row] + offset
        row_starts[row - begin * n_types] = slot
        for pair in range(starts[row], ends[row]):
            j, image = second[pair], images[pair]
            x = positions[j, 0] - positions[bead, 0] + shifts[image, 0]
            y = positions[j, 1] - positions[bead, 1] + shifts[image, 1]
            z = positions[j, 2] - positions[bead, 2] + shifts[image, 2]
            if x * x + y * y + z * z <= limit:
                write_record(records, slot, x, y, z, cutoff)
                near[slot] = j
                slot += 1
        row_ends[row - begin * n_types] = slot


@parallel
def gather(
    positions: np.ndarray,
    begin: int,
    end: int,
    starts: np.ndarray,
    ends: np.ndarray,
    second: np.ndarray,
    images: np.ndarray,
    shifts: np.ndarray,
    list_cutoff: float,
    cutoff: float,
    n_types: int,
    at: int,
    records: np.ndarray,
    near: np.ndarray,
    row_starts: np.ndarray,
    row_ends: np.ndarray,
) -> None:
    """Records of the pairs of beads ``begin`` to ``end`` within ``list_cutoff``, from a list with a skin.

    Parameters
    ----------
    positions: (n_beads, 3), A.
    starts, ends, second, images, shifts: see `neighbours.Candidates`.
    cutoff: of the network, A.
    at: where the first candidate's record goes; rows have gaps where candidates are too far.
    records, near: filled with the geometry (.., RECORD) and the neighbour's index of each pair.
    row_starts, row_ends: filled for the rows of these beads, ((end - begin) * n_types,) each.
    """
    for bead in prange(begin, end):
        _gather_of_bead(
            bead,
            positions,
            begin,
            end,
            starts,
            ends,
            second,
            images,
            shifts,
            list_cutoff,
            cutoff,
            n_types,
            at,
            records,
            near,
            row_starts,
            row_ends,
        )


@inlined
def _product(x, at, step, e, first, stride, w, w_at, w_step, count, components):
    """Add ``sum over k < count of e[c, k] * w[k]`` to one vector of features of each component c."""
    x0 = load(x, at)
    x1 = x2 = x3 = x4 = x5 = x6 = x7 = x8 = x0
    if len(components) > 1:
        x1, x2, x3 = load(x, at + step), load(x, at + 2 * step), load(x, at + 3 * step)
    if len(components) > 4:
        x4, x5, x6 = load(x, at + 4 * step), load(x, at + 5 * step), load(x, at + 6 * step)
        x7, x8 = load(x, at + 7 * step), load(x, at + 8 * step)
    for k in range(count):
        weight, p = load(w, w_at + k * w_step), first + k
        x0 = fma(splat(e[p]), weight, x0)
        if len(components) > 1:
            x1 = fma(splat(e[p + stride]), weight, x1)
            x2 = fma(splat(e[p + 2 * stride]), weight, x2)
            x3 = fma(splat(e[p + 3 * stride]), weight, x3)
        if len(components) > 4:
            x4 = fma(splat(e[p + 4 * stride]), weight, x4)
            x5 = fma(splat(e[p + 5 * stride]), weight, x5)
            x6 = fma(splat(e[p + 6 * stride]), weight, x6)
            x7 = fma(splat(e[p + 7 * stride]), weight, x7)
            x8 = fma(splat(e[p + 8 * stride]), weight, x8)
    store(x, at, x0)
    if len(components) > 1:
        store(x, at + step, x1)
        store(x, at + 2 * step, x2)
        store(x, at + 3 * step, x3)
    if len(components) > 4:
        store(x, at + 4 * step, x4)
        store(x, at + 5 * step, x5)
        store(x, at + 6 * step, x6)
        store(x, at + 7 * step, x7)
        store(x, at + 8 * step, x8)


@inner
def _features_of_part(part, records, row_starts, row_ends, a, sigma, weights, x, lanes, components):
    n_networks, n_types, n_own, n_features = weights.shape
    per_network, n_components = x.shape[1], len(components)
    shared = len(a) < n_networks
    n_s = a.shape[1]
    n_beads = len(row_starts) // n_types
    stride = n_types * n_s
    g, w, out = records.reshape(-1), weights.reshape(-1), x.reshape(-1)
    flat_a, flat_sigma = a.reshape(-1), sigma.reshape(-1)
    length = -(-n_beads // _N_PARTS)
    e = _aligned(n_components * stride, x)
    for bead in range(part * length, min((part + 1) * length, n_beads)):
        own = 0 if shared else bead // per_network
        for kind in range(n_types):
            low, high = row_starts[bead * n_types + kind], row_ends[bead * n_types + kind]
            for s in range(0, n_s, lanes):
                centre, width = load(flat_a, own * n_s + s), load(flat_sigma, own * n_s + s)
                sum_block(e, kind * n_s + s, stride, low, high, g, centre, width, components)
        for number in range(n_networks if shared else 1):
            network = number if shared else own
            at = (number * n_beads + bead if shared else bead) * n_components * n_features
            out[at : at + n_components * n_features] = 0
            for kind in range(n_types):
                first = kind * n_s + number * n_own
                source = (network * n_types + kind) * n_own * n_features
                for f in range(0, n_features, lanes):
                    _product(out, at + f, n_features, e, first, stride, w, source + f, n_features, n_own, components)


@parallel
def features(
    records: np.ndarray,
    row_starts: np.ndarray,
    row_ends: np.ndarray,
    a: np.ndarray,
    sigma: np.ndarray,
    weights: np.ndarray,
    x: np.ndarray,
    lanes: int,
    components: tuple[int, ...],
) -> None:
    """Tensor features: the environment sums of each bead times the interaction weights.

    Parameters
    ----------
    records, row_starts, row_ends: of `gather`, for all beads of a tile.
    a, sigma: (n_networks, n_sensitivities) padded to whole vectors; or (1, ..), the networks side by side, where every
        network looks at every bead.
    weights: (n_networks, n_types, n_sensitivities, n_features), the features padded to whole vectors.
    x: (n_networks, n_beads, n_components, n_features) to be filled; the beads are all of the tile where networks share
        them, else each network's own.
    lanes, components: `simd.lanes` of the dtype, `environment_cpu.COMPONENTS`.
    """
    for part in prange(_N_PARTS):
        _features_of_part(part, records, row_starts, row_ends, a, sigma, weights, x, lanes, components)


@inlined
def _product_of_block(out, source, w, at, n_in, width, lanes):
    """out[b] = source[b] @ w for the `_BLOCK` beads b; out, source: (_BLOCK * width) flat, w: rows of ``width``."""
    for f in range(0, width, lanes):
        zero = like(load(w, at + f), 0.0)
        y0 = y1 = y2 = y3 = y4 = y5 = y6 = y7 = zero
        for k in range(n_in):
            weight = load(w, at + k * width + f)
            y0 = fma(splat(source[k]), weight, y0)
            y1 = fma(splat(source[width + k]), weight, y1)
            y2 = fma(splat(source[2 * width + k]), weight, y2)
            y3 = fma(splat(source[3 * width + k]), weight, y3)
            y4 = fma(splat(source[4 * width + k]), weight, y4)
            y5 = fma(splat(source[5 * width + k]), weight, y5)
            y6 = fma(splat(source[6 * width + k]), weight, y6)
            y7 = fma(splat(source[7 * width + k]), weight, y7)
        store(out, f, y0)
        store(out, width + f, y1)
        store(out, 2 * width + f, y2)
        store(out, 3 * width + f, y3)
        store(out, 4 * width + f, y4)
        store(out, 5 * width + f, y5)
        store(out, 6 * width + f, y6)
        store(out, 7 * width + f, y7)


#: Beads that go through the layers together: as many sums as hide the latency of a fused multiply-add.
_BLOCK = 8


@inner
def _layers_of_task(
    task,
    x,
    kinds,
    n_features,
    matrices,
    transposed,
    biases,
    self_table,
    skip_table,
    scales,
    cusp,
    readout,
    energy_table,
    energies,
    lanes,
    components,
):
    n_networks, n_beads, _, width = x.shape
    n_components = len(components)
    n_matrices = matrices.shape[1]
    n_types = energy_table.shape[1]
    size = n_features * width
    flat, w, wt = x.reshape(-1), matrices.reshape(-1), transposed.reshape(-1)
    bias, own, skip = biases.reshape(-1), self_table.reshape(-1), skip_table.reshape(-1)
    scale, energy = scales.reshape(-1), readout.reshape(-1)
    n_blocks = -(-n_beads // _BLOCK)
    block_size = _BLOCK * width
    network, begin = task // n_blocks, (task % n_blocks) * _BLOCK
    count = min(_BLOCK, n_beads - begin)
    norms = np.zeros((2, block_size), dtype=x.dtype)
    slopes = np.empty((n_matrices // 2 + 1, block_size), dtype=x.dtype)
    value, inner, out = np.zeros(block_size, x.dtype), np.empty(block_size, x.dtype), np.empty(block_size, x.dtype)
    slope = slopes[0]
    for b in range(count):
        at = ((network * n_beads + begin + b) * n_components) * width
        table = (network * n_types + kinds[network, begin + b]) * width
        for f in range(0, width, lanes):
            k = at + f
            sum_ = add(load(flat, k), load(own, table + f))
            floor = like(sum_, cusp)
            if n_components > 1:
                v1, v2, v3 = load(flat, k + width), load(flat, k + 2 * width), load(flat, k + 3 * width)
                norm = sqrt(fma(v1, v1, fma(v2, v2, fma(v3, v3, floor))))
                store(norms[0], b * width + f, norm)
                sum_ = fma(norm, load(scale, network * 2 * width + f), sum_)
            if n_components > 4:
                q0, q1, q2 = load(flat, k + 4 * width), load(flat, k + 5 * width), load(flat, k + 6 * width)
                q3, q4 = load(flat, k + 7 * width), load(flat, k + 8 * width)
                square = fma(q0, q0, fma(q1, q1, fma(q2, q2, fma(q3, q3, fma(q4, q4, mul(q0, q3))))))
                norm = sqrt(fma(square, like(square, 2.0), floor))
                store(norms[1], b * width + f, norm)
                sum_ = fma(norm, load(scale, (network * 2 + 1) * width + f), sum_)
            active, rise = softplus_and_sigmoid(sum_)
            store(value, b * width + f, active)
            store(slope, b * width + f, rise)
    first = network * n_matrices
    _product_of_block(out, value, w, first * size, n_features, width, lanes)
    for b in range(count):
        table = (network * n_types + kinds[network, begin + b]) * width
        for f in range(0, width, lanes):
            shift = add(load(bias, first * width + f), load(skip, table + f))
            store(out, b * width + f, add(load(out, b * width + f), shift))
    for layer in range(n_matrices // 2):
        matrix = first + 1 + 2 * layer
        slope = slopes[layer + 1]
        _product_of_block(inner, out, w, matrix * size, n_features, width, lanes)
        for b in range(count):
            for f in range(0, width, lanes):
                active, rise = softplus_and_sigmoid(add(load(inner, b * width + f), load(bias, matrix * width + f)))
                store(value, b * width + f, active)
                store(slope, b * width + f, rise)
        _product_of_block(inner, value, w, (matrix + 1) * size, n_features, width, lanes)
        for b in range(count):
            for f in range(0, width, lanes):
                change = add(load(inner, b * width + f), load(bias, (matrix + 1) * width + f))
                store(out, b * width + f, add(load(out, b * width + f), change))
    for b in range(count):
        sum_ = like(load(out, 0), 0.0)
        for f in range(0, width, lanes):
            e = load(energy, network * width + f)
            sum_ = fma(load(out, b * width + f), e, sum_)
            store(value, b * width + f, e)
        energies[network, begin + b] = total_of(sum_) + energy_table[network, kinds[network, begin + b]]
    # Backwards: ``value`` holds the derivative with respect to what comes out of a layer.
    for layer in range(n_matrices // 2 - 1, -1, -1):
        matrix = first + 1 + 2 * layer
        slope = slopes[layer + 1]
        _product_of_block(inner, value, wt, (matrix + 1) * size, n_features, width, lanes)
        for k in range(0, count * width, lanes):
            store(inner, k, mul(load(inner, k), load(slope, k)))
        _product_of_block(out, inner, wt, matrix * size, n_features, width, lanes)
        for k in range(0, count * width, lanes):
            store(value, k, add(load(value, k), load(out, k)))
    _product_of_block(inner, value, wt, first * size, n_features, width, lanes)
    slope = slopes[0]
    for b in range(count):
        at = ((network * n_beads + begin + b) * n_components) * width
        for f in range(0, width, lanes):
            k = at + f
            d = mul(load(inner, b * width + f), load(slope, b * width + f))
            store(flat, k, d)
            if n_components > 1:
                part = div(mul(d, load(scale, network * 2 * width + f)), load(norms[0], b * width + f))
                for c in range(1, 4):
                    store(flat, k + c * width, mul(load(flat, k + c * width), part))
            if n_components > 4:
                part = div(mul(d, load(scale, (network * 2 + 1) * width + f)), load(norms[1], b * width + f))
                q0, q3 = load(flat, k + 4 * width), load(flat, k + 7 * width)
                twice = add(part, part)
                store(flat, k + 4 * width, fma(q0, twice, mul(q3, part)))
                store(flat, k + 7 * width, fma(q3, twice, mul(q0, part)))
                for c in (5, 6, 8):
                    store(flat, k + c * width, mul(load(flat, k + c * width), twice))


@parallel
def layers(
    x: np.ndarray,
    kinds: np.ndarray,
    n_features: int,
    matrices: np.ndarray,
    transposed: np.ndarray,
    biases: np.ndarray,
    self_table: np.ndarray,
    skip_table: np.ndarray,
    scales: np.ndarray,
    cusp: float,
    readout: np.ndarray,
    energy_table: np.ndarray,
    energies: np.ndarray,
    lanes: int,
    components: tuple[int, ...],
) -> None:
    """Per-bead energies from tensor features, which the energies' derivatives replace.

    The arithmetic of `dense.bead_energies`; features padded to whole vectors.

    Parameters
    ----------
    x: (n_networks, n_beads, n_components, n_features) of `features`.
    kinds: (n_networks, n_beads) bead types.
    n_features: without the padding.
    matrices, transposed: (n_networks, 1 + 2 n_layers, n_features, n_features) second matrix of the interaction, then
        both of each atom layer; and their transposes.
    biases: (n_networks, 1 + 2 n_layers, n_features)
    self_table, skip_table, scales, cusp: as of `dense.Dense`; scales (n_networks, 2, n_features).
    readout: (n_networks, n_features) weights of the energy.
    energy_table: (n_networks, n_types) energy by type, bias included, kcal/mol.
    energies: (n_networks, n_beads) to be filled, kcal/mol.
    """
    for task in prange(x.shape[0] * -(-x.shape[1] // _BLOCK)):
        _layers_of_task(
            task,
            x,
            kinds,
            n_features,
            matrices,
            transposed,
            biases,
            self_table,
            skip_table,
            scales,
            cusp,
            readout,
            energy_table,
            energies,
            lanes,
            components,
        )


@inner
def _forces_of_part(
    part,
    begin,
    end,
    offset,
    records,
    near,
    row_starts,
    row_ends,
    a,
    sigma,
    weights,
    n_own,
    dx,
    scale,
    total,
    virial,
    lanes,
    components,
):
    n_networks, n_types, n_features, n_padded = weights.shape
    per_network, n_components, width = dx.shape[1], len(components), dx.shape[3]
    shared = len(a) < n_networks
    n_s = a.shape[1]
    n_beads = len(row_starts) // n_types
    stride = n_types * n_s
    g, w, d = records.reshape(-1), weights.reshape(-1), dx.reshape(-1)
    flat_a, flat_sigma = a.reshape(-1), sigma.reshape(-1)
    length = -(-(end - begin) // N_SLICES)
    mine = total[part]
    # The last row's vectors may reach beyond it, with zeros.
    e = _aligned(n_components * stride + n_padded, dx)
    for bead in range(begin + part * length, min(begin + (part + 1) * length, end)):
        local = bead - begin + offset
        own = 0 if shared else local // per_network
        e[:] = 0
        for number in range(n_networks if shared else 1):
            network = number if shared else own
            at = (number * n_beads + local if shared else local) * n_components * width
            for kind in range(n_types):
                target = kind * n_s + number * n_own
                source = (network * n_types + kind) * n_features * n_padded
                for s in range(0, n_padded, lanes):
                    _product(e, target + s, stride, d, at, width, w, source + s, n_padded, n_features, components)
        group = own * n_s
        fx = fy = fz = 0.0
        xx = yy = zz = xy = xz = yz = 0.0
        for kind in range(n_types):
            row = local * n_types + kind
            at = kind * n_s
            for pair in range(row_starts[row], row_ends[row]):
                p = pair * RECORD
                px, py, pz = one_pair(g, p, e, at, stride, flat_a, flat_sigma, group, n_s, lanes, components)
                ux, uy, uz = np.float64(g[p]), np.float64(g[p + 1]), np.float64(g[p + 2])
                distance = 1.0 / np.float64(g[p + 8])
                gx, gy, gz = scale * np.float64(px), scale * np.float64(py), scale * np.float64(pz)
                fx += gx
                fy += gy
                fz += gz
                j = near[pair]
                mine[j, 0] -= gx
                mine[j, 1] -= gy
                mine[j, 2] -= gz
                xx -= distance * ux * gx
                yy -= distance * uy * gy
                zz -= distance * uz * gz
                xy -= distance * ux * gy
                xz -= distance * ux * gz
                yz -= distance * uy * gz
        mine[bead, 0] += fx
        mine[bead, 1] += fy
        mine[bead, 2] += fz
        virial[bead, 0] += xx
        virial[bead, 1] += yy
        virial[bead, 2] += zz
        virial[bead, 3] += xy
        virial[bead, 4] += xz
        virial[bead, 5] += yz


@parallel
def forces(
    begin: int,
    end: int,
    offset: int,
    records: np.ndarray,
    near: np.ndarray,
    row_starts: np.ndarray,
    row_ends: np.ndarray,
    a: np.ndarray,
    sigma: np.ndarray,
    weights: np.ndarray,
    n_own: int,
    dx: np.ndarray,
    scale: float,
    total: np.ndarray,
    virial: np.ndarray,
    lanes: int,
    components: tuple[int, ...],
) -> None:
    """Add forces and virial of the pairs of beads ``begin`` to ``end`` of one system.

    Parameters
    ----------
    offset: number of bead ``begin`` in its tile.
    records, near, row_starts, row_ends: of `gather`, for all beads of the tile.
    a, sigma: as of `features`.
    weights: (n_networks, n_types, n_features, n_sensitivities), the sensitivities padded with zeros to whole vectors.
    n_own: number of sensitivities of a network.
    dx: derivatives of the energy with respect to the features, of their shape; times ``scale``.
    total: (N_SLICES, n_beads, 3) forces.
    virial: (n_beads, 6) -v (x) dE/dv in the order xx, yy, zz, xy, xz, yz.
    """
    for part in prange(N_SLICES):
        _forces_of_part(
            part,
            begin,
            end,
            offset,
            records,
            near,
            row_starts,
            row_ends,
            a,
            sigma,
            weights,
            n_own,
            dx,
            scale,
            total,
            virial,
            lanes,
            components,
        )
