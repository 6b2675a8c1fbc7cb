"""One training from files to files: a teacher, its predictions, a student; on unphysical beads."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from bead_cases import bead_topology, make_frames, network_spec, write_beads
from cgdistill import training_job
from cgdistill.beads import BeadFile
from cgdistill.errors import InputError
from cgdistill.frames import PairFrames
from cgdistill.metrics import metrics_table
from cgdistill.network import load_model, read_settings
from cgdistill.predictions import single_predictions, write_predictions
from cgdistill.prior import fit_prior, write_prior
from cgdistill.provenance import sha256_of
from cgdistill.split import Split, write_split
from cgdistill.tables import read_provenance, read_table
from cgdistill.training import Interrupted, Trainer, predict
from cgdistill.training_job import choose_device, run_training
from test_training import SPEC

PARTS = {"train": [0, 3, 4, 7, 9, 11], "valid": [1, 8], "test": [5, 10]}
NETWORK = asdict(network_spec())
TRAINING = asdict(SPEC)
STUDENT = {"F": 2.0, "f": 1.0, "E": 5.0, "epsilon": 5.0}
#: Stands for a history where nothing is trained.
SOME = pd.DataFrame({"epoch": [1]})


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, beads_path) -> dict[str, Path]:
    """Beads, split (two frames in no part) and prior."""
    folder = tmp_path_factory.mktemp("inputs")
    write_split(folder / "split.json", Split(**{name: np.array(part) for name, part in PARTS.items()}), {})
    frames, types = make_frames(12)
    write_prior(folder / "prior.csv", fit_prior([frames], bead_topology(types), 0.15, 0.05, 1.5), {})
    return {"beads": beads_path, "split": folder / "split.json", "prior": folder / "prior.csv"}


def train(out, inputs, predictions=None, weights=None, seed=1, **options):
    files = (inputs["beads"], inputs["split"], inputs["prior"], predictions)
    run_training(out, *files, NETWORK, TRAINING, weights or {"F": 1.0}, seed, "cpu", **options)


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
    found = predict(load_model(teacher), frames, np.arange(12), 4, "cpu")
    path = tmp_path_factory.mktemp("predictions") / "predictions.h5"
    write_predictions(path, single_predictions("seed-1", found["forces"], found["epsilon"], frames.bead_types), {})
    return path


def test_teacher_leaves_its_four_files(teacher, inputs):
    assert sorted(path.name for path in teacher.iterdir()) == [
        "history.csv",
        "metrics.csv",
        "network.json",
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
            found = predict(model, frames, np.arange(len(indices)), 4, "cpu")
            target = beads.frames(indices).forces_kcal_mol_A
            expected = metrics_table({"F": target}, {"F": found["forces"]}, frames.bead_types, model.type_names)
            written = table[table.split == part]
            np.testing.assert_allclose(written.mae, expected.mae, rtol=1e-4)
            np.testing.assert_allclose(written.rmse, expected.rmse, rtol=1e-4)
            assert written.bead_type.tolist() == ["all", "Cho", "Cl"]


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
    monkeypatch.setattr(Trainer, "run", lambda self: (self.model.load_weights(weights), self.model.eval(), SOME)[2])
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


def test_interrupted_job_goes_on_and_its_checkpoint_goes(tmp_path, monkeypatch, inputs, teacher):
    checkpoint = tmp_path / "state.pt"
    run = Trainer.run

    def stop(row):
        if row["epoch"] == 2:
            raise Interrupted("SIGTERM")

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "run", lambda self: run(self, stop))
        with pytest.raises(Interrupted):
            train(tmp_path / "out", inputs, checkpoint=checkpoint)
    assert checkpoint.exists()
    assert not (tmp_path / "out").exists()
    started = []
    monkeypatch.setattr(Trainer, "run", lambda self: run(self, lambda row: started.append(row["epoch"])))
    train(tmp_path / "out", inputs, checkpoint=checkpoint)
    assert started == [3, 4]
    assert not checkpoint.exists()
    for name in ("weights.safetensors",):
        assert (tmp_path / "out" / name).read_bytes() == (teacher / name).read_bytes()


def test_checkpoint_of_another_seed_or_input_is_not_used(tmp_path, monkeypatch, inputs):
    """The key of the checkpoint, by what the trainer is given."""
    keys = []
    init = Trainer.__init__
    monkeypatch.setattr(Trainer, "__init__", lambda self, *inputs: (keys.append(inputs[-1]), init(self, *inputs))[1])
    monkeypatch.setattr(Trainer, "run", lambda self: SOME)
    other = inputs | {"prior": tmp_path / "prior.csv"}
    text = inputs["prior"].read_text(encoding="utf-8")
    other["prior"].write_text(text.replace("Cho,Cho,", "Cho,Cho,1"), encoding="utf-8")
    train(tmp_path / "a", inputs)
    train(tmp_path / "a", inputs)
    train(tmp_path / "a", inputs, seed=2)
    train(tmp_path / "a", other)
    monkeypatch.setitem(TRAINING, "learning_rate", 1e-4)
    train(tmp_path / "a", inputs)
    assert keys[0] == keys[1]
    assert len(set(keys)) == 4


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


def test_device(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto").type == "cpu"
    with pytest.raises(InputError, match="device"):
        choose_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto").type == choose_device("cuda").type == "cuda"
    assert choose_device("cpu").type == "cpu"


def test_settings_are_plain_json(teacher):
    settings = json.loads((teacher / "network.json").read_text(encoding="utf-8"))
    assert settings["network"] == NETWORK
    assert training_job.NetworkSpec(**settings["network"]) == network_spec()
