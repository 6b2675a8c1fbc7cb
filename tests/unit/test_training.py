"""Training: the loss by hand, reproducibility to the bit, resuming, stopping and schedules."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from bead_cases import Trap, make_model
from cgdistill.core.errors import InputError
from cgdistill.data.beads import BeadFile
from cgdistill.data.pair_frames import PairFrames
from cgdistill.runtime.signals import Interrupted
from cgdistill.training import trainer as training
from cgdistill.training.trainer import (
    LossWeights,
    Trainer,
    TrainingSpec,
    error_sum,
    loss_terms,
    predict,
    predict_batches,
    predict_each,
    state_key,
    train,
)

SPEC = TrainingSpec(
    learning_rate=5e-3,
    batch_size=2,
    evaluation_batch_size=2,
    max_epochs=4,
    schedule="learning-rate",
    factor=0.5,
    patience_epochs=2,
    min_learning_rate=1e-3,
    max_batch_size=6,
    stop_epochs=10,
)
ALL = LossWeights(F=2.0, f=1.0, E=5.0, epsilon=3.0)
TRAIN, VALID = np.arange(7), np.arange(7, 10)


@pytest.fixture(scope="module")
def frames(beads_path):
    """Ten frames; the teacher's targets are those of another model, the forces F noise."""
    with BeadFile(beads_path) as beads:
        frames = PairFrames.from_beads(beads, np.arange(10), 5.0)
    teacher = predict(make_model(99), frames, np.arange(10), 5, "cpu")
    frames.targets |= {
        "f": torch.as_tensor(teacher["forces"]),
        "epsilon": torch.as_tensor(teacher["epsilon"]),
        "E": torch.as_tensor(teacher["epsilon"].sum(axis=1)),
    }
    return frames


def trainer(frames, weights=ALL, seed=1, spec=SPEC, **options):
    return Trainer(make_model(1), frames, TRAIN, VALID, weights, spec, seed, **options)


def assert_same_history(one, other):
    """Equal to the bit but for the time it took."""
    assert one.drop(columns="seconds").equals(other.drop(columns="seconds"))


def assert_same_weights(one, other):
    for name, value in one.weights().items():
        assert torch.equal(value, other.weights()[name]), name


def test_error_is_rmse_plus_mae_of_each_model():
    prediction, target = torch.tensor([[1.0, 2.0], [3.0, 6.0]]), torch.tensor([[1.0, 2.0], [5.0, 5.0]])
    assert error_sum(prediction, target).tolist() == pytest.approx([0.0, np.sqrt(5 / 2) + 3 / 2])


def test_gradient_stays_finite_where_the_target_is_met():
    prediction = torch.tensor([[2.5]], requires_grad=True)
    error_sum(prediction, torch.tensor([[2.5]])).sum().backward()
    assert prediction.grad.tolist() == [[0.0]]


def test_gradient_of_the_error_by_hand():
    prediction = torch.tensor([[3.0, 0.0]], requires_grad=True)
    error_sum(prediction, torch.tensor([[0.0, 4.0]])).sum().backward()
    rmse = np.sqrt(25 / 2)
    assert prediction.grad[0].tolist() == pytest.approx([3 / (2 * rmse) + 0.5, -4 / (2 * rmse) - 0.5])


def test_terms_by_hand():
    """Two frames of four beads; the energy's term is divided by the number of beads."""
    forces, epsilon = torch.zeros(2, 4, 3), torch.zeros(2, 4)
    predictions = {"F": forces, "f": forces, "E": epsilon.sum(dim=1), "epsilon": epsilon}
    targets = {
        "F": torch.full((2, 4, 3), 2.0),
        "f": torch.tensor([3.0, 4.0]).reshape(2, 1, 1).expand(2, 4, 3),
        "E": torch.tensor([6.0, -8.0]),
        "epsilon": torch.full((2, 4), -0.5),
    }
    terms = loss_terms([predictions], [targets], ALL)
    assert terms["F"].item() == pytest.approx(2 * (2 + 2))
    assert terms["f"].item() == pytest.approx(np.sqrt(12.5) + 3.5)
    assert terms["E"].item() == pytest.approx(5 * (np.sqrt(50) + 7) / 4)
    assert terms["epsilon"].item() == pytest.approx(3 * (0.5 + 0.5))
    assert list(loss_terms([predictions], [targets], LossWeights(epsilon=1.0))) == ["epsilon"]


@pytest.mark.parametrize("sizes", [(2, 2), (2, 3)])
def test_terms_of_several_models_are_those_of_each(sizes):
    """For batches of one size and of several."""
    rng = torch.Generator().manual_seed(1)
    predictions, targets = (
        [
            {"F": torch.rand(n, 4, 3, generator=rng), "epsilon": torch.rand(n, 4, generator=rng), "E": torch.rand(n)}
            for n in sizes
        ]
        for _ in range(2)
    )
    weights = LossWeights(F=2.0, E=5.0, epsilon=3.0)
    together = loss_terms(predictions, targets, weights)
    for number in range(2):
        alone = loss_terms([predictions[number]], [targets[number]], weights)
        for name, term in alone.items():
            assert together[name][number].item() == pytest.approx(term.item())


def test_energies_do_not_hold_the_prior_and_forces_do(frames):
    batch = frames.batch([0, 1])
    model = make_model(1)
    (values,) = predict_batches([model], [batch])
    network, prior, forces = model.energies_and_forces(batch.species, batch.first, batch.second, batch.vectors_A)
    assert prior.abs().max() > 0
    torch.testing.assert_close(values["epsilon"], network)
    torch.testing.assert_close(values["E"], network.sum(dim=1))
    torch.testing.assert_close(values["F"], forces)


def test_history_holds_the_loss_of_the_whole_validation_set(frames):
    """The validation loss is not a mean over batches: RMSE is not additive."""
    training = trainer(frames, spec=replace(SPEC, max_epochs=1))
    history = training.run()
    batch = frames.batch(VALID)
    terms = loss_terms(predict_batches([training.model], [batch]), [batch.targets], ALL)
    assert history.valid_loss[0] == pytest.approx(sum(term.item() for term in terms.values()), rel=1e-5)
    parts = history[[f"train_{name}" for name in ("F", "f", "E", "epsilon")]].sum(axis=1)
    np.testing.assert_allclose(parts, history.train_loss)
    assert history.best.tolist() == [1.0]


def test_training_learns(frames):
    """From a teacher of the same architecture, without noise."""
    history = trainer(frames, LossWeights(f=1.0, epsilon=5.0), spec=replace(SPEC, max_epochs=25)).run()
    assert history.valid_loss.min() < 0.5 * history.valid_loss[0]
    assert history.train_loss.iloc[-1] < 0.5 * history.train_loss[0]


def test_same_seed_same_bits_other_seed_other_order(frames):
    one, same, other = (trainer(frames, seed=seed) for seed in (1, 1, 2))
    histories = [training.run() for training in (one, same, other)]
    assert_same_history(histories[0], histories[1])
    assert_same_weights(one.model, same.model)
    assert not histories[0].train_loss.equals(histories[2].train_loss)


def test_every_epoch_has_its_own_order(frames, monkeypatch):
    orders = []
    batches = PairFrames.batches
    monkeypatch.setattr(
        PairFrames, "batches", lambda self, order, *rest: (orders.append(list(order)), batches(self, order, *rest))[1]
    )
    trainer(frames, spec=replace(SPEC, max_epochs=3)).run()
    trained = [order for order in orders if len(order) == len(TRAIN)]
    assert [sorted(order) for order in trained] == [TRAIN.tolist()] * 3
    assert trained[0] != trained[1] != trained[2]


def send(number):
    """A signal to this process, whose handler is the trainer's only in the main thread."""
    assert threading.current_thread() is threading.main_thread()
    assert signal.getsignal(number) not in (signal.SIG_DFL, signal.default_int_handler)
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_interrupted_after_every_epoch_and_resumed(frames, tmp_path, number):
    """The learning rate falls after two epochs on a plateau, so the counter of the plateau is resumed too."""
    spec = replace(SPEC, max_epochs=8, learning_rate=0.5)
    whole = trainer(frames, spec=spec)
    expected = whole.run()
    assert expected.learning_rate.nunique() > 1
    checkpoint = tmp_path / "state.pt"
    old = signal.getsignal(number)
    epochs = []
    for _ in range(8):
        with pytest.raises(Interrupted, match=number.name):
            trainer(frames, spec=spec, checkpoint=checkpoint).run(
                lambda row: (epochs.append(row["epoch"]), send(number))
            )
        assert signal.getsignal(number) is old
    assert epochs == list(range(1, 9))
    resumed = trainer(frames, spec=spec, checkpoint=checkpoint)
    assert_same_history(resumed.run(), expected)
    assert_same_weights(resumed.model, whole.model)


def test_interrupted_within_an_epoch_and_resumed(frames, tmp_path, monkeypatch):
    whole = trainer(frames)
    expected = whole.run()
    checkpoint = tmp_path / "state.pt"
    batches, calls = PairFrames.batches, []

    def interrupting(self, order, *rest):
        for number, batch in enumerate(batches(self, order, *rest)):
            calls.append(len(order))
            if calls.count(len(TRAIN)) == 6 and number == 1:
                send(signal.SIGTERM)
            yield batch

    with monkeypatch.context() as patch:
        patch.setattr(PairFrames, "batches", interrupting)
        with pytest.raises(Interrupted, match="in epoch 2"):
            trainer(frames, checkpoint=checkpoint).run()
    resumed = trainer(frames, checkpoint=checkpoint)
    assert_same_history(resumed.run(), expected)
    assert_same_weights(resumed.model, whole.model)


def test_a_finished_checkpoint_trains_no_further(frames, tmp_path):
    first = trainer(frames, checkpoint=tmp_path / "s.pt")
    history = first.run()
    again = trainer(frames, checkpoint=tmp_path / "s.pt")
    assert again.run(lambda row: pytest.fail("an epoch was trained")).equals(history)
    assert_same_weights(again.model, first.model)


def test_checkpoint_of_other_settings_is_ignored(frames, tmp_path):
    expected = trainer(frames).run()
    trainer(frames, seed=5, checkpoint=tmp_path / "s.pt", key="one").run()
    history = trainer(frames, checkpoint=tmp_path / "s.pt", key="other").run()
    assert_same_history(history, expected)
    keys = {state_key({"a": 1, "b": 2}, 1), state_key({"b": 2, "a": 1}, 1), state_key({"a": 1, "b": 2}, 2)}
    assert len(keys) == 2


@pytest.mark.parametrize("damage", ["truncated", "text", "another object", "code"])
def test_damaged_checkpoint_starts_anew(frames, tmp_path, damage):
    path = tmp_path / "s.pt"
    spec = replace(SPEC, max_epochs=2)
    expected = trainer(frames, spec=spec, checkpoint=path).run()
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-500])
    elif damage == "text":
        path.write_text("state", encoding="utf-8")
    elif damage == "another object":
        torch.save([1, 2], path)
    else:
        torch.save(Trap(tmp_path / "sprung"), path)
    epochs = []
    assert_same_history(trainer(frames, spec=spec, checkpoint=path).run(epochs.append), expected)
    assert len(epochs) == 2
    assert not (tmp_path / "sprung").exists()


def scripted(frames, monkeypatch, losses, **changes):
    """History and weights by epoch of a training whose validation losses are given."""
    training = trainer(frames, LossWeights(F=1.0), spec=replace(SPEC, **changes))
    values = iter(losses)
    monkeypatch.setattr(training, "_valid_loss", lambda predictions: next(values))
    weights = []
    history = training.run(lambda row: weights.append(training.model.weights()))
    return training, history, weights


def test_early_stopping_keeps_the_best(frames, monkeypatch):
    losses = [3.0, 2.0, 2.5, 2.0, 2.2, 1.0]
    training, history, weights = scripted(frames, monkeypatch, losses, max_epochs=6, stop_epochs=3, patience_epochs=9)
    assert history.epoch.tolist() == [1, 2, 3, 4, 5]
    assert history.best.tolist() == [1.0, 1.0, 0.0, 0.0, 0.0]
    assert training.best_epoch == 2
    for name, value in training.model.weights().items():
        assert torch.equal(value, weights[1][name])
    assert any(not torch.equal(weights[1][name], weights[4][name]) for name in weights[1])


def test_learning_rate_falls_on_a_plateau(frames, monkeypatch):
    """Two epochs without a better loss, counted anew after each change and each better loss; floor 1e-3."""
    losses = [5.0, 5.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0]
    _, history, _ = scripted(frames, monkeypatch, losses, max_epochs=10, stop_epochs=99, learning_rate=5e-3)
    assert history.learning_rate.tolist() == pytest.approx([5e-3] * 5 + [2.5e-3] * 2 + [1.25e-3] * 2 + [1e-3])
    assert set(history.batch_size) == {2}


def test_batch_size_grows_on_a_plateau(frames, monkeypatch):
    losses = [5.0] * 8
    changes = {"max_epochs": 8, "stop_epochs": 99, "schedule": "batch-size"}
    _, history, _ = scripted(frames, monkeypatch, losses, **changes)
    assert history.batch_size.tolist() == [2, 2, 2, 4, 4, 6, 6, 6]
    assert set(history.learning_rate) == {5e-3}


def test_missing_targets_and_missing_weights_are_refused(frames):
    only = PairFrames(frames.bead_types, frames.first, frames.second, frames.vectors_A, {"F": frames.targets["F"]})
    with pytest.raises(InputError, match="epsilon"):
        trainer(only, LossWeights(F=1.0, epsilon=5.0))
    with pytest.raises(InputError, match="loss weights"):
        trainer(frames, LossWeights())
    trainer(only, LossWeights(F=1.0))


def test_a_loss_that_is_not_finite_ends_the_training(frames):
    spoiled = frames.with_targets({"E": frames.targets["E"] * float("inf")})
    with pytest.raises(InputError, match="seed-4: found loss is inf in epoch 1, batch 1 of 4"):
        trainer(spoiled, LossWeights(E=1.0), name="seed-4").run()


def test_prediction_does_not_depend_on_the_batches(frames):
    model = make_model(4)
    one, other = (predict(model, frames, np.array([5, 0, 3]), size, "cpu") for size in (1, 3))
    for name in ("forces", "epsilon"):
        np.testing.assert_allclose(one[name], other[name], atol=1e-5)
    (alone,) = predict_batches([model], [frames.batch([0])])
    np.testing.assert_allclose(one["epsilon"][1], alone["epsilon"][0].detach(), atol=1e-6)


def several(frames, folder=None, spec=SPEC, seeds=(1, 2, 3), **options):
    """Trainings that differ in weights, order and targets, each with a checkpoint where a folder is given."""
    made = []
    for seed in seeds:
        own = frames.with_targets({"f": frames.targets["f"] + 0.1 * seed})
        checkpoint = folder / f"{seed}.pt" if folder else None
        names = {"checkpoint": checkpoint, "key": str(seed), "name": f"seed-{seed}", **options}
        made.append(Trainer(make_model(seed), own, TRAIN, VALID, ALL, spec, seed, **names))
    return made


def test_one_after_another_is_each_alone(frames):
    """To the bit; the trainings share the pairs of the frames."""
    together = several(frames)
    histories = train(together)
    for history, model, alone in zip(histories, together, several(frames), strict=True):
        assert model.frames.first is frames.first
        assert_same_history(history, alone.run())
        assert_same_weights(model.model, alone.model)
    assert not histories[0].train_loss.equals(histories[1].train_loss)


def assert_close_history(one, other, rtol=1e-4):
    """Equal up to rounding in 32 bits, which a few steps of Adam enlarge."""
    assert one.columns.equals(other.columns)
    columns = [name for name in one if name != "seconds"]
    np.testing.assert_allclose(one[columns], other[columns], rtol=rtol)


def test_trains_as_through_the_graph_of_hippynn(frames, monkeypatch):
    """Losses of four epochs, 16 steps of Adam, to 1e-5: measured 4e-7, rounding in 32 bits that the steps enlarge."""
    fused = trainer(frames).run()
    asked = []

    def through_hippynn(models, batches, differentiable):
        asked.append(differentiable)
        return [
            model.energies_and_forces(
                batch.species, batch.first, batch.second, batch.vectors_A, differentiable, evaluation="stock"
            )
            for model, batch in zip(models, batches, strict=True)
        ]

    monkeypatch.setattr(training, "_energies_and_forces", through_hippynn)
    stock = trainer(frames).run()
    assert asked.count(True) == 16
    assert fused.train_loss.iloc[-1] < 0.95 * fused.train_loss[0]
    assert_close_history(fused, stock, rtol=1e-5)


def test_lockstep_is_each_alone(frames):
    """Up to rounding; the last batch of an epoch is smaller than the others (7 frames by 2)."""
    together = several(frames)
    for history, alone in zip(train(together, lockstep=True), several(frames), strict=True):
        assert_close_history(history, alone.run())


def test_lockstep_with_other_batch_sizes_and_ends(frames):
    """Epochs of 4, 2 and 1 batches and trainings of 2, 5 and 3 epochs: who is done waits or drops out."""
    changes = {1: (2, 2), 2: (4, 5), 3: (7, 3)}
    specs = {seed: replace(SPEC, batch_size=size, max_epochs=ends) for seed, (size, ends) in changes.items()}
    together, alone = (
        [one for seed, spec in specs.items() for one in several(frames, spec=spec, seeds=[seed])] for _ in range(2)
    )
    histories = train(together, lockstep=True)
    assert [len(history) for history in histories] == [2, 5, 3]
    for history, other in zip(histories, alone, strict=True):
        assert_close_history(history, other.run())


def test_lockstep_wants_shared_pairs_and_weights(frames):
    one, other = several(frames)[0], several(frames, seeds=[2])[0]
    other.weights = LossWeights(F=1.0)
    with pytest.raises(ValueError, match="loss weights"):
        train([one, other], lockstep=True)
    other = several(frames, seeds=[2])[0]
    other.valid_set = VALID[:2]
    with pytest.raises(ValueError, match="validation set"):
        train([one, other], lockstep=True)


@pytest.mark.parametrize("lockstep", [False, True])
def test_several_interrupted_after_every_epoch_and_resumed(frames, tmp_path, lockstep):
    """No epoch is trained twice, finished models least of all, and the result is that without interruption."""
    whole = several(frames)
    expected = train(whole, lockstep)
    epochs = []
    for _ in range(4 if lockstep else 12):
        with pytest.raises(Interrupted, match="SIGTERM"):
            train(several(frames, tmp_path), lockstep, lambda row: (epochs.append(row["epoch"]), send(signal.SIGTERM)))
    assert sorted(epochs) == sorted([1, 2, 3, 4] * 3)
    resumed = several(frames, tmp_path)
    histories = train(resumed, lockstep, lambda row: pytest.fail("an epoch was trained"))
    for history, other, one, same in zip(histories, expected, resumed, whole, strict=True):
        assert_same_history(history, other)
        assert_same_weights(one.model, same.model)


@pytest.mark.parametrize("lockstep", [False, True])
def test_a_failed_model_is_named_and_the_others_stay(frames, tmp_path, lockstep):
    """The second of three fails in its first epoch; the others are trained to their ends, as if it were not there."""
    made = several(frames, tmp_path)
    made[1].frames.targets["E"] = frames.targets["E"] * float("nan")
    with pytest.raises(InputError, match="seed-2: found loss is nan in epoch 1"):
        train(made, lockstep)
    alone = several(frames, seeds=(1, 3))
    train(alone, lockstep)
    for one, other in zip((made[0], made[2]), alone, strict=True):
        for row, same in zip(one.history, other.history, strict=True):
            assert row["valid_loss"] == (
                pytest.approx(same["valid_loss"], rel=1e-5) if lockstep else same["valid_loss"]
            )
    train([made[0]], on_epoch=lambda row: pytest.fail("an epoch was trained"))


def test_predictions_of_several_models_are_those_of_each(frames):
    models = [make_model(seed) for seed in (1, 2)]
    for model, found in zip(models, predict_each(models, frames, VALID, 2, "cpu"), strict=True):
        alone = predict(model, frames, VALID, 2, "cpu")
        for name in ("forces", "epsilon"):
            np.testing.assert_allclose(found[name], alone[name], atol=1e-5)
