"""Environment sums of HIP-NN-TS and their derivatives on a CPU.

For a bead i, a bead type t, a tensor component c and a sensitivity s (Chigaev et al., J. Chem. Phys. 158, 184108)::

    E[i, c, t, s] = sum over neighbours j of type t of  Y_c(u) phi_s(r)
    phi_s(r) = exp(-q^2 / 2) cos^2(pi r / (2 R)),  q = sigma_s (1/r - a_s),  a_s = 1/mu_s
    Y = 1 | ux, uy, uz | ux^2 - 1/3, ux uy, ux uz, uy^2 - 1/3, uy uz

with r the distance, u the unit vector from i to j and R the cutoff. One-hot types make these sums all that the
interaction layer needs of the pairs; nothing of the size pairs x sensitivities is stored.

Pairs stand in rows: row ``i * n_types + t`` are the pairs of bead i with beads of type t, ``starts[row]`` to
``ends[row]``.
Sensitivities run in vectors (`simd`): their number is padded (`padded`); what stands in the padding does not matter.
A group is a run of ``len(a)``-th of the beads with sensitivities of its own (one model each).
Every bead is summed by itself in a fixed order: results do not depend on the number of threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from . import simd
from .compiled import inlined, inner, parallel
from .simd import add, exp, fma, like, load, mul, splat, store, sub

#: Numbers per pair: ux, uy, uz, Y_4..Y_8, 1/r, cutoff function c, dc/dr, 2 ux, 2 uy, c/r^2.
RECORD = 14

#: One number per tensor component, by their number.
COMPONENTS = {n: tuple(range(n)) for n in (1, 4, 9)}


def padded(n_sensitivities: int, dtype: np.dtype | type) -> int:
    """Number of sensitivities that a kernel of this dtype works on: a multiple of the vector's length."""
    lanes = simd.lanes(dtype)
    return -(-n_sensitivities // lanes) * lanes


@inlined
def write_record(records: Any, at: int, x: float, y: float, z: float, cutoff: float) -> None:
    """Record of one pair with the vector (x, y, z)."""
    distance = np.sqrt(x * x + y * y + z * z)
    inverse = 1.0 / distance
    ux, uy, uz = x * inverse, y * inverse, z * inverse
    # cos^2(pi r / (2 R)) = (1 - sin(b)) / 2 with b = pi (r / R - 1/2): Taylor series to double precision.
    b = np.pi * (distance / cutoff - 0.5)
    w = b * b
    sine = 1.0 / 51090942171709440000.0
    cosine = 1.0 / 2432902008176640000.0
    sine = 1.0 / 121645100408832000.0 - w * sine
    cosine = 1.0 / 6402373705728000.0 - w * cosine
    sine = 1.0 / 355687428096000.0 - w * sine
    cosine = 1.0 / 20922789888000.0 - w * cosine
    sine = 1.0 / 1307674368000.0 - w * sine
    cosine = 1.0 / 87178291200.0 - w * cosine
    sine = 1.0 / 6227020800.0 - w * sine
    cosine = 1.0 / 479001600.0 - w * cosine
    sine = 1.0 / 39916800.0 - w * sine
    cosine = 1.0 / 3628800.0 - w * cosine
    sine = 1.0 / 362880.0 - w * sine
    cosine = 1.0 / 40320.0 - w * cosine
    sine = 1.0 / 5040.0 - w * sine
    cosine = 1.0 / 720.0 - w * cosine
    sine = 1.0 / 120.0 - w * sine
    cosine = 1.0 / 24.0 - w * cosine
    sine = 1.0 / 6.0 - w * sine
    cosine = 0.5 - w * cosine
    sine = b * (1.0 - w * sine)
    cosine = 1.0 - w * cosine
    value = 0.5 * (1.0 - sine)
    slope = -0.5 * np.pi / cutoff * cosine
    if distance > cutoff:
        value = slope = 0.0
    records[at, 0], records[at, 1], records[at, 2] = ux, uy, uz
    records[at, 3] = ux * ux - 1.0 / 3.0
    records[at, 4] = ux * uy
    records[at, 5] = ux * uz
    records[at, 6] = uy * uy - 1.0 / 3.0
    records[at, 7] = uy * uz
    records[at, 8] = inverse
    records[at, 9] = value
    records[at, 10] = slope
    records[at, 11] = 2.0 * ux
    records[at, 12] = 2.0 * uy
    records[at, 13] = value * inverse * inverse


@parallel
def make_records(vectors: np.ndarray, cutoff: float, records: np.ndarray) -> None:
    """Fill ``records`` (n_pairs, RECORD) from pair vectors (n_pairs, 3), A; pairs beyond the cutoff do not count."""
    for pair in prange(len(vectors)):
        write_record(
            records,
            pair,
            np.float64(vectors[pair, 0]),
            np.float64(vectors[pair, 1]),
            np.float64(vectors[pair, 2]),
            cutoff,
        )


@inlined
def sum_block(e, at, stride, low, high, g, a, sigma, components):
    """Sums of one row for one vector of sensitivities; n_components is a constant where this is inlined."""
    zero = like(a, 0.0)
    e0 = e1 = e2 = e3 = e4 = e5 = e6 = e7 = e8 = zero
    half = like(a, -0.5)
    for pair in range(low, high):
        p = pair * RECORD
        q = mul(sigma, sub(splat(g[p + 8]), a))
        phi = mul(splat(g[p + 9]), exp(mul(half, mul(q, q))))
        e0 = add(e0, phi)
        if len(components) > 1:
            e1 = fma(splat(g[p]), phi, e1)
            e2 = fma(splat(g[p + 1]), phi, e2)
            e3 = fma(splat(g[p + 2]), phi, e3)
        if len(components) > 4:
            e4 = fma(splat(g[p + 3]), phi, e4)
            e5 = fma(splat(g[p + 4]), phi, e5)
            e6 = fma(splat(g[p + 5]), phi, e6)
            e7 = fma(splat(g[p + 6]), phi, e7)
            e8 = fma(splat(g[p + 7]), phi, e8)
    store(e, at, e0)
    if len(components) > 1:
        store(e, at + stride, e1)
        store(e, at + 2 * stride, e2)
        store(e, at + 3 * stride, e3)
    if len(components) > 4:
        store(e, at + 4 * stride, e4)
        store(e, at + 5 * stride, e5)
        store(e, at + 6 * stride, e6)
        store(e, at + 7 * stride, e7)
        store(e, at + 8 * stride, e8)


@inner
def _environment_sums_of_bead(bead, records, starts, ends, a, sigma, sums, lanes, components):
    n_beads, _, n_types, n_sensitivities = sums.shape
    n_components = len(components)
    per_group = n_beads // len(a)
    stride = n_types * n_sensitivities
    g, flat, flat_a, flat_sigma = records.reshape(-1), sums.reshape(-1), a.reshape(-1), sigma.reshape(-1)
    group = (bead // per_group) * n_sensitivities
    for kind in range(n_types):
        low, high = starts[bead * n_types + kind], ends[bead * n_types + kind]
        at = bead * n_components * stride + kind * n_sensitivities
        for s in range(0, n_sensitivities, lanes):
            centres, widths = load(flat_a, group + s), load(flat_sigma, group + s)
            sum_block(flat, at + s, stride, low, high, g, centres, widths, components)


@parallel
def environment_sums(
    records: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
    a: np.ndarray,
    sigma: np.ndarray,
    sums: np.ndarray,
    lanes: int,
    components: tuple[int, ...],
) -> None:
    """Fill ``sums`` (n_beads, n_components, n_types, n_sensitivities).

    ``a, sigma``: (n_groups, n_sensitivities), 1/A and A. ``lanes``: `simd.lanes` of the dtype.
    ``components``: any tuple of n_components numbers (`COMPONENTS`): its length is a constant of the compiled code.
    """
    for bead in prange(len(sums)):
        _environment_sums_of_bead(bead, records, starts, ends, a, sigma, sums, lanes, components)


@inlined
def one_pair(g, p, d, at, stride, a, sigma, group, n_sensitivities, lanes, components):
    """Gradient (x, y, z) for the pair with its record at ``p``; d: derivatives of the sums, flat, its row at ``at``."""
    x = splat(g[p + 8])
    zero = like(x, 0.0)
    half = like(x, -0.5)
    radial = tx = ty = tz = zero
    for s in range(0, n_sensitivities, lanes):
        k = at + s
        width = load(sigma, group + s)
        q = mul(width, sub(x, load(a, group + s)))
        bare = exp(mul(half, mul(q, q)))
        slope = mul(bare, fma(splat(g[p + 13]), mul(width, q), splat(g[p + 10])))
        along = load(d, k)
        if len(components) > 1:
            phi = mul(bare, splat(g[p + 9]))
            vx, vy, vz = load(d, k + stride), load(d, k + 2 * stride), load(d, k + 3 * stride)
            along = fma(splat(g[p]), vx, along)
            along = fma(splat(g[p + 1]), vy, along)
            along = fma(splat(g[p + 2]), vz, along)
            if len(components) > 4:
                xx, xy, xz = load(d, k + 4 * stride), load(d, k + 5 * stride), load(d, k + 6 * stride)
                yy, yz = load(d, k + 7 * stride), load(d, k + 8 * stride)
                along = fma(splat(g[p + 3]), xx, along)
                along = fma(splat(g[p + 4]), xy, along)
                along = fma(splat(g[p + 5]), xz, along)
                along = fma(splat(g[p + 6]), yy, along)
                along = fma(splat(g[p + 7]), yz, along)
                ux, uy, uz = splat(g[p]), splat(g[p + 1]), splat(g[p + 2])
                vx = fma(splat(g[p + 11]), xx, fma(uy, xy, fma(uz, xz, vx)))
                vy = fma(splat(g[p + 12]), yy, fma(ux, xy, fma(uz, yz, vy)))
                vz = fma(ux, xz, fma(uy, yz, vz))
            tx = fma(vx, phi, tx)
            ty = fma(vy, phi, ty)
            tz = fma(vz, phi, tz)
        radial = fma(along, slope, radial)
    r = simd.total(radial)
    fx = fy = fz = g[p] * 0
    if len(components) > 1:
        # The angular part is orthogonal to u: its component along u joins the radial one with a minus sign.
        inverse = g[p + 8]
        fx, fy, fz = inverse * simd.total(tx), inverse * simd.total(ty), inverse * simd.total(tz)
        r -= fx * g[p] + fy * g[p + 1] + fz * g[p + 2]
    return r * g[p] + fx, r * g[p + 1] + fy, r * g[p + 2] + fz


@inlined
def _pair_row(out, low, high, g, d, at, stride, a, sigma, group, n_sensitivities, lanes, components):
    """Gradients of one row's pairs."""
    for pair in range(low, high):
        out[pair, 0], out[pair, 1], out[pair, 2] = one_pair(
            g, pair * RECORD, d, at, stride, a, sigma, group, n_sensitivities, lanes, components
        )


@inner
def _pair_gradient_of_bead(bead, records, starts, ends, a, sigma, derivatives, gradient, lanes, components):
    n_beads, _, n_types, n_sensitivities = derivatives.shape
    n_components = len(components)
    per_group = n_beads // len(a)
    stride = n_types * n_sensitivities
    g, d, flat_a, flat_sigma = records.reshape(-1), derivatives.reshape(-1), a.reshape(-1), sigma.reshape(-1)
    group = (bead // per_group) * n_sensitivities
    for kind in range(n_types):
        low, high = starts[bead * n_types + kind], ends[bead * n_types + kind]
        at = bead * n_components * stride + kind * n_sensitivities
        _pair_row(gradient, low, high, g, d, at, stride, flat_a, flat_sigma, group, n_sensitivities, lanes, components)


@parallel
def pair_gradient(
    records: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
    a: np.ndarray,
    sigma: np.ndarray,
    derivatives: np.ndarray,
    gradient: np.ndarray,
    lanes: int,
    components: tuple[int, ...],
) -> None:
    """Fill ``gradient`` (n_pairs, 3): derivative of sum(derivatives * E) with respect to each pair's vector."""
    for bead in prange(len(derivatives)):
        _pair_gradient_of_bead(bead, records, starts, ends, a, sigma, derivatives, gradient, lanes, components)


@inlined
def _turn_records(turns, at, g, p, gx, gy, gz):
    """Change of the components along the pair vector's change (gx, gy, gz): radial part, then dY_1..dY_8."""
    ux, uy, uz, inverse = g[p], g[p + 1], g[p + 2], g[p + 8]
    radial = gx * ux + gy * uy + gz * uz
    x, y, z = (gx - radial * ux) * inverse, (gy - radial * uy) * inverse, (gz - radial * uz) * inverse
    turns[at], turns[at + 1], turns[at + 2], turns[at + 3] = radial, x, y, z
    turns[at + 4] = 2 * ux * x
    turns[at + 5] = ux * y + uy * x
    turns[at + 6] = ux * z + uz * x
    turns[at + 7] = 2 * uy * y
    turns[at + 8] = uy * z + uz * y


#: Numbers per pair of `_turn_records`.
_TURN = 9


@inlined
def _backward_block(
    out, da, dsigma, sums_at, grad_at, stride, low, high, g, turns, first_turn, d, a, sigma, components
):
    """Row of `pair_gradient_backward` for one vector of sensitivities."""
    zero = like(a, 0.0)
    half, two = like(a, -0.5), like(a, 2.0)
    e0 = e1 = e2 = e3 = e4 = e5 = e6 = e7 = e8 = zero
    d0 = load(d, sums_at)
    d1 = d2 = d3 = d4 = d5 = d6 = d7 = d8 = zero
    if len(components) > 1:
        d1, d2, d3 = load(d, sums_at + stride), load(d, sums_at + 2 * stride), load(d, sums_at + 3 * stride)
    if len(components) > 4:
        d4, d5, d6 = load(d, sums_at + 4 * stride), load(d, sums_at + 5 * stride), load(d, sums_at + 6 * stride)
        d7, d8 = load(d, sums_at + 7 * stride), load(d, sums_at + 8 * stride)
    by_a, by_sigma = load(da, grad_at), load(dsigma, grad_at)
    for pair in range(low, high):
        p, k = pair * RECORD, (pair - first_turn) * _TURN
        x = splat(g[p + 8])
        away = sub(x, a)
        q = mul(sigma, away)
        bare = exp(mul(half, mul(q, q)))
        cutoff = splat(g[p + 9])
        spread = mul(splat(g[p + 13]), mul(sigma, q))
        slope = add(splat(g[p + 10]), spread)
        radial = splat(turns[k])
        phi = mul(bare, cutoff)
        moved = mul(mul(bare, slope), radial)
        e0 = add(e0, moved)
        along, across = d0, zero
        if len(components) > 1:
            e1 = fma(splat(g[p]), moved, fma(splat(turns[k + 1]), phi, e1))
            e2 = fma(splat(g[p + 1]), moved, fma(splat(turns[k + 2]), phi, e2))
            e3 = fma(splat(g[p + 2]), moved, fma(splat(turns[k + 3]), phi, e3))
            along = fma(splat(g[p]), d1, fma(splat(g[p + 1]), d2, fma(splat(g[p + 2]), d3, along)))
            across = fma(splat(turns[k + 1]), d1, fma(splat(turns[k + 2]), d2, mul(splat(turns[k + 3]), d3)))
        if len(components) > 4:
            e4 = fma(splat(g[p + 3]), moved, fma(splat(turns[k + 4]), phi, e4))
            e5 = fma(splat(g[p + 4]), moved, fma(splat(turns[k + 5]), phi, e5))
            e6 = fma(splat(g[p + 5]), moved, fma(splat(turns[k + 6]), phi, e6))
            e7 = fma(splat(g[p + 6]), moved, fma(splat(turns[k + 7]), phi, e7))
            e8 = fma(splat(g[p + 7]), moved, fma(splat(turns[k + 8]), phi, e8))
            along = fma(splat(g[p + 3]), d4, fma(splat(g[p + 4]), d5, fma(splat(g[p + 5]), d6, along)))
            along = fma(splat(g[p + 6]), d7, fma(splat(g[p + 7]), d8, along))
            across = fma(splat(turns[k + 4]), d4, fma(splat(turns[k + 5]), d5, fma(splat(turns[k + 6]), d6, across)))
            across = fma(splat(turns[k + 7]), d7, fma(splat(turns[k + 8]), d8, across))
        along = mul(along, mul(bare, radial))
        across = mul(across, phi)
        # d2 phi / dr da = e [sigma q slope - c sigma^2 x^2], d2 phi / dr dsigma = e [2 c x^2 q - q (x - a) slope]
        weight = splat(g[p + 13])
        steep = mul(q, slope)
        by_a = fma(along, mul(sigma, sub(steep, mul(weight, sigma))), by_a)
        by_a = fma(across, mul(sigma, q), by_a)
        by_sigma = fma(along, sub(mul(two, mul(weight, q)), mul(away, steep)), by_sigma)
        by_sigma = sub(by_sigma, mul(across, mul(q, away)))
    store(da, grad_at, by_a)
    store(dsigma, grad_at, by_sigma)
    store(out, sums_at, e0)
    if len(components) > 1:
        store(out, sums_at + stride, e1)
        store(out, sums_at + 2 * stride, e2)
        store(out, sums_at + 3 * stride, e3)
    if len(components) > 4:
        store(out, sums_at + 4 * stride, e4)
        store(out, sums_at + 5 * stride, e5)
        store(out, sums_at + 6 * stride, e6)
        store(out, sums_at + 7 * stride, e7)
        store(out, sums_at + 8 * stride, e8)


@inner
def _pair_gradient_backward_of_bead(
    bead, records, starts, ends, a, sigma, derivatives, change, out, da, dsigma, lanes, components
):
    n_beads, _, n_types, n_sensitivities = derivatives.shape
    n_components = len(components)
    per_group = n_beads // len(a)
    stride = n_types * n_sensitivities
    g, d, result = records.reshape(-1), derivatives.reshape(-1), out.reshape(-1)
    flat_a, flat_sigma, flat_da, flat_dsigma = a.reshape(-1), sigma.reshape(-1), da.reshape(-1), dsigma.reshape(-1)
    da[bead] = 0.0
    dsigma[bead] = 0.0
    group, mine = (bead // per_group) * n_sensitivities, bead * n_sensitivities
    for kind in range(n_types):
        low, high = starts[bead * n_types + kind], ends[bead * n_types + kind]
        at = bead * n_components * stride + kind * n_sensitivities
        turns = np.empty((high - low) * _TURN, dtype=records.dtype)
        for pair in range(low, high):
            x, y, z = change[pair, 0], change[pair, 1], change[pair, 2]
            _turn_records(turns, (pair - low) * _TURN, g, pair * RECORD, x, y, z)
        for s in range(0, n_sensitivities, lanes):
            b, w = load(flat_a, group + s), load(flat_sigma, group + s)
            _backward_block(
                result,
                flat_da,
                flat_dsigma,
                at + s,
                mine + s,
                stride,
                low,
                high,
                g,
                turns,
                low,
                d,
                b,
                w,
                components,
            )


@parallel
def pair_gradient_backward(
    records: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
    a: np.ndarray,
    sigma: np.ndarray,
    derivatives: np.ndarray,
    change: np.ndarray,
    out: np.ndarray,
    da: np.ndarray,
    dsigma: np.ndarray,
    lanes: int,
    components: tuple[int, ...],
) -> None:
    """Derivatives of ``sum(change * pair_gradient)``, with ``change`` (n_pairs, 3).

    Fills ``out``, with respect to ``derivatives`` and of its shape, and per bead (n_beads, n_sensitivities) ``da`` and
    ``dsigma``, with respect to a and sigma.
    """
    for bead in prange(len(derivatives)):
        _pair_gradient_backward_of_bead(
            bead, records, starts, ends, a, sigma, derivatives, change, out, da, dsigma, lanes, components
        )


@inlined
def _parameter_block(da, dsigma, grad_at, at, stride, low, high, g, d, a, sigma, components):
    """Row of `environment_sums_backward` for one vector of sensitivities."""
    half = like(a, -0.5)
    d0 = load(d, at)
    d1 = d2 = d3 = d4 = d5 = d6 = d7 = d8 = d0
    if len(components) > 1:
        d1, d2, d3 = load(d, at + stride), load(d, at + 2 * stride), load(d, at + 3 * stride)
    if len(components) > 4:
        d4, d5, d6 = load(d, at + 4 * stride), load(d, at + 5 * stride), load(d, at + 6 * stride)
        d7, d8 = load(d, at + 7 * stride), load(d, at + 8 * stride)
    by_a, by_sigma = load(da, grad_at), load(dsigma, grad_at)
    for pair in range(low, high):
        p = pair * RECORD
        away = sub(splat(g[p + 8]), a)
        q = mul(sigma, away)
        phi = mul(splat(g[p + 9]), exp(mul(half, mul(q, q))))
        along = d0
        if len(components) > 1:
            along = fma(splat(g[p]), d1, fma(splat(g[p + 1]), d2, fma(splat(g[p + 2]), d3, along)))
        if len(components) > 4:
            along = fma(splat(g[p + 3]), d4, fma(splat(g[p + 4]), d5, fma(splat(g[p + 5]), d6, along)))
            along = fma(splat(g[p + 6]), d7, fma(splat(g[p + 7]), d8, along))
        along = mul(mul(along, phi), q)
        by_a = fma(along, sigma, by_a)
        by_sigma = sub(by_sigma, mul(along, away))
    store(da, grad_at, by_a)
    store(dsigma, grad_at, by_sigma)


@inner
def _environment_sums_backward_of_bead(
    bead, records, starts, ends, a, sigma, derivatives, da, dsigma, lanes, components
):
    n_beads, _, n_types, n_sensitivities = derivatives.shape
    n_components = len(components)
    per_group = n_beads // len(a)
    stride = n_types * n_sensitivities
    g, d = records.reshape(-1), derivatives.reshape(-1)
    flat_a, flat_sigma, flat_da, flat_dsigma = a.reshape(-1), sigma.reshape(-1), da.reshape(-1), dsigma.reshape(-1)
    da[bead] = 0.0
    dsigma[bead] = 0.0
    group, mine = (bead // per_group) * n_sensitivities, bead * n_sensitivities
    for kind in range(n_types):
        low, high = starts[bead * n_types + kind], ends[bead * n_types + kind]
        at = bead * n_components * stride + kind * n_sensitivities
        for s in range(0, n_sensitivities, lanes):
            b, w = load(flat_a, group + s), load(flat_sigma, group + s)
            _parameter_block(flat_da, flat_dsigma, mine + s, at + s, stride, low, high, g, d, b, w, components)


@parallel
def environment_sums_backward(
    records: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
    a: np.ndarray,
    sigma: np.ndarray,
    derivatives: np.ndarray,
    da: np.ndarray,
    dsigma: np.ndarray,
    lanes: int,
    components: tuple[int, ...],
) -> None:
    """Fill ``da, dsigma`` (n_beads, n_sensitivities): derivatives of sum(derivatives * E) per bead."""
    for bead in prange(len(derivatives)):
        _environment_sums_backward_of_bead(
            bead, records, starts, ends, a, sigma, derivatives, da, dsigma, lanes, components
        )
