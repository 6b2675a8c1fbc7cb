"""Repulsive prior against its defining conditions and brute force."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from bead_cases import CELLS, PRIOR_SETTINGS, TYPES, bead_topology, make_frames
from cgdistill.core.errors import InputError
from cgdistill.data.beads import BeadFrames
from cgdistill.forcefield.prior.repulsion import lowest_distance_A, repulsion_energy
from cgdistill.forcefield.prior.terms import fit_prior, prior_from_table, read_prior, write_prior

DELTA_A, FRACTION = PRIOR_SETTINGS["delta_A"], PRIOR_SETTINGS["fraction"]


def closest_by_force(frames, types, first, second):
    """(n_frames,) smallest distance of two types over all pairs and images."""
    images = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    lowest = []
    for positions, cell in zip(frames.positions_A, frames.cells_A, strict=True):
        fractions = positions @ np.linalg.inv(cell)
        wrapped = (fractions - np.floor(fractions)) @ cell
        vectors = wrapped[None, :, None] - wrapped[:, None, None] + (images @ cell)[None, None]
        distance = np.linalg.norm(vectors, axis=-1)
        distance[distance < 1e-9] = np.inf
        lowest.append(distance[types == first][:, types == second].min())
    return np.array(lowest)


@pytest.mark.parametrize("cell", list(CELLS))
def test_force_is_p_s_at_t_and_s_at_t_less_d(cell):
    """t by brute force over images (no outlier among them by a wide fence), s by hand."""
    frames, types = make_frames(6, CELLS[cell])
    parts = [
        BeadFrames(frames.positions_A[p], frames.forces_kcal_mol_A[p], frames.cells_A[p], frames.times_ps[p])
        for p in (slice(0, 4), slice(4, 6))
    ]
    table = fit_prior(parts, bead_topology(types), PRIOR_SETTINGS | {"outlier_iqr": 100.0})
    prior = prior_from_table(table, TYPES, "here").terms[0]
    magnitude = np.linalg.norm(frames.forces_kcal_mol_A, axis=2)
    for first, second in ((0, 0), (0, 1), (1, 1)):
        t = closest_by_force(frames, types, first, second).min()
        s = magnitude[:, (types == first) | (types == second)].mean()
        assert force_at(prior, first, second, t) == pytest.approx(FRACTION * s)
        assert force_at(prior, second, first, t - DELTA_A) == pytest.approx(s)


def force_at(prior, first, second, distance_A):
    """Repulsive force between two beads, kcal/mol/A."""
    return prior.a_per_A[first, second] * repulsion_energy(
        prior.log_E0[first, second], prior.a_per_A[first, second], distance_A
    )


def test_outliers_are_left_out():
    """The fence is 1.5 interquartile ranges below the first quartile, by hand."""
    values = np.array([4.0, 4.1, 4.2, 4.3, 4.4])
    assert lowest_distance_A(np.append(values, 1.0), 1.5) == 4.0
    assert lowest_distance_A(np.append(values, 3.8), 1.5) == 3.8
    assert lowest_distance_A(np.append(values, [1.0, np.nan]), 100.0) == 1.0
    assert lowest_distance_A(np.append(values, np.nan), 1.5) == 4.0


def test_one_bad_frame_does_not_move_the_prior():
    frames, types = make_frames(20)
    topology = bead_topology(types)
    clean = fit_prior([frames], topology, PRIOR_SETTINGS)
    spoiled = frames.positions_A.copy()
    spoiled[3, 2] = spoiled[3, 0] + [0.3, 0.0, 0.0]
    with_outlier = BeadFrames(spoiled, frames.forces_kcal_mol_A, frames.cells_A, frames.times_ps)
    fitted = fit_prior([with_outlier], topology, PRIOR_SETTINGS)
    np.testing.assert_allclose(fitted.lowest_distance_A, clean.lowest_distance_A, atol=0.3)
    assert fit_prior([with_outlier], topology, PRIOR_SETTINGS | {"outlier_iqr": 1e6}).lowest_distance_A.min() < 0.31


def test_round_trip_in_another_order_of_types(tmp_path):
    frames, types = make_frames(3)
    table = fit_prior([frames], bead_topology(types), PRIOR_SETTINGS)
    path = tmp_path / "prior.csv"
    write_prior(path, table, {})
    prior, turned = (read_prior(path, types).terms[0] for types in (TYPES, TYPES[::-1]))
    expected = table.set_index(["bead_1", "bead_2"]).E0_kcal_mol
    assert prior.E0_kcal_mol[0, 1] == pytest.approx(expected[TYPES], rel=1e-9)
    np.testing.assert_array_equal(prior.E0_kcal_mol, prior.E0_kcal_mol.T)
    np.testing.assert_array_equal(turned.E0_kcal_mol, prior.E0_kcal_mol[::-1, ::-1])


def test_missing_pairs_and_forces_are_refused():
    frames, types = make_frames(2)
    table = fit_prior([frames], bead_topology(types), PRIOR_SETTINGS)
    with pytest.raises(InputError, match="Cho-Cl"):
        prior_from_table(table[table.bead_1 == table.bead_2], TYPES, "prior.csv")
    without = BeadFrames(frames.positions_A, None, frames.cells_A, frames.times_ps)
    with pytest.raises(InputError, match="forces"):
        fit_prior([without], bead_topology(types), PRIOR_SETTINGS)
    far = BeadFrames(np.array([[[0.0, 0, 0], [25.0, 0, 0]]]), np.ones((1, 2, 3)), 50.0 * np.eye(3)[None], np.zeros(1))
    with pytest.raises(InputError, match="Cho-C"):
        fit_prior([far], bead_topology(np.array([0, 1])), PRIOR_SETTINGS)


def test_table_columns():
    frames, types = make_frames(2)
    table = fit_prior([frames], bead_topology(types), PRIOR_SETTINGS)
    assert isinstance(table, pd.DataFrame)
    assert table[["bead_1", "bead_2"]].values.tolist() == [["Cho", "Cho"], ["Cho", "Cl"], ["Cl", "Cl"]]
    assert table.a_per_A.tolist() == pytest.approx([np.log(20.0) / 0.15] * 3)
