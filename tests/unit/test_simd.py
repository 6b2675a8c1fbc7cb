"""Vector functions of compiled code against numpy."""

from __future__ import annotations

import numpy as np
import pytest
from cgdistill.forcefield.hipnn import simd
from numba import njit


@njit
def _apply(function, x, y, lanes):
    for k in range(0, len(x), lanes):
        simd.store(y, k, function(simd.load(x, k)))


@njit
def _exp(x):
    return simd.exp(x)


@njit
def _softplus(x):
    return simd.softplus_and_sigmoid(x)[0]


@njit
def _sigmoid(x):
    return simd.softplus_and_sigmoid(x)[1]


@njit
def _total(x, lanes):
    result = 0.0
    for k in range(0, len(x), lanes):
        result += simd.total(simd.load(x, k))
    return result


CASES = {
    "exp": (_exp, np.exp, (-60.0, 0.0)),
    "softplus": (_softplus, lambda x: np.logaddexp(0.0, x), (-40.0, 40.0)),
    "sigmoid": (_sigmoid, lambda x: 1.0 / (1.0 + np.exp(-x)), (-40.0, 40.0)),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", CASES)
def test_functions_to_the_last_bits(name, dtype):
    """Relative error of a few last bits, over the range that networks and sensitivities use."""
    function, expected, (low, high) = CASES[name]
    x = np.linspace(low, high, 16 * 1000).astype(dtype)
    y = np.empty_like(x)
    _apply(function, x, y, simd.lanes(dtype))
    np.testing.assert_allclose(y, expected(x.astype(np.float64)), rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exp_far_below_is_next_to_nothing(dtype):
    x = np.full(16, -1.0e4, dtype=dtype)
    y = np.empty_like(x)
    _apply(_exp, x, y, simd.lanes(dtype))
    assert (y >= 0).all() and (y < 1e-34).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numbers_that_are_not_finite_are_not_hidden(dtype):
    x = np.full(16, np.nan, dtype=dtype)
    y = np.empty_like(x)
    _apply(_exp, x, y, simd.lanes(dtype))
    assert np.isnan(y).all()


def test_total():
    x = np.arange(32, dtype=np.float32)
    assert _total(x, simd.lanes(np.float32)) == x.sum()
