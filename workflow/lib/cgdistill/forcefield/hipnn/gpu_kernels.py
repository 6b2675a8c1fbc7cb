"""Triton kernels of `environment_gpu` and `geometry_gpu`; imports triton, so those modules load it only when needed.

Sizes that are ``tl.constexpr`` are compiled in: addresses within a row then cost nothing. Sizes that change from call
to call are not, nor are kernels specialised on them.
All kernels but `make_records` run with one warp per program: no sum crosses warps, no barrier is needed.

Compiled for sm_90 in single precision, with 20 sensitivities in 32 lanes and 9 components, the inner loops take 25
instructions per pair (`environment_sums`), 44 per 32 pairs and sensitivity (`pair_gradient`) and 100 per pair
(`pair_gradient_backward`), in 49 to 64 registers: half of the warps that fit on a processor, the limit of one-warp
programs.
"""
# mypy: ignore-errors
# The functions below are triton's language, which mypy cannot follow.

from __future__ import annotations

import triton
import triton.language as tl

#: -1 / (2 ln 2): exp(-q^2 / 2) = 2^(q^2 * HALF_LOG2E), the GPU's own exponential being to base 2.
HALF_LOG2E = tl.constexpr(-0.72134752044448170368)
THIRD = tl.constexpr(1.0 / 3.0)
PI = tl.constexpr(3.14159265358979323846)
#: Numbers per pair: ux, uy, uz, 1/r, cutoff function c, dc/dr, c/r^2, and one unused.
#: 32 bytes in single precision, one sector of memory. Products of u are formed where they are used: that costs less
#: than reading them.
RECORD = tl.constexpr(8)
#: An image (a, b, c) of the cell is one number: a + 128 in bits 16 to 23, b + 128 in 8 to 15, c + 128 in 0 to 7.
IMAGE_BIAS = tl.constexpr(128)


@triton.jit
def _write_record(at, x, y, z, live, CUTOFF: tl.constexpr):
    """Record of the vectors (x, y, z), where ``live``."""
    distance = tl.sqrt(x * x + y * y + z * z)
    inverse = 1.0 / distance
    angle = distance * (PI / CUTOFF)
    near = distance <= CUTOFF
    value = tl.where(near, 0.5 + 0.5 * tl.cos(angle), 0.0)
    tl.store(at, x * inverse, mask=live)
    tl.store(at + 1, y * inverse, mask=live)
    tl.store(at + 2, z * inverse, mask=live)
    tl.store(at + 3, inverse, mask=live)
    tl.store(at + 4, value, mask=live)
    tl.store(at + 5, tl.where(near, tl.sin(angle) * (-0.5 * PI / CUTOFF), 0.0), mask=live)
    tl.store(at + 6, value * inverse * inverse, mask=live)


@triton.jit(do_not_specialize=["n_pairs"])
def make_records(vectors, records, n_pairs, CUTOFF: tl.constexpr, BLOCK: tl.constexpr):
    """One lane per pair."""
    pair = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    live = pair < n_pairs
    x = tl.load(vectors + pair * 3, mask=live, other=1.0)
    y = tl.load(vectors + pair * 3 + 1, mask=live, other=1.0)
    z = tl.load(vectors + pair * 3 + 2, mask=live, other=1.0)
    _write_record(records + pair * RECORD, x, y, z, live, CUTOFF)


@triton.jit
def _load_components(at, live, STEP: tl.constexpr, C: tl.constexpr):
    """Coefficients (C of nine) of the tensor components, the trace's part taken to the first one.

    With it ``sum_c Y_c g_c`` is a polynomial in u (`_polynomial`), the 1/3 in Y_4 and Y_7 being accounted for.
    """
    g0 = tl.load(at, mask=live, other=0.0)
    g1 = g0
    g2 = g0
    g3 = g0
    g4 = g0
    g5 = g0
    g6 = g0
    g7 = g0
    g8 = g0
    if C > 1:
        g1 = tl.load(at + STEP, mask=live, other=0.0)
        g2 = tl.load(at + 2 * STEP, mask=live, other=0.0)
        g3 = tl.load(at + 3 * STEP, mask=live, other=0.0)
    if C > 4:
        g4 = tl.load(at + 4 * STEP, mask=live, other=0.0)
        g5 = tl.load(at + 5 * STEP, mask=live, other=0.0)
        g6 = tl.load(at + 6 * STEP, mask=live, other=0.0)
        g7 = tl.load(at + 7 * STEP, mask=live, other=0.0)
        g8 = tl.load(at + 8 * STEP, mask=live, other=0.0)
        g0 -= (g4 + g7) * THIRD
    return g0, g1, g2, g3, g4, g5, g6, g7, g8


@triton.jit
def _store_components(at, live, e0, e1, e2, e3, e4, e5, e6, e7, e8, STEP: tl.constexpr, C: tl.constexpr):
    """Store sums of 1, u and products of u as sums of the tensor components."""
    tl.store(at, e0, mask=live)
    if C > 1:
        tl.store(at + STEP, e1, mask=live)
        tl.store(at + 2 * STEP, e2, mask=live)
        tl.store(at + 3 * STEP, e3, mask=live)
    if C > 4:
        trace = e0 * THIRD
        tl.store(at + 4 * STEP, e4 - trace, mask=live)
        tl.store(at + 5 * STEP, e5, mask=live)
        tl.store(at + 6 * STEP, e6, mask=live)
        tl.store(at + 7 * STEP, e7 - trace, mask=live)
        tl.store(at + 8 * STEP, e8, mask=live)


@triton.jit
def _polynomial(ux, uy, uz, g0, g1, g2, g3, g4, g5, g6, g7, g8, C: tl.constexpr):
    """``sum_c Y_c g_c`` by Horner's scheme: eight multiplications."""
    total = g0
    if C == 4:
        total += ux * g1
        total += uy * g2
    if C > 4:
        total += ux * (g1 + ux * g4 + uy * g5 + uz * g6)
        total += uy * (g2 + uy * g7 + uz * g8)
    if C > 1:
        total += uz * g3
    return total


# In the three kernels below the lanes are sensitivities: the sums over a row's pairs stay within a lane, in registers.
# What belongs to a pair is the same for all lanes: one transaction per load, and loads of the following pairs are under
# way while a pair is worked on.


@triton.jit(do_not_specialize=["n_rows", "rows_per_group"])
def environment_sums(
    records, starts, ends, a, sigma, sums, n_rows, rows_per_group,
    T: tl.constexpr, S: tl.constexpr, C: tl.constexpr, S_PAD: tl.constexpr,
):  # fmt: skip
    """One program per row of one copy."""
    row = tl.program_id(0)
    s = tl.arange(0, S_PAD)
    live = s < S
    group = (row // rows_per_group) * S
    centre = tl.load(a + group + s, mask=live, other=0.0)
    width = tl.load(sigma + group + s, mask=live, other=0.0)
    factor = width * width * HALF_LOG2E
    low = tl.load(starts + row % n_rows)
    n = (tl.load(ends + row % n_rows) - low).to(tl.int32)
    first = records + low * RECORD
    e0 = centre * 0.0
    e1 = e0
    e2 = e0
    e3 = e0
    e4 = e0
    e5 = e0
    e6 = e0
    e7 = e0
    e8 = e0
    for pair in range(0, n):
        at = first + pair * RECORD
        d = tl.load(at + 3) - centre
        phi = tl.exp2(d * d * factor) * tl.load(at + 4)
        e0 += phi
        if C > 1:
            ux = tl.load(at)
            uy = tl.load(at + 1)
            uz = tl.load(at + 2)
            px = phi * ux
            py = phi * uy
            pz = phi * uz
            e1 += px
            e2 += py
            e3 += pz
            if C > 4:
                e4 += px * ux
                e5 += px * uy
                e6 += px * uz
                e7 += py * uy
                e8 += py * uz
    out = sums + (row // T).to(tl.int64) * (C * T * S) + (row % T) * S + s
    _store_components(out, live, e0, e1, e2, e3, e4, e5, e6, e7, e8, T * S, C)


@triton.jit(do_not_specialize=["rows_per_group", "rows_per_program", "programs_per_group"])
def environment_sums_backward(
    records, starts, ends, a, sigma, h, partial, rows_per_group, rows_per_program, programs_per_group,
    T: tl.constexpr, S: tl.constexpr, C: tl.constexpr, S_PAD: tl.constexpr,
):  # fmt: skip
    """One program per run of rows of one group; partial: (programs, 2, S)."""
    program = tl.program_id(0).to(tl.int64)
    group = program // programs_per_group
    s = tl.arange(0, S_PAD)
    live = s < S
    centre = tl.load(a + group * S + s, mask=live, other=0.0)
    width = tl.load(sigma + group * S + s, mask=live, other=0.0)
    factor = width * width * HALF_LOG2E
    da = centre * 0.0
    dsigma = da
    begin = group * rows_per_group + (program % programs_per_group) * rows_per_program
    end = tl.minimum(begin + rows_per_program, (group + 1) * rows_per_group)
    for row in range(begin, end):
        at = h + (row // T) * (C * T * S) + (row % T) * S + s
        g0, g1, g2, g3, g4, g5, g6, g7, g8 = _load_components(at, live, T * S, C)
        low = tl.load(starts + row)
        n = (tl.load(ends + row) - low).to(tl.int32)
        first = records + low * RECORD
        for pair in range(0, n):
            r = first + pair * RECORD
            d = tl.load(r + 3) - centre
            phi = tl.exp2(d * d * factor) * tl.load(r + 4)
            y = _polynomial(tl.load(r), tl.load(r + 1), tl.load(r + 2), g0, g1, g2, g3, g4, g5, g6, g7, g8, C)
            slope = y * phi * d
            da += slope
            dsigma -= slope * d
    out = partial + program * (2 * S) + s
    tl.store(out, da * width * width, mask=live)
    tl.store(out + S, dsigma * width, mask=live)


@triton.jit(do_not_specialize=["rows_per_group", "rows_per_program", "programs_per_group"])
def pair_gradient_backward(
    records, starts, ends, a, sigma, g, gamma, out, partial, rows_per_group, rows_per_program, programs_per_group,
    T: tl.constexpr, S: tl.constexpr, C: tl.constexpr, S_PAD: tl.constexpr,
):  # fmt: skip
    """One program per run of rows of one group; partial: (programs, 2, S).

    With along = gamma.u and across = (gamma - along u) / r the sum is that of
    ``along T_s dphi_s/dr + across.V_s phi_s`` over pairs and sensitivities.
    """
    program = tl.program_id(0).to(tl.int64)
    group = program // programs_per_group
    s = tl.arange(0, S_PAD)
    live = s < S
    centre = tl.load(a + group * S + s, mask=live, other=0.0)
    width = tl.load(sigma + group * S + s, mask=live, other=0.0)
    square = width * width
    factor = square * HALF_LOG2E
    da = centre * 0.0
    dsigma = da
    begin = group * rows_per_group + (program % programs_per_group) * rows_per_program
    end = tl.minimum(begin + rows_per_program, (group + 1) * rows_per_group)
    for row in range(begin, end):
        place = (row // T) * (C * T * S) + (row % T) * S + s
        g0, g1, g2, g3, g4, g5, g6, g7, g8 = _load_components(g + place, live, T * S, C)
        low = tl.load(starts + row)
        n = (tl.load(ends + row) - low).to(tl.int32)
        first = records + low * RECORD
        first_gamma = gamma + low * 3
        d0 = centre * 0.0
        d1 = d0
        d2 = d0
        d3 = d0
        d4 = d0
        d5 = d0
        d6 = d0
        d7 = d0
        d8 = d0
        for pair in range(0, n):
            r = first + pair * RECORD
            ux = tl.load(r)
            uy = tl.load(r + 1)
            uz = tl.load(r + 2)
            x = tl.load(r + 3)
            gx = tl.load(first_gamma + pair * 3)
            gy = tl.load(first_gamma + pair * 3 + 1)
            gz = tl.load(first_gamma + pair * 3 + 2)
            along = gx * ux + gy * uy + gz * uz
            d = x - centre
            bare = tl.exp2(d * d * factor)
            rest = bare * tl.load(r + 6)
            # Slope of phi by r, times along: what the sums' derivatives are multiplied by.
            turn = along * (bare * tl.load(r + 5) + rest * (square * d))
            y = _polynomial(ux, uy, uz, g0, g1, g2, g3, g4, g5, g6, g7, g8, C)
            both = y * turn
            d0 += turn
            if C > 1:
                phi = bare * tl.load(r + 4)
                ax = (gx - along * ux) * x
                ay = (gy - along * uy) * x
                az = (gz - along * uz) * x
                fx = ax * phi
                fy = ay * phi
                fz = az * phi
                mx = turn * ux + fx
                my = turn * uy + fy
                mz = turn * uz + fz
                d1 += mx
                d2 += my
                d3 += mz
                vx = g1
                vy = g2
                vz = g3
                if C > 4:
                    vx += ux * (g4 + g4) + uy * g5 + uz * g6
                    vy += ux * g5 + uy * (g7 + g7) + uz * g8
                    vz += ux * g6 + uy * g8
                    d4 += ux * (mx + fx)
                    d5 += ux * my + uy * fx
                    d6 += ux * mz + uz * fx
                    d7 += uy * (my + fy)
                    d8 += uy * mz + uz * fy
                both += vx * fx + vy * fy + vz * fz
            part = along * y * rest
            da += d * both - part
            dsigma += d * (part + part - d * both)
        _store_components(out + place, live, d0, d1, d2, d3, d4, d5, d6, d7, d8, T * S, C)
    end_partial = partial + program * (2 * S) + s
    tl.store(end_partial, da * square, mask=live)
    tl.store(end_partial + S, dsigma * width, mask=live)


@triton.jit(do_not_specialize=["n_rows", "rows_per_group", "n_copies"])
def pair_gradient(
    records, starts, ends, a, sigma, g, gradient, n_rows, rows_per_group, n_copies,
    T: tl.constexpr, S: tl.constexpr, C: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One program per row. The lanes are pairs: each sums over sensitivities by itself, coefficients are the row's."""
    row = tl.program_id(0)
    low = tl.load(starts + row)
    n = (tl.load(ends + row) - low).to(tl.int32)
    STEP: tl.constexpr = T * S
    for first in range(0, n, BLOCK):
        pair = first + tl.arange(0, BLOCK)
        live = pair < n
        r = records + low * RECORD + pair * RECORD
        ux = tl.load(r, mask=live, other=0.0)
        uy = tl.load(r + 1, mask=live, other=0.0)
        uz = tl.load(r + 2, mask=live, other=0.0)
        x = tl.load(r + 3, mask=live, other=0.0)
        c = tl.load(r + 4, mask=live, other=0.0)
        dc = tl.load(r + 5, mask=live, other=0.0)
        cxx = tl.load(r + 6, mask=live, other=0.0)
        radial = x * 0.0
        tx = radial
        ty = radial
        tz = radial
        for copy in range(0, n_copies):
            copied = (copy * n_rows + row).to(tl.int64)
            group = (copied // rows_per_group) * S
            at = g + (copied // T) * (C * T * S) + (copied % T) * S
            for s in range(0, S):
                width = tl.load(sigma + group + s)
                square = width * width
                d = x - tl.load(a + group + s)
                bare = tl.exp2(d * d * (square * HALF_LOG2E))
                slope = bare * (dc + cxx * (square * d))
                along = tl.load(at + s)
                if C > 1:
                    phi = bare * c
                    vx = tl.load(at + s + STEP)
                    vy = tl.load(at + s + 2 * STEP)
                    vz = tl.load(at + s + 3 * STEP)
                    if C > 4:
                        xx = tl.load(at + s + 4 * STEP)
                        xy = tl.load(at + s + 5 * STEP)
                        xz = tl.load(at + s + 6 * STEP)
                        yy = tl.load(at + s + 7 * STEP)
                        yz = tl.load(at + s + 8 * STEP)
                        along -= (xx + yy) * THIRD
                        # Horner's scheme again; its parts go on into the derivatives by u.
                        hx = vx + ux * xx + uy * xy + uz * xz
                        hy = vy + uy * yy + uz * yz
                        along += ux * hx + uy * hy + uz * vz
                        vx = hx + ux * xx
                        vy = hy + uy * yy + ux * xy
                        vz += ux * xz + uy * yz
                    else:
                        along += ux * vx + uy * vy + uz * vz
                    tx += vx * phi
                    ty += vy * phi
                    tz += vz * phi
                radial += along * slope
        if C > 1:
            # The part across u: that along u is taken off again.
            radial -= x * (ux * tx + uy * ty + uz * tz)
        out = gradient + low * 3 + pair * 3
        tl.store(out, radial * ux + x * tx, mask=live)
        tl.store(out + 1, radial * uy + x * ty, mask=live)
        tl.store(out + 2, radial * uz + x * tz, mask=live)


@triton.jit(do_not_specialize=["beads_per_system"])
def gather(
    positions, cells, starts, ends, second, images, records, near_ends, slots, sources, beads_per_system,
    T: tl.constexpr, LIST_CUTOFF: tl.constexpr, CUTOFF: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One program per row: records of the candidates within LIST_CUTOFF, moved together at the row's start.

    The order within a row stays; so the sums over it depend on the positions alone, not on when the list was built.
    slots: place of each candidate's record, -1 where it is too far; sources: the candidate of each place.
    """
    row = tl.program_id(0)
    bead = row // T
    system = bead // beads_per_system
    low = tl.load(starts + row)
    n = (tl.load(ends + row) - low).to(tl.int32)
    x0 = tl.load(positions + bead * 3)
    y0 = tl.load(positions + bead * 3 + 1)
    z0 = tl.load(positions + bead * 3 + 2)
    cell = cells + system * 9
    found = 0
    for first in range(0, n, BLOCK):
        k = first + tl.arange(0, BLOCK)
        live = k < n
        j = tl.load(second + low + k, mask=live, other=0)
        code = tl.load(images + low + k, mask=live, other=0)
        na = ((code >> 16) - IMAGE_BIAS).to(tl.float64)
        nb = (((code >> 8) & 255) - IMAGE_BIAS).to(tl.float64)
        nc = ((code & 255) - IMAGE_BIAS).to(tl.float64)
        x = tl.load(positions + j * 3, mask=live, other=0.0) - x0
        y = tl.load(positions + j * 3 + 1, mask=live, other=0.0) - y0
        z = tl.load(positions + j * 3 + 2, mask=live, other=0.0) - z0
        x += na * tl.load(cell) + nb * tl.load(cell + 3) + nc * tl.load(cell + 6)
        y += na * tl.load(cell + 1) + nb * tl.load(cell + 4) + nc * tl.load(cell + 7)
        z += na * tl.load(cell + 2) + nb * tl.load(cell + 5) + nc * tl.load(cell + 8)
        squared = x * x + y * y + z * z
        # Written so that a position that is not a number stays in, and shows in the forces.
        near = live & ~(squared > LIST_CUTOFF * LIST_CUTOFF)
        place = low + found + tl.cumsum(near.to(tl.int32), 0) - 1
        real = records.dtype.element_ty
        at = records + place * RECORD
        _write_record(at, x.to(real), y.to(real), z.to(real), near, CUTOFF)
        tl.store(slots + low + k, tl.where(near, place, -1).to(tl.int32), mask=live)
        tl.store(sources + place, (low + k).to(tl.int32), mask=near)
        found += tl.sum(near.to(tl.int32), 0)
    tl.store(near_ends + row, low + found)


@triton.jit
def accumulate(
    gradient, records, starts, near_ends, slots, sources, mirrors, forces, virials,
    N_MODELS: tl.constexpr, T: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One program per bead: force and virial from its own pairs and their mirrors; no atomic additions.

    Each pair (i, j) has its mirror (j, i): what it adds to the force on i is read from there, so every bead is summed
    by itself in a fixed order.
    """
    bead = tl.program_id(0)
    fx = tl.zeros([BLOCK], tl.float64)
    fy = fx
    fz = fx
    xx = fx
    yy = fx
    zz = fx
    xy = fx
    xz = fx
    yz = fx
    for row in range(bead * T, (bead + 1) * T):
        low = tl.load(starts + row)
        n = (tl.load(near_ends + row) - low).to(tl.int32)
        for first in range(0, n, BLOCK):
            k = low + first + tl.arange(0, BLOCK)
            live = first + tl.arange(0, BLOCK) < n
            r = records + k * RECORD
            ux = tl.load(r, mask=live, other=0.0).to(tl.float64)
            uy = tl.load(r + 1, mask=live, other=0.0).to(tl.float64)
            uz = tl.load(r + 2, mask=live, other=0.0).to(tl.float64)
            distance = 1.0 / tl.load(r + 3, mask=live, other=1.0).to(tl.float64)
            at = gradient + k * 3
            gx = tl.load(at, mask=live, other=0.0).to(tl.float64) / N_MODELS
            gy = tl.load(at + 1, mask=live, other=0.0).to(tl.float64) / N_MODELS
            gz = tl.load(at + 2, mask=live, other=0.0).to(tl.float64) / N_MODELS
            mirror = tl.load(mirrors + tl.load(sources + k, mask=live, other=0), mask=live, other=0)
            other = tl.load(slots + mirror, mask=live, other=0).to(tl.int64)
            at = gradient + other * 3
            fx += gx - tl.load(at, mask=live, other=0.0).to(tl.float64) / N_MODELS
            fy += gy - tl.load(at + 1, mask=live, other=0.0).to(tl.float64) / N_MODELS
            fz += gz - tl.load(at + 2, mask=live, other=0.0).to(tl.float64) / N_MODELS
            gx *= distance
            gy *= distance
            gz *= distance
            xx -= ux * gx
            yy -= uy * gy
            zz -= uz * gz
            xy -= ux * gy
            xz -= ux * gz
            yz -= uy * gz
    out = forces + bead * 3
    tl.store(out, tl.sum(fx, 0))
    tl.store(out + 1, tl.sum(fy, 0))
    tl.store(out + 2, tl.sum(fz, 0))
    out = virials + bead * 6
    tl.store(out, tl.sum(xx, 0))
    tl.store(out + 1, tl.sum(yy, 0))
    tl.store(out + 2, tl.sum(zz, 0))
    tl.store(out + 3, tl.sum(xy, 0))
    tl.store(out + 4, tl.sum(xz, 0))
    tl.store(out + 5, tl.sum(yz, 0))
