"""Training: the loss by hand, reproducibility to the bit, resuming, stopping and schedules."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from bead_cases import PRIOR, TYPES, Trap, make_model, network_spec
from cgdistill.core.errors import InputError
from cgdistill.data.beads import BeadFile
from cgdistill.data.pair_frames import PairFrames
from cgdistill.forcefield.hipnn.model import BeadModel
from cgdistill.forcefield.trainable import ModelOutput
from cgdistill.runtime.signals import Interrupted
from cgdistill.training.checkpoint import Checkpoint, state_key
from cgdistill.training.evaluation import predict, predict_each
from cgdistill.training.loss import ConstantWeights, Criterion, Loss, Objective, rmse_plus_mae, target_errors
from cgdistill.training.schedule import TrainingSpec
from cgdistill.training.trainer import Trainer, TrainingData
from cgdistill.training.training_loop import train

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
ALL = {"F": 2.0, "f": 1.0, "E": 5.0, "epsilon": 3.0}
TRAIN, VALID = np.arange(7), np.arange(7, 10)


@pytest.fixture(scope="module")
def frames(beads_path):
    """Ten frames; the teacher's targets are those of another model, the forces F noise."""
    with BeadFile(beads_path) as beads:
        frames = PairFrames.from_beads(beads, np.arange(10), 5.0)
        frames = frames.with_prior(PRIOR.forces_in_file(beads, np.arange(10)))
    teacher = predict(make_model(99), frames, np.arange(10), 5, "cpu")
    targets = {
        "f": torch.as_tensor(teacher.forces_kcal_mol_A),
        "epsilon": torch.as_tensor(teacher.epsilon_kcal_mol),
        "E": torch.as_tensor(teacher.epsilon_kcal_mol.sum(axis=1)),
    }
    return frames.with_targets(targets)


def trainer(frames, weights=ALL, seed=1, spec=SPEC, model=None, objective=None, checkpoint=None, key="", **options):
    """Training of one model; loss and criterion of ``weights`` unless an objective is given."""
    file = Checkpoint(checkpoint, key) if checkpoint else None
    data = TrainingData(frames, TRAIN, VALID, seed)
    objective = objective or Objective.constant(weights)
    return Trainer(model or make_model(1), data, objective, spec, checkpoint=file, **options)


def run(training, on_epoch=None):
    """History of one training."""
    (history,) = train([training], on_epoch=on_epoch)
    return history


def loss_terms(outputs, targets, weights):
    """Weighted terms of a loss of constant weights by target, each (n_models,)."""
    errors = target_errors(outputs, targets, list(weights))
    n_beads = outputs[0].epsilon_kcal_mol.shape[1]
    return Loss(ConstantWeights(weights)).terms(errors, [1] * len(outputs), n_beads)


def assert_same_history(one, other):
    """Equal to the bit but for the time it took."""
    assert one.drop(columns="seconds").equals(other.drop(columns="seconds"))


def assert_same_weights(one, other):
    for name, value in one.weights().items():
        assert torch.equal(value, other.weights()[name]), name


def test_error_is_rmse_plus_mae_of_each_model():
    prediction, target = torch.tensor([[1.0, 2.0], [3.0, 6.0]]), torch.tensor([[1.0, 2.0], [5.0, 5.0]])
    assert rmse_plus_mae(prediction, target).tolist() == pytest.approx([0.0, np.sqrt(5 / 2) + 3 / 2])


def test_gradient_stays_finite_where_the_target_is_met():
    prediction = torch.tensor([[2.5]], requires_grad=True)
    rmse_plus_mae(prediction, torch.tensor([[2.5]])).sum().backward()
    assert prediction.grad.tolist() == [[0.0]]


def test_gradient_of_the_error_by_hand():
    prediction = torch.tensor([[3.0, 0.0]], requires_grad=True)
    rmse_plus_mae(prediction, torch.tensor([[0.0, 4.0]])).sum().backward()
    rmse = np.sqrt(25 / 2)
    assert prediction.grad[0].tolist() == pytest.approx([3 / (2 * rmse) + 0.5, -4 / (2 * rmse) - 0.5])


def test_terms_by_hand():
    """Two frames of four beads; the energy's term is divided by the number of beads."""
    forces, epsilon = torch.zeros(2, 4, 3), torch.zeros(2, 4)
    output = ModelOutput(forces, epsilon)
    targets = {
        "F": torch.full((2, 4, 3), 2.0),
        "f": torch.tensor([3.0, 4.0]).reshape(2, 1, 1).expand(2, 4, 3),
        "E": torch.tensor([6.0, -8.0]),
        "epsilon": torch.full((2, 4), -0.5),
    }
    terms = loss_terms([output], [targets], ALL)
    assert terms["F"].item() == pytest.approx(2 * (2 + 2))
    assert terms["f"].item() == pytest.approx(np.sqrt(12.5) + 3.5)
    assert terms["E"].item() == pytest.approx(5 * (np.sqrt(50) + 7) / 4)
    assert terms["epsilon"].item() == pytest.approx(3 * (0.5 + 0.5))
    assert list(loss_terms([output], [targets], {"epsilon": 1.0})) == ["epsilon"]


@pytest.mark.parametrize("sizes", [(2, 2), (2, 3)])
def test_terms_of_several_models_are_those_of_each(sizes):
    """For batches of one size and of several."""
    rng = torch.Generator().manual_seed(1)
    outputs = [ModelOutput(torch.rand(n, 4, 3, generator=rng), torch.rand(n, 4, generator=rng)) for n in sizes]
    targets = [
        {"F": torch.rand(n, 4, 3, generator=rng), "epsilon": torch.rand(n, 4, generator=rng), "E": torch.rand(n)}
        for n in sizes
    ]
    weights = {"F": 2.0, "E": 5.0, "epsilon": 3.0}
    together = loss_terms(outputs, targets, weights)
    for number in range(2):
        alone = loss_terms([outputs[number]], [targets[number]], weights)
        for name, term in alone.items():
            assert together[name][number].item() == pytest.approx(term.item())


def test_networks_learn_what_the_prior_leaves(frames, beads_path):
    """Labels less the prior's forces in batches; predictions and labels of the whole force field outside of them."""
    with BeadFile(beads_path) as beads:
        forces = PRIOR.forces_in_file(beads, np.arange(10))
    assert np.abs(forces).max() > 0.1
    alone = PairFrames(frames.bead_types, frames.first, frames.second, frames.vectors_A, frames.targets)
    whole, model, indices = alone.with_prior(forces), make_model(1), np.arange(2)
    plain, again = alone.batch([0, 1]), whole.with_targets({"f": frames.targets["f"]})
    for batch in (whole.batch([0, 1]), again.batch([0, 1])):
        for name in ("F", "f"):
            expected = plain.targets[name].numpy() - forces[:2]
            np.testing.assert_allclose(batch.targets[name].numpy(), expected, rtol=0, atol=1e-5)
        for name in ("E", "epsilon"):
            assert torch.equal(batch.targets[name], plain.targets[name])
    found, network = (predict(model, own, indices, 2, "cpu") for own in (whole, alone))
    np.testing.assert_allclose(found[0], network[0] + forces[:2], rtol=0, atol=1e-5)
    np.testing.assert_array_equal(found[1], network[1])
    for name, values in frames.targets.items():
        assert torch.equal(whole.targets[name], values)


def test_history_holds_the_loss_of_the_whole_validation_set(frames):
    """The validation loss is not a mean over batches: RMSE is not additive."""
    training = trainer(frames, spec=replace(SPEC, max_epochs=1))
    history = run(training)
    batch = frames.batch(VALID)
    terms = loss_terms(BeadModel.evaluate_together([training.model], [batch]), [batch.targets], ALL)
    assert history.valid_loss[0] == pytest.approx(sum(term.item() for term in terms.values()), rel=1e-5)
    parts = history[[f"train_{name}" for name in ("F", "f", "E", "epsilon")]].sum(axis=1)
    np.testing.assert_allclose(parts, history.train_loss)
    assert history.best.tolist() == [1.0]


def test_training_learns(frames):
    """From a teacher of the same architecture, without noise."""
    history = run(trainer(frames, {"f": 1.0, "epsilon": 5.0}, spec=replace(SPEC, max_epochs=25)))
    assert history.valid_loss.min() < 0.5 * history.valid_loss[0]
    assert history.train_loss.iloc[-1] < 0.5 * history.train_loss[0]


def test_same_seed_same_bits_other_seed_other_order(frames):
    one, same, other = (trainer(frames, seed=seed) for seed in (1, 1, 2))
    histories = [run(training) for training in (one, same, other)]
    assert_same_history(histories[0], histories[1])
    assert_same_weights(one.model, same.model)
    assert not histories[0].train_loss.equals(histories[2].train_loss)


def test_every_epoch_has_its_own_order(frames, monkeypatch):
    orders = []
    batches = PairFrames.batches
    monkeypatch.setattr(
        PairFrames, "batches", lambda self, order, *rest: (orders.append(list(order)), batches(self, order, *rest))[1]
    )
    run(trainer(frames, spec=replace(SPEC, max_epochs=3)))
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
    expected = run(whole)
    assert expected.learning_rate.nunique() > 1
    checkpoint = tmp_path / "state.pt"
    old = signal.getsignal(number)
    epochs = []
    for _ in range(8):
        with pytest.raises(Interrupted, match=number.name):
            run(
                trainer(frames, spec=spec, checkpoint=checkpoint),
                lambda row: (epochs.append(row["epoch"]), send(number)),
            )
        assert signal.getsignal(number) is old
    assert epochs == list(range(1, 9))
    resumed = trainer(frames, spec=spec, checkpoint=checkpoint)
    assert_same_history(run(resumed), expected)
    assert_same_weights(resumed.model, whole.model)


def test_interrupted_within_an_epoch_and_resumed(frames, tmp_path, monkeypatch):
    whole = trainer(frames)
    expected = run(whole)
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
            run(trainer(frames, checkpoint=checkpoint))
    resumed = trainer(frames, checkpoint=checkpoint)
    assert_same_history(run(resumed), expected)
    assert_same_weights(resumed.model, whole.model)


def test_a_finished_checkpoint_trains_no_further(frames, tmp_path):
    first = trainer(frames, checkpoint=tmp_path / "s.pt")
    history = run(first)
    again = trainer(frames, checkpoint=tmp_path / "s.pt")
    assert run(again, lambda row: pytest.fail("an epoch was trained")).equals(history)
    assert_same_weights(again.model, first.model)


def test_checkpoint_of_other_settings_is_ignored(frames, tmp_path):
    expected = run(trainer(frames))
    run(trainer(frames, seed=5, checkpoint=tmp_path / "s.pt", key="one"))
    history = run(trainer(frames, checkpoint=tmp_path / "s.pt", key="other"))
    assert_same_history(history, expected)
    keys = {state_key({"a": 1, "b": 2}, 1), state_key({"b": 2, "a": 1}, 1), state_key({"a": 1, "b": 2}, 2)}
    assert len(keys) == 2


@pytest.mark.parametrize("damage", ["truncated", "text", "another object", "code"])
def test_damaged_checkpoint_starts_anew(frames, tmp_path, damage):
    path = tmp_path / "s.pt"
    spec = replace(SPEC, max_epochs=2)
    expected = run(trainer(frames, spec=spec, checkpoint=path))
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-500])
    elif damage == "text":
        path.write_text("state", encoding="utf-8")
    elif damage == "another object":
        torch.save([1, 2], path)
    else:
        torch.save(Trap(tmp_path / "sprung"), path)
    epochs = []
    assert_same_history(run(trainer(frames, spec=spec, checkpoint=path), epochs.append), expected)
    assert len(epochs) == 2
    assert not (tmp_path / "sprung").exists()


class ScriptedCriterion(Criterion):
    """A criterion whose values on the validation frames are given."""

    def __init__(self, weights, values):
        super().__init__(weights)
        object.__setattr__(self, "values", iter(values))

    def value(self, output, targets):
        return next(self.values)


def scripted(frames, losses, **changes):
    """Training, history and weights by epoch, where the validation losses are given."""
    weights = {"F": 1.0}
    objective = Objective(Loss(ConstantWeights(weights)), ScriptedCriterion(weights, losses))
    training = trainer(frames, spec=replace(SPEC, **changes), objective=objective)
    by_epoch = []
    history = run(training, lambda row: by_epoch.append(training.model.weights()))
    return training, history, by_epoch


def test_early_stopping_keeps_the_best(frames):
    losses = [3.0, 2.0, 2.5, 2.0, 2.2, 1.0]
    training, history, weights = scripted(frames, losses, max_epochs=6, stop_epochs=3, patience_epochs=9)
    assert history.epoch.tolist() == [1, 2, 3, 4, 5]
    assert history.best.tolist() == [1.0, 1.0, 0.0, 0.0, 0.0]
    assert training.best_epoch == 2
    for name, value in training.model.weights().items():
        assert torch.equal(value, weights[1][name])
    assert any(not torch.equal(weights[1][name], weights[4][name]) for name in weights[1])


def test_learning_rate_falls_on_a_plateau(frames):
    """Two epochs without a better loss, counted anew after each change and each better loss; floor 1e-3."""
    losses = [5.0, 5.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0]
    _, history, _ = scripted(frames, losses, max_epochs=10, stop_epochs=99, learning_rate=5e-3)
    assert history.learning_rate.tolist() == pytest.approx([5e-3] * 5 + [2.5e-3] * 2 + [1.25e-3] * 2 + [1e-3])
    assert set(history.batch_size) == {2}


def test_batch_size_grows_on_a_plateau(frames):
    losses = [5.0] * 8
    changes = {"max_epochs": 8, "stop_epochs": 99, "schedule": "batch-size"}
    _, history, _ = scripted(frames, losses, **changes)
    assert history.batch_size.tolist() == [2, 2, 2, 4, 4, 6, 6, 6]
    assert set(history.learning_rate) == {5e-3}


def test_missing_targets_and_missing_weights_are_refused(frames):
    only = PairFrames(frames.bead_types, frames.first, frames.second, frames.vectors_A, {"F": frames.targets["F"]})
    with pytest.raises(InputError, match="epsilon"):
        trainer(only, {"F": 1.0, "epsilon": 5.0})
    with pytest.raises(InputError, match="loss weights"):
        trainer(frames, {})
    trainer(only, {"F": 1.0})


def test_a_loss_that_is_not_finite_ends_the_training(frames):
    spoiled = frames.with_targets({"E": frames.targets["E"] * float("inf")})
    with pytest.raises(InputError, match="seed-4: found loss is inf in epoch 1, batch 1 of 4"):
        run(trainer(spoiled, {"E": 1.0}, name="seed-4"))


def test_prediction_does_not_depend_on_the_batches(frames):
    model = make_model(4)
    one, other = (predict(model, frames, np.array([5, 0, 3]), size, "cpu") for size in (1, 3))
    for values, same in zip(one, other, strict=True):
        np.testing.assert_allclose(values, same, atol=1e-5)
    (alone,) = BeadModel.evaluate_together([model], [frames.batch([0])])
    np.testing.assert_allclose(one.epsilon_kcal_mol[1], alone.epsilon_kcal_mol[0].detach(), atol=1e-6)


def several(frames, folder=None, spec=SPEC, seeds=(1, 2, 3), **options):
    """Trainings that differ in weights, order and targets, each with a checkpoint where a folder is given."""
    made = []
    for seed in seeds:
        own = frames.with_targets({"f": frames.targets["f"] + 0.1 * seed})
        checkpoint = folder / f"{seed}.pt" if folder else None
        names = {"checkpoint": checkpoint, "key": str(seed), "name": f"seed-{seed}", **options}
        made.append(trainer(own, seed=seed, spec=spec, model=make_model(seed), **names))
    return made


def test_one_after_another_is_each_alone(frames):
    """To the bit; the trainings share the pairs of the frames."""
    together = several(frames)
    histories = train(together)
    for history, model, alone in zip(histories, together, several(frames), strict=True):
        assert model.data.frames.first is frames.first
        assert_same_history(history, run(alone))
        assert_same_weights(model.model, alone.model)
    assert not histories[0].train_loss.equals(histories[1].train_loss)


def assert_close_history(one, other, rtol=1e-4):
    """Equal up to rounding in 32 bits, which a few steps of Adam enlarge."""
    assert one.columns.equals(other.columns)
    columns = [name for name in one if name != "seconds"]
    np.testing.assert_allclose(one[columns], other[columns], rtol=rtol)


class GraphModel(BeadModel):
    """A model that is evaluated by hippynn's graph; counts the steps of training."""

    n_steps = 0

    @classmethod
    def evaluate_together(cls, models, batches, differentiable=False):
        cls.n_steps += differentiable
        found = [
            model.graph_energies_and_forces(batch, differentiable) for model, batch in zip(models, batches, strict=True)
        ]
        return [ModelOutput(forces, network) for network, forces in found]


def test_trains_as_through_the_graph_of_hippynn(frames):
    """Losses of four epochs, 16 steps of Adam, to 1e-5: measured 4e-7, rounding in 32 bits that the steps enlarge."""
    fused = run(trainer(frames))
    stock = run(trainer(frames, model=GraphModel(network_spec(), TYPES, 1)))
    assert GraphModel.n_steps == 16
    assert fused.train_loss.iloc[-1] < 0.95 * fused.train_loss[0]
    assert_close_history(fused, stock, rtol=1e-5)


def test_lockstep_is_each_alone(frames):
    """Up to rounding; the last batch of an epoch is smaller than the others (7 frames by 2)."""
    together = several(frames)
    for history, alone in zip(train(together, lockstep=True), several(frames), strict=True):
        assert_close_history(history, run(alone))


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
        assert_close_history(history, run(other))


def test_lockstep_wants_shared_pairs_and_weights(frames):
    one, other = several(frames)[0], several(frames, seeds=[2])[0]
    other.objective = Objective.constant({"F": 1.0})
    with pytest.raises(ValueError, match="loss weights"):
        train([one, other], lockstep=True)
    other = several(frames, seeds=[2])[0]
    other.data = replace(other.data, valid=VALID[:2])
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
    spoiled = frames.with_targets({"E": frames.targets["E"] * float("nan")})
    made[1].data = replace(made[1].data, frames=spoiled)
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
        for values, same in zip(found, alone, strict=True):
            np.testing.assert_allclose(values, same, atol=1e-5)


class Switch:
    """Weights that change after the first epoch."""

    def __init__(self, first, then):
        self.first, self.then = first, then

    @property
    def targets(self):
        return tuple(name for name in ALL if name in self.first or name in self.then)

    def weights_at(self, epoch):
        return self.first if epoch == 1 else self.then


def test_weights_may_change_with_the_epoch(frames, tmp_path):
    """Bit for bit: the first epoch is that of one loss, the second continues from its checkpoint with the other."""
    first, then = {"F": 1.0}, {"f": 1.0, "epsilon": 5.0}
    objective = Objective(Loss(Switch(first, then)), Criterion(first))
    switched = trainer(frames, spec=replace(SPEC, max_epochs=2), objective=objective)
    by_epoch = []
    history = run(switched, lambda row: by_epoch.append(switched.model.weights()))
    for epochs, weights in ((1, first), (2, then)):
        expected = trainer(
            frames, weights, spec=replace(SPEC, max_epochs=epochs, stop_epochs=9), checkpoint=tmp_path / "state.pt"
        )
        last = []
        run(expected, lambda row, model=expected.model, last=last: last.append(model.weights()))
        assert len(last) == 1
        for name, value in last[0].items():
            assert torch.equal(value, by_epoch[epochs - 1][name]), (epochs, name)
    batch = frames.batch(VALID)
    forces = by_epoch[1]
    switched.model.load_weights(forces)
    (output,) = BeadModel.evaluate_together([switched.model], [batch])
    by_criterion = rmse_plus_mae(output.forces_kcal_mol_A[None], batch.targets["F"][None]).item()
    assert history.valid_loss[1] == pytest.approx(by_criterion, rel=1e-5)


def test_what_judges_an_epoch_does_not_change_with_the_weights(frames):
    """Weights a thousand times as large, as a schedule may have them: nothing diverges, and losses can be compared."""
    steady = run(trainer(frames, {"F": 1.0}))
    objective = Objective(Loss(Switch({"F": 1.0}, {"F": 1000.0})), Criterion({"F": 1.0}))
    changed = trainer(frames, objective=objective)
    history = run(changed)
    assert not changed.failures
    # Adam does not depend on the scale of the gradients but for the moments from before the change.
    np.testing.assert_allclose(history[["train_loss", "valid_loss"]], steady[["train_loss", "valid_loss"]], rtol=0.2)
    assert history.iloc[0].drop("seconds").equals(steady.iloc[0].drop("seconds"))


def test_models_in_lockstep_have_the_weights_of_their_own_epochs():
    """A model in epoch 1 and one in epoch 3, by hand; a target that counts for one of them alone is 0 for the other."""
    forces, epsilon = torch.zeros(1, 2, 3), torch.zeros(1, 2)
    targets = {"F": torch.full((1, 2, 3), 3.0), "epsilon": torch.full((1, 2), 2.0)}
    errors = target_errors([ModelOutput(forces, epsilon)] * 2, [targets] * 2, ["F", "epsilon"])
    terms = Loss(Switch({"F": 2.0}, {"F": 5.0, "epsilon": 0.5})).terms(errors, [1, 3], 2)
    assert {name: term.tolist() for name, term in terms.items()} == {"F": [12.0, 30.0], "epsilon": [0.0, 2.0]}
    with pytest.raises(ValueError, match="no weight above 0"):
        Loss(Switch({}, {"F": 1.0})).terms(errors, [1, 2], 2)
