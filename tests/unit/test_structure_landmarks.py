"""Peaks, minima and coordination numbers of curves with known ones."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from cgdistill.structure.landmarks import adf_landmarks, cdf_landmarks, rdf_landmarks

WIDTH = 0.1
X = WIDTH * (np.arange(100) + 0.5)


def table(**curves):
    """Curves by item."""
    parts = [pd.DataFrame({"item": item, "parameter": np.nan, "x": X, "value": g}) for item, g in curves.items()]
    return pd.concat(parts, ignore_index=True)


def bumps(x):
    """Two shells, at 4 and 7.5 A, on nothing."""
    return 3.0 * np.exp(-(((x - 4.0) / 0.3) ** 2)) + 1.5 * np.exp(-(((x - 7.5) / 0.4) ** 2))


@pytest.mark.parametrize("noise", [0.0, 0.08])
def test_first_shell_and_its_neighbours(noise):
    """The integral of 4 pi r^2 rho g over the first shell, by a fine sum; noise of single bins is no peak."""
    rng = np.random.default_rng(3)
    g = bumps(X) + noise * rng.random(len(X))
    curves = table(**{"A-B": g})
    row = rdf_landmarks(curves, {"A": 20, "B": 50}, volume_A3=8000.0, like_counts=1).iloc[0]
    assert row["peak_A"] == pytest.approx(4.0, abs=0.16) and row["peak"] == pytest.approx(3.0, abs=0.1)
    assert 4.9 < row["minimum_A"] < 6.6
    fine = np.linspace(0.0, row["minimum_A"] + 0.5 * WIDTH, 20001)
    shell = np.trapezoid(4 * np.pi * fine**2 * (bumps(fine) + 0.5 * noise), fine)
    assert row["neighbours"] == pytest.approx(shell * 50 / 8000, rel=0.03)
    assert row["neighbours_reverse"] == pytest.approx(shell * 20 / 8000, rel=0.03)


def test_partners_of_its_own_type():
    """N - 1 of them in our normalisation, N in that of TRAVIS."""
    curves = table(**{"A-A": bumps(X)})
    ours, theirs = (rdf_landmarks(curves, {"A": 20}, 8000.0, like).iloc[0]["neighbours"] for like in (1, 0))
    assert ours / theirs == pytest.approx(19 / 20)


def test_no_peak_and_no_minimum():
    """Flat, and still falling at the end; names with hyphens."""
    falling = np.where(X < 4.0, 0.0, np.exp(-(X - 4.0)))
    found = rdf_landmarks(table(**{"A-b-A-b": np.ones(100), "A-b-C": falling}), {"A-b": 3, "C": 3}, 1e3, 1)
    assert found.loc[0, ["peak_A", "minimum_A", "neighbours"]].isna().all()
    assert found.loc[1, "peak_A"] == pytest.approx(4.05) and np.isnan(found.loc[1, "minimum_A"])


def test_adf_and_cdf():
    """Height over isotropic neighbours; mean and spread of a histogram with two bins."""
    peaked = np.ones(100)
    peaked[30] = 11.0
    adf = adf_landmarks(table(a=peaked).assign(parameter=6.0)).iloc[0]
    assert (adf["peak_deg"], adf["peak"]) == (X[30], 11.0)
    assert adf["times_isotropic"] == pytest.approx(11.0 / 1.1)
    two = np.zeros(100)
    two[[40, 60]] = 3.0, 1.0
    cdf = cdf_landmarks(table(a=two, b=np.zeros(100)))
    assert cdf.loc[0, ["peak_A", "peak", "mean_A"]].tolist() == pytest.approx([4.05, 3.0, 4.55])
    assert cdf.loc[0, "std_A"] == pytest.approx(np.sqrt(0.75 * 0.25 + 0.25 * 2.25))
    assert cdf.loc[1, ["peak_A", "mean_A"]].isna().all()
