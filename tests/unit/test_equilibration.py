"""Equilibration detection on series with known correlation time and drift."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from cgdistill.analysis.equilibration import detect_equilibration, equilibration_of_run
from cgdistill.core.errors import InputError
from pymbar import timeseries


def correlated(n, memory, seed):
    """Autoregressive noise of unit variance; its statistical inefficiency is (1 + memory)/(1 - memory)."""
    rng = np.random.default_rng(seed)
    kicks = rng.normal(size=n) * np.sqrt(1 - memory**2)
    series = np.empty(n)
    series[0] = rng.normal()
    for step in range(1, n):
        series[step] = memory * series[step - 1] + kicks[step]
    return series


def test_stationary_series():
    """Statistical inefficiency of 9 within 35 %, nearly all of the series kept."""
    found = detect_equilibration(np.arange(8000) * 0.2, correlated(8000, 0.8, seed=1))
    assert found.statistical_inefficiency == pytest.approx(9.0, rel=0.35)
    assert found.time_ps < 400.0
    assert found.n_effective == pytest.approx((8000 - found.start) / found.statistical_inefficiency, rel=0.01)


@pytest.mark.parametrize("n", [400, 3000])
def test_relaxation_is_cut_off(n):
    """A decay with a time of 20 ps, 30 standard deviations high, is over after about 60 to 140 ps."""
    times = np.linspace(5.0, 605.0, n)
    energies = -1000.0 + 30.0 * np.exp(-(times - 5.0) / 20.0) + np.random.default_rng(2).normal(size=n)
    found = detect_equilibration(times, energies)
    assert 40.0 < found.time_ps < 140.0
    assert found.time_ps == pytest.approx(times[found.start] - 5.0)


def test_a_few_samples_far_off_at_the_start():
    """A minimised start that heats up within two samples, before a correlated series: pymbar alone starts at 0."""
    energies = correlated(220, 0.7, seed=5)
    energies[:3] -= [10.0, 5.0, 2.5]
    assert timeseries.detect_equilibration(energies)[0] == 0
    found = detect_equilibration(np.arange(220) * 0.2, energies)
    assert 2 <= found.start < 110
    rest = detect_equilibration(np.arange(217) * 0.2, energies[3:])
    assert found.statistical_inefficiency == pytest.approx(rest.statistical_inefficiency, rel=0.3)


def test_import_is_quiet():
    """pymbar's notices about JAX and about short series do not reach the log of a job."""
    code = "import cgdistill.analysis.equilibration"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == done.stderr == ""


def test_constant_series():
    """Equilibrated from the start, one effective sample; rounding noise counts as constant."""
    for series in (np.full(100, -3.0), -3.0 + 1e-15 * np.arange(100)):
        found = detect_equilibration(np.arange(100.0), series)
        assert (found.start, found.time_ps, found.statistical_inefficiency, found.n_effective) == (0, 0, 1, 1)


@pytest.mark.parametrize("n", [0, 1, 9])
def test_too_short_to_tell(n):
    """NaN, not a number made up."""
    found = detect_equilibration(np.arange(float(n)), np.arange(float(n)))
    assert found.start == 0
    assert np.isnan([found.time_ps, found.statistical_inefficiency, found.n_effective]).all()


def test_series_ends_where_the_run_blew_up():
    """Nothing after the first NaN counts."""
    energies = correlated(300, 0.5, seed=3)
    whole = detect_equilibration(np.arange(200.0), energies[:200])
    energies[200:] = np.nan
    energies[250] = 1e30
    assert detect_equilibration(np.arange(300.0), energies) == whole


def test_phases_of_a_run_join():
    """The step that ends one phase and starts the next counts once; times that go back are refused."""
    energies = correlated(200, 0.5, seed=4)
    thermo = pd.DataFrame({"time_ps": np.arange(200.0), "potential_energy_kcal_mol": energies})
    joined = pd.concat([thermo.iloc[:80], thermo.iloc[79:]])
    assert equilibration_of_run(joined) == detect_equilibration(np.arange(200.0), energies)
    with pytest.raises(InputError, match=r"time_ps, row 80: found 0\.0"):
        equilibration_of_run(pd.concat([thermo.iloc[:80], thermo]))
    with pytest.raises(InputError, match="column 'potential_energy_kcal_mol'"):
        equilibration_of_run(thermo[["time_ps"]], "thermo.csv")
