"""Error measures by hand and against scipy/scikit-free formulas."""

from __future__ import annotations

import numpy as np
import pytest
from cgdistill.forcefield.trainable import ModelOutput
from cgdistill.training.metrics import error_measures, metrics_table
from cgdistill.training.predictions import centre_per_type


def test_measures_by_hand():
    measures = error_measures(np.array([1.0, 2.0, 3.0, 6.0]), np.array([1.0, 2.0, 5.0, 5.0]))
    assert measures["mae"] == pytest.approx(0.75)
    assert measures["rmse"] == pytest.approx(np.sqrt(5 / 4))
    assert measures["r2"] == pytest.approx(1 - 5 / 14)
    assert measures["n"] == 4


def test_r2_is_that_of_a_known_noise():
    """A perfect mean force under noise of twice its variance has R² = 1/3, whatever the units."""
    rng = np.random.default_rng(0)
    mean = rng.normal(size=200_000)
    noisy = mean + np.sqrt(2.0) * rng.normal(size=mean.size)
    assert error_measures(noisy, mean)["r2"] == pytest.approx(1 / 3, abs=0.01)


def test_constant_target_has_no_r2():
    assert np.isnan(error_measures(np.ones(3), np.arange(3.0))["r2"])


def test_centring_removes_one_constant_per_type():
    types = np.array([0, 1, 0, 1, 1])
    rng = np.random.default_rng(1)
    energies = rng.normal(size=(4, 5))
    centred = centre_per_type(energies, types)
    for kind in (0, 1):
        assert centred[:, types == kind].mean() == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(centre_per_type(energies + np.array([5.0, -7.0])[types], types), centred)
    assert not np.allclose(centre_per_type(energies + np.arange(5.0), types), centred)


def test_table_leaves_out_free_constants_but_not_those_of_forces():
    types = np.array([0, 1, 0])
    rng = np.random.default_rng(2)
    forces, epsilon = rng.normal(size=(6, 3, 3)), rng.normal(size=(6, 3))
    targets = {"F": forces - 0.5, "f": forces, "epsilon": epsilon, "E": epsilon.sum(axis=1)}
    output = ModelOutput(forces, epsilon + np.array([10.0, -3.0])[types])
    table = metrics_table(targets, output, types, ("a", "b")).set_index(["target", "bead_type"])
    assert list(table.columns) == ["unit", "mae", "rmse", "r2", "n"]
    assert table.loc[("F", "all"), "mae"] == pytest.approx(0.5)
    assert table.loc[("F", "b"), "n"] == 6 * 3
    assert table.loc[("epsilon", "all"), "rmse"] == pytest.approx(0, abs=1e-12)
    assert table.loc[("E", "all"), "r2"] == pytest.approx(1)
    assert ("E", "a") not in table.index
    assert table.loc[("E", "all"), "unit"] == "kcal/mol"
    assert table.loc[("f", "a"), "unit"] == "kcal/mol/A"
