"""Predictions of an ensemble: mean and spread over exactly the members asked for."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from cgdistill.core.errors import InputError
from cgdistill.forcefield.trainable import ModelOutput
from cgdistill.training import predictions
from cgdistill.training.predictions import (
    average_files,
    average_predictions,
    read_predictions,
    single_predictions,
    write_predictions,
)
from cgdistill.training.targets import teacher_values

TYPES = np.array([0, 1, 1])
ARRAYS = (
    "forces_kcal_mol_A", "epsilon_kcal_mol", "epsilon_constants_kcal_mol", "forces_spread_kcal_mol_A",
    "epsilon_spread_kcal_mol",
)  # fmt: skip
NAMES = [f"seed-{number}" for number in range(1, 9)]


@pytest.fixture
def members():
    rng = np.random.default_rng(0)
    return [
        single_predictions(
            name,
            ModelOutput(
                rng.normal(size=(4, 3, 3)).astype("f4"), rng.normal(loc=10.0 * number, size=(4, 3)).astype("f4")
            ),
            TYPES,
        )
        for number, name in enumerate(NAMES)
    ]


def test_mean_and_spread(members):
    mean = average_predictions(members, NAMES)
    forces = np.stack([member.forces_kcal_mol_A for member in members])
    epsilon = np.stack([member.epsilon_kcal_mol for member in members])
    np.testing.assert_allclose(mean.forces_kcal_mol_A, forces.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(mean.forces_spread_kcal_mol_A, forces.std(axis=0, ddof=1), rtol=1e-5)
    np.testing.assert_allclose(mean.epsilon_kcal_mol, epsilon.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(mean.epsilon_spread_kcal_mol, epsilon.std(axis=0, ddof=1), rtol=1e-5)
    np.testing.assert_allclose(mean.energy_kcal_mol, mean.epsilon_kcal_mol.sum(axis=1), rtol=1e-6)
    assert mean.members == tuple(NAMES)


def test_members_are_centred_per_type_before_they_are_averaged(members):
    """The free constants (up to 70 kcal/mol between members) are in neither mean nor spread."""
    mean = average_predictions(members, NAMES)
    assert mean.epsilon_spread_kcal_mol.max() < 5.0
    for kind in (0, 1):
        assert mean.epsilon_kcal_mol[:, TYPES == kind].mean() == pytest.approx(0, abs=1e-5)


def test_seven_of_eight_a_stranger_or_a_duplicate_are_refused(members):
    with pytest.raises(InputError, match="members"):
        average_predictions(members[:7], NAMES)
    with pytest.raises(InputError, match="members"):
        average_predictions([*members[:7], members[0]], NAMES)
    with pytest.raises(InputError, match="members"):
        average_predictions(members, NAMES[:7])
    with pytest.raises(InputError, match="members"):
        average_predictions([*members[:7], members[0]], [*NAMES[:7], NAMES[0]])


def test_shapes_must_agree(members):
    other = single_predictions("seed-8", ModelOutput(np.zeros((5, 3, 3), "f4"), np.zeros((5, 3), "f4")), TYPES)
    with pytest.raises(InputError, match="shape"):
        average_predictions([*members[:7], other], NAMES)


def test_file_round_trip(tmp_path, members):
    mean = average_predictions(members, NAMES)
    path = tmp_path / "mean.h5"
    write_predictions(path, mean, {"seed": 1})
    back = read_predictions(path)
    assert back.members == mean.members
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(back, name), getattr(mean, name))
    targets = teacher_values(back)
    assert {name: values.shape for name, values in targets.items()} == {"f": (4, 3, 3), "E": (4,), "epsilon": (4, 3)}
    assert all(values.dtype == np.float32 for values in targets.values())
    write_predictions(path, members[0], {})
    assert read_predictions(path).forces_spread_kcal_mol_A is None


@pytest.mark.parametrize("fault", ["format", "unit", "no file"])
def test_damage_is_named(tmp_path, members, fault):
    path = tmp_path / "one.h5"
    if fault != "no file":
        write_predictions(path, members[0], {})
        with h5py.File(path, "r+") as file:
            if fault == "unit":
                file["forces_kcal_mol_A"].attrs["unit"] = "eV/A"
            else:
                file.attrs["format"] = "other"
    with pytest.raises(InputError) as caught:
        read_predictions(path)
    assert caught.value.source == str(path)


def test_constants_are_what_centring_subtracted():
    """By hand, and of an average the mean of its members'."""
    epsilon = np.array([[1.0, 10.0, 20.0], [3.0, 30.0, 40.0]])
    first = single_predictions("a", ModelOutput(np.zeros((2, 3, 3)), epsilon), TYPES)
    other = single_predictions("b", ModelOutput(np.zeros((2, 3, 3)), epsilon + 4.0), TYPES)
    assert first.epsilon_constants_kcal_mol.tolist() == [2.0, 25.0]
    np.testing.assert_allclose(first.epsilon_kcal_mol + first.epsilon_constants_kcal_mol[TYPES], epsilon)
    mean = average_predictions([first, other], ["a", "b"])
    assert mean.epsilon_constants_kcal_mol.tolist() == [4.0, 27.0]


def test_files_of_earlier_versions_name_the_remedy(tmp_path, members):
    write_predictions(tmp_path / "one.h5", members[0], {})
    with h5py.File(tmp_path / "one.h5", "r+") as file:
        file.attrs["format"] = "cgdistill-predictions-1"
        del file["epsilon_constants_kcal_mol"]
    with pytest.raises(InputError, match="rerun predict_teacher"):
        read_predictions(tmp_path / "one.h5")


@pytest.mark.parametrize("chunk", [1, 3, 4, 64])
def test_files_are_averaged_as_predictions_are(tmp_path, members, monkeypatch, chunk):
    """To the last bit, however many frames at a time; and the spread is that over all force components."""
    monkeypatch.setattr(predictions, "_CHUNK", chunk)
    paths = [tmp_path / f"{name}.h5" for name in NAMES]
    for path, member in zip(paths, members, strict=True):
        write_predictions(path, member, {})
    spread = average_files(tmp_path / "mean.h5", paths, NAMES, {"seed": 1})
    found, expected = read_predictions(tmp_path / "mean.h5"), average_predictions(members, NAMES)
    assert found.members == expected.members
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    assert spread == pytest.approx(float(np.sqrt((expected.forces_spread_kcal_mol_A.astype("f8") ** 2).mean())))


def test_files_that_do_not_belong_together_leave_no_mean(tmp_path, members):
    other = single_predictions("seed-8", ModelOutput(np.zeros((5, 3, 3), "f4"), np.zeros((5, 3), "f4")), TYPES)
    for name, member in (("1", members[0]), ("2", members[1]), ("8", other)):
        write_predictions(tmp_path / f"{name}.h5", member, {})
    paths = [tmp_path / f"{name}.h5" for name in ("1", "2", "8")]
    with pytest.raises(InputError, match="shape"):
        average_files(tmp_path / "mean.h5", paths, ["seed-1", "seed-2", "seed-8"], {})
    with pytest.raises(InputError, match="members"):
        average_files(tmp_path / "mean.h5", paths[:2], ["seed-1"], {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.h5", "2.h5", "8.h5"]
