"""Constants against those of scipy, speeds by hand."""

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
        (units.KCAL_MOL_A_PER_KJ_MOL_NM, 1000.0 / constants.Avogadro / KCAL_MOL_J / 10.0),
    ],
)
def test_constants(value, expected):
    """LAMMPS' values differ from CODATA in the seventh digit, so a swap of the two is not seen here."""
    assert value == pytest.approx(expected, rel=2e-6)


def test_speed():
    assert units.ns_per_day(500_000, 2.0, 3600.0) == pytest.approx(24.0)
    assert np.isnan(units.ns_per_day(1, 2.0, 0.0))
