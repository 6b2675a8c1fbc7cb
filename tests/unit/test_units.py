"""Constants against those of scipy, speeds and temperatures by hand."""

from __future__ import annotations

import numpy as np
import pytest
from cgdistill.core import units
from scipy import constants

KCAL_MOL_J = 4184.0 / constants.Avogadro


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (units.BOLTZMANN_kcal_mol_K, constants.Boltzmann / KCAL_MOL_J),
        (units.KCAL_MOL_PER_EV, constants.electron_volt / KCAL_MOL_J),
        (units.KCAL_MOL_PER_G_MOL_A2_FS2, 1e-3 / constants.Avogadro * 1e10 / KCAL_MOL_J),
        (units.ATM_PER_KCAL_MOL_A3, KCAL_MOL_J / 1e-30 / constants.atm),
        (units.KCAL_MOL_A_PER_KJ_MOL_NM, 1000.0 / constants.Avogadro / KCAL_MOL_J / 10.0),
    ],
)
def test_constants(value, expected):
    """LAMMPS' values differ from CODATA in the seventh digit, so a swap of the two is not seen here."""
    assert value == pytest.approx(expected, rel=2e-6)


def test_speed():
    assert units.ns_per_day(500_000, 2.0, 3600.0) == pytest.approx(24.0)
    assert np.isnan(units.ns_per_day(1, 2.0, 0.0))


def test_temperature_of_drawn_velocities():
    """Maxwell velocities of 300 K, with 3 n degrees of freedom and with the mean removed."""
    rng = np.random.default_rng(0)
    masses = np.full(20000, 60.0)
    spread = np.sqrt(units.BOLTZMANN_kcal_mol_K * 300.0 / (60.0 * units.KCAL_MOL_PER_G_MOL_A2_FS2))
    velocities = rng.normal(scale=spread, size=(20000, 3))
    assert units.kinetic_temperature_K(masses, velocities, 60000) == pytest.approx(300.0, rel=0.02)
    pair = np.array([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]]) * 1e-3
    kinetic = 2 * 0.5 * 10.0 * 1e-6 * units.KCAL_MOL_PER_G_MOL_A2_FS2
    expected = 2 * kinetic / (3 * units.BOLTZMANN_kcal_mol_K)
    assert units.kinetic_temperature_K(np.array([10.0, 10.0]), pair) == pytest.approx(expected)
