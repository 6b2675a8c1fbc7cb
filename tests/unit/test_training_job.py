"""Trainings from files to files: teachers, their predictions, students; on unphysical beads."""

from __future__ import annotations

import json
import signal
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from bead_cases import PRIOR_SETTINGS, TYPES, bead_topology, make_frames, network_spec, write_beads
from cgdistill.core.errors import InputError
from cgdistill.data.beads import BeadFile
from cgdistill.data.pair_frames import PairFrames
from cgdistill.data.split import Split, write_split
from cgdistill.forcefield.model_files import load_model, read_settings
from cgdistill.forcefield.prior.terms import fit_prior, read_prior, write_prior
from cgdistill.forcefield.registry import architecture_of
from cgdistill.io.csv_tables import read_provenance, read_table
from cgdistill.provenance.record import sha256_of
from cgdistill.runtime.signals import Interrupted
from cgdistill.training import training_job
from cgdistill.training.evaluation import predict
from cgdistill.training.metrics import metrics_table
from cgdistill.training.predictions import read_predictions, single_predictions, write_predictions
from cgdistill.training.trainer import Trainer
from cgdistill.training.training_job import TrainingInputs, TrainingSettings, TrainingTask, run_trainings
from test_training import SPEC

PARTS = {"train": [0, 3, 4, 7, 9, 11], "valid": [1, 8], "test": [5, 10]}
NETWORK = asdict(network_spec())
TRAINING = asdict(SPEC)
STUDENT = {"F": 2.0, "f": 1.0, "E": 5.0, "epsilon": 5.0}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, beads_path) -> dict[str, Path]:
    """Beads, split (two frames in no part) and prior."""
    folder = tmp_path_factory.mktemp("inputs")
    write_split(folder / "split.json", Split(**{name: np.array(part) for name, part in PARTS.items()}), {})
    frames, types = make_frames(12)
    write_prior(folder / "prior.csv", fit_prior([frames], bead_topology(types), PRIOR_SETTINGS), {})
    return {"beads": beads_path, "split": folder / "split.json", "prior": folder / "prior.csv"}


def run(tasks, inputs, weights=None, **options):
    settings = TrainingSettings(NETWORK, TRAINING, weights or {"F": 1.0})
    run_trainings(tasks, TrainingInputs(**inputs), settings, "cpu", **options)


def train(out, inputs, predictions=None, weights=None, seed=1, checkpoint=None):
    run([TrainingTask(out, seed, predictions, checkpoint)], inputs, weights)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory, inputs) -> Path:
    """Folder of a trained teacher."""
    out = tmp_path_factory.mktemp("teacher") / "seed-1"
    train(out, inputs)
    return out


@pytest.fixture(scope="module")
def predictions(tmp_path_factory, inputs, teacher) -> Path:
    """The teacher's predictions on all frames."""
    with BeadFile(inputs["beads"]) as beads:
        frames = PairFrames.from_beads(beads, np.arange(12), 5.0)
        frames = frames.with_prior(read_prior(inputs["prior"], TYPES).forces_in_file(beads, np.arange(12)))
    found = predict(load_model(teacher), frames, np.arange(12), 4, "cpu")
    path = tmp_path_factory.mktemp("predictions") / "predictions.h5"
    write_predictions(path, single_predictions("seed-1", found, frames.bead_types), {})
    return path


def test_teacher_leaves_its_files(teacher, inputs):
    assert sorted(path.name for path in teacher.iterdir()) == [
        "history.csv",
        "metrics.csv",
        "network.json",
        "test_predictions.h5",
        "weights.safetensors",
    ]
    history = read_table(teacher / "history.csv", ["train_F", "valid_loss"])
    assert history.epoch.tolist() == [1, 2, 3, 4]
    settings = read_settings(teacher)
    assert settings["training"]["weights"] == {"F": 1.0, "f": 0.0, "E": 0.0, "epsilon": 0.0}
    assert settings["training"]["seed"] == 1
    best = settings["training"]["best_epoch"]
    assert history.valid_loss[best - 1] == history.valid_loss.min()
    for record in (settings["provenance"], read_provenance(teacher / "metrics.csv")):
        assert record["inputs"] == {role: sha256_of(path) for role, path in inputs.items()}
        assert record["seed"] == 1


def test_metrics_are_those_of_the_saved_weights_on_each_part(teacher, inputs):
    """By the frame numbers of the bead file: a mistake in the numbering of the parts shows here."""
    table = read_table(teacher / "metrics.csv")
    model = load_model(teacher)
    with BeadFile(inputs["beads"]) as beads:
        for part, indices in PARTS.items():
            frames = PairFrames.from_beads(beads, indices, 5.0)
            frames = frames.with_prior(read_prior(inputs["prior"], TYPES).forces_in_file(beads, indices))
            found = predict(model, frames, np.arange(len(indices)), 4, "cpu")
            target = beads.frames(indices).forces_kcal_mol_A
            expected = metrics_table({"F": target}, found, frames.bead_types, model.type_names)
            written = table[table.split == part]
            np.testing.assert_allclose(written.mae, expected.mae, rtol=1e-4)
            np.testing.assert_allclose(written.rmse, expected.rmse, rtol=1e-4)
            assert written.bead_type.tolist() == ["all", "Cho", "Cl"]


def test_predictions_are_those_of_the_saved_weights_on_the_test_frames(teacher, inputs):
    with BeadFile(inputs["beads"]) as beads:
        frames = PairFrames.from_beads(beads, PARTS["test"], 5.0)
        frames = frames.with_prior(read_prior(inputs["prior"], TYPES).forces_in_file(beads, PARTS["test"]))
    found = predict(load_model(teacher), frames, np.arange(2), 1, "cpu")
    written = read_predictions(teacher / "test_predictions.h5")
    expected = single_predictions("seed-1", found, frames.bead_types)
    np.testing.assert_allclose(written.forces_kcal_mol_A, expected.forces_kcal_mol_A, atol=1e-4)
    np.testing.assert_allclose(written.epsilon_kcal_mol, expected.epsilon_kcal_mol, atol=1e-5)
    assert written.members == (f"{teacher.parent.name}/seed-1",)


def test_student_has_all_four_targets(tmp_path, inputs, predictions):
    train(tmp_path / "student", inputs, predictions, STUDENT)
    table = read_table(tmp_path / "student" / "metrics.csv")
    assert set(table.target) == {"F", "f", "E", "epsilon"}
    assert set(table.split) == {"train", "valid", "test"}
    history = read_table(tmp_path / "student" / "history.csv")
    assert {"train_F", "train_f", "train_E", "train_epsilon"} <= set(history.columns)
    assert "predictions" in read_settings(tmp_path / "student")["provenance"]["inputs"]


def test_student_is_trained_on_the_frames_of_its_teacher(monkeypatch, tmp_path, inputs, predictions, teacher):
    """With the teacher's own weights the error against its predictions is rounding, on every frame of the split."""
    weights = load_model(teacher).weights()
    monkeypatch.setattr(
        training_job, "train", lambda trainers, *_: [one.model.load_weights(weights) for one in trainers]
    )
    train(tmp_path / "student", inputs, predictions, STUDENT)
    table = read_table(tmp_path / "student" / "metrics.csv").set_index(["target", "bead_type", "split"])
    for target in ("f", "epsilon", "E"):
        assert (table.loc[(target, "all"), "rmse"] < 1e-3).all()
    assert (table.loc[("F", "all"), "rmse"] > 0.1).all()


def test_seed_decides_the_result(tmp_path, inputs, teacher):
    train(tmp_path / "same", inputs)
    train(tmp_path / "other", inputs, seed=2)
    weights = [(folder / "weights.safetensors").read_bytes() for folder in (teacher, tmp_path / "same")]
    assert weights[0] == weights[1]
    assert (tmp_path / "other" / "weights.safetensors").read_bytes() != weights[0]


@pytest.mark.parametrize("lockstep", [False, True])
def test_students_of_one_job_are_those_of_jobs_of_their_own(tmp_path, inputs, predictions, teacher, lockstep):
    """Each learns from its own teacher, here one real and one that predicts nothing, over one set of pairs."""
    nothing = tmp_path / "nothing.h5"
    real = read_predictions(predictions)
    write_predictions(nothing, replace(real, forces_kcal_mol_A=0 * real.forces_kcal_mol_A), {})
    pairs = [("seed-1", 1, predictions), ("seed-2", 2, nothing)]
    run([TrainingTask(tmp_path / name, seed, path) for name, seed, path in pairs], inputs, STUDENT, lockstep=lockstep)
    for name, seed, path in pairs:
        train(tmp_path / "alone" / name, inputs, path, STUDENT, seed)
        histories = [read_table(folder / name / "history.csv") for folder in (tmp_path, tmp_path / "alone")]
        one, other = (table.drop(columns="seconds") for table in histories)
        np.testing.assert_allclose(one, other, rtol=1e-4 if lockstep else 0)
        weights = [(folder / name / "weights.safetensors").read_bytes() for folder in (tmp_path, tmp_path / "alone")]
        assert lockstep or weights[0] == weights[1]
        metrics = [read_table(folder / name / "metrics.csv") for folder in (tmp_path, tmp_path / "alone")]
        np.testing.assert_allclose(metrics[0]["rmse"], metrics[1]["rmse"], rtol=1e-3 if lockstep else 0)


def test_interrupted_job_goes_on_and_its_checkpoints_go(tmp_path, monkeypatch, inputs, teacher):
    """Stopped in the second of two trainings: the first is not trained again, though it left no product yet."""
    tasks = [TrainingTask(tmp_path / "out" / str(seed), seed, None, tmp_path / f"{seed}.pt") for seed in (1, 2)]
    end_epoch = Trainer.end_epoch
    ended = []

    def counted(self, *rest):
        end_epoch(self, *rest)
        ended.append((self.name, self.epoch))

    def stopped(self, *rest):
        counted(self, *rest)
        if ended[-1] == ("out/2", 2):
            raise Interrupted(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "end_epoch", stopped)
        with pytest.raises(Interrupted):
            run(tasks, inputs)
    assert ended == [("out/1", 1), ("out/1", 2), ("out/1", 3), ("out/1", 4), ("out/2", 1), ("out/2", 2)]
    assert all(task.checkpoint.exists() for task in tasks)
    assert not (tmp_path / "out").exists()
    ended.clear()
    monkeypatch.setattr(Trainer, "end_epoch", counted)
    run(tasks, inputs)
    assert ended == [("out/2", 3), ("out/2", 4)]
    assert not any(task.checkpoint.exists() for task in tasks)
    assert (tmp_path / "out/1/weights.safetensors").read_bytes() == (teacher / "weights.safetensors").read_bytes()


def test_checkpoint_of_another_seed_or_input_is_not_used(tmp_path, monkeypatch, inputs, predictions):
    """The key of the checkpoint, by what the trainer is given."""
    keys = []
    monkeypatch.setattr(training_job, "train", lambda trainers, *_: keys.extend(one.checkpoint.key for one in trainers))
    monkeypatch.setattr(training_job, "_write_products", lambda *_: None)
    other = inputs | {"prior": tmp_path / "prior.csv"}
    text = inputs["prior"].read_text(encoding="utf-8")
    other["prior"].write_text(text.replace("Cho,Cho,", "Cho,Cho,1"), encoding="utf-8")
    state = tmp_path / "state.pt"
    train(tmp_path / "a", inputs, checkpoint=state)
    run(
        [TrainingTask(tmp_path / name, seed, None, tmp_path / f"{name}.pt") for name, seed in (("b", 3), ("c", 1))],
        inputs,
    )
    assert keys[0] == keys.pop()
    train(tmp_path / "a", inputs, seed=2, checkpoint=state)
    train(tmp_path / "a", other, checkpoint=state)
    train(tmp_path / "a", inputs, predictions, checkpoint=state)
    train(tmp_path / "a", inputs, weights={"F": 0.5}, checkpoint=state)
    train(tmp_path / "a", inputs | {"beads": write_beads(tmp_path / "other.h5", 12, seed=1)}, checkpoint=state)
    monkeypatch.setitem(TRAINING, "learning_rate", 1e-4)
    train(tmp_path / "a", inputs, checkpoint=state)
    monkeypatch.setitem(NETWORK, "n_features", 6)
    train(tmp_path / "a", inputs, checkpoint=state)
    assert len(set(keys)) == len(keys) == 9


def test_faults_of_the_inputs(tmp_path, inputs, predictions):
    short = {**inputs, "beads": write_beads(tmp_path / "short.h5", 11)}
    with pytest.raises(InputError, match="frames below 11"):
        train(tmp_path / "out", short)
    longer = {**inputs, "beads": write_beads(tmp_path / "longer.h5", 13)}
    with pytest.raises(InputError, match="shape of the forces"):
        train(tmp_path / "out", longer, predictions, STUDENT)
    without = {**inputs, "beads": write_beads(tmp_path / "without.h5", 12, forces=False)}
    with pytest.raises(InputError, match="loss weights"):
        train(tmp_path / "out", without)
    with pytest.raises(InputError, match="loss weights"):
        train(tmp_path / "out", inputs, None, STUDENT)
    assert not (tmp_path / "out").exists()


def test_settings_are_plain_json(teacher):
    settings = json.loads((teacher / "network.json").read_text(encoding="utf-8"))
    assert settings["network"] == {"architecture": "hipnn"} | NETWORK
    assert architecture_of(settings["network"]).spec(settings["network"], len(TYPES)) == network_spec()
