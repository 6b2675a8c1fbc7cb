"""Predictions of several teachers from files to files; on unphysical beads."""

from __future__ import annotations

import numpy as np
import pytest
from bead_cases import PRIOR, make_model
from cgdistill.core.errors import InputError
from cgdistill.data.beads import BeadFile
from cgdistill.data.pair_frames import PairFrames
from cgdistill.data.split import Split, write_split
from cgdistill.forcefield.model_files import load_model, save_model
from cgdistill.io.csv_tables import read_provenance, read_table
from cgdistill.provenance.record import sha256_of
from cgdistill.training.evaluation import predict
from cgdistill.training.prediction_job import N_COMPONENTS, predict_teachers
from cgdistill.training.predictions import read_predictions


@pytest.fixture
def folders(tmp_path):
    """Two teachers that differ in their weights."""
    for seed in (1, 2):
        save_model(tmp_path / f"seed-{seed}", make_model(seed), PRIOR, {})
    write_split(tmp_path / "split.json", Split(np.arange(6), np.arange(6, 8), np.array([9, 11])), {})
    return [tmp_path / "seed-1", tmp_path / "seed-2"]


def test_each_teacher_predicts_all_frames_and_is_checked(folders, tmp_path, beads_path):
    predict_teachers(folders, beads_path, tmp_path / "split.json", 5, 7, "cpu")
    with BeadFile(beads_path) as beads:
        frames = PairFrames.from_beads(beads, np.arange(12), 5.0)
        frames = frames.with_prior(PRIOR.forces_in_file(beads, np.arange(12)))
    for folder in folders:
        written = read_predictions(folder / "predictions.h5")
        expected = predict(load_model(folder), frames, np.arange(12), 3, "cpu")
        assert written.members == (folder.name,)
        # Centred energies and their constants per bead type together are the energies of the network.
        whole = written.epsilon_kcal_mol + written.epsilon_constants_kcal_mol[frames.bead_types]
        np.testing.assert_allclose(whole, expected.epsilon_kcal_mol, rtol=0, atol=1e-5)
        assert np.abs(written.epsilon_constants_kcal_mol).min() > 1e-3
        np.testing.assert_allclose(written.forces_kcal_mol_A, expected.forces_kcal_mol_A, rtol=1e-4, atol=1e-4)
        check = read_table(folder / "gradient_check.csv")
        assert check.teacher.tolist() == [folder.name]
        assert check.n_components.tolist() == [N_COMPONENTS]
        assert check.rms_difference_kcal_mol_A[0] < 1e-4 * check.rms_force_kcal_mol_A[0]
        inputs = read_provenance(folder / "gradient_check.csv")["inputs"]
        assert inputs["weights"] == sha256_of(folder / "weights.safetensors")


def test_teachers_of_other_cutoffs_are_refused(folders, tmp_path, beads_path):
    save_model(tmp_path / "seed-3", make_model(3, cutoff_A=4.0), PRIOR, {})
    with pytest.raises(InputError, match="one cutoff"):
        predict_teachers([*folders, tmp_path / "seed-3"], beads_path, tmp_path / "split.json", 5, 7, "cpu")
