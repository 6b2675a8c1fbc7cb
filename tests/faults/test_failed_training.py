"""Training that goes wrong: found, named by epoch and batch, tried again, excluded or stopped; never averaged in.

Cannot detect: failures that leave a plausible network (a bad local minimum); what a GPU's arithmetic makes of them.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from bead_cases import PRIOR_SETTINGS, bead_topology, make_frames, make_model, network_spec
from cgdistill.analysis.run_analysis import analyse_reference, analyse_runs, read_cluster_cutoffs
from cgdistill.analysis.stability import StabilitySpec
from cgdistill.core.errors import InputError
from cgdistill.core.seeds import derive
from cgdistill.core.vocabulary import NetworkStatus, RunStatus
from cgdistill.data.beads import BeadFile
from cgdistill.data.pair_frames import PairFrames
from cgdistill.data.split import Split, write_split
from cgdistill.forcefield.model_files import load_model
from cgdistill.forcefield.prior.terms import fit_prior, write_prior
from cgdistill.forcefield.trainable import ModelOutput
from cgdistill.io.csv_tables import read_table, write_table
from cgdistill.md.protocol import SimulationSpec
from cgdistill.md.simulation import RunPlan, run_simulations
from cgdistill.results.collect_tables import networks_of, performance_of, training_of
from cgdistill.results.verdict import exclusions, stability
from cgdistill.statistics import StatisticsSpec, summarise
from cgdistill.structure.spec import StructureSpec
from cgdistill.structure.tae import tae_table
from cgdistill.training.failure_policy import FailurePolicy
from cgdistill.training.predictions import (
    average_predictions,
    read_predictions,
    single_predictions,
    write_predictions,
)
from cgdistill.training.teacher_selection import (
    HEALTH_COLUMNS,
    judge_teachers,
    read_health,
    sound_files,
    sound_networks,
)
from cgdistill.training.trainer import Trainer
from cgdistill.training.training_job import TrainingInputs, TrainingSettings, TrainingTask, run_trainings
from cgdistill.training.training_loop import train
from table import document_part, training_table
from test_training import SPEC, TRAIN, VALID
from training_faults import NUMBERS, TRAINING_FAULTS, training

RETRY = FailurePolicy(retries=2, retry_factor=0.1)


@pytest.fixture(scope="module")
def beads_path(tmp_path_factory) -> Path:
    from bead_cases import write_beads

    return write_beads(tmp_path_factory.mktemp("beads") / "beads.h5", 12)


@pytest.fixture(scope="module")
def frames(beads_path):
    """Ten frames with random forces."""
    with BeadFile(beads_path) as beads:
        return PairFrames.from_beads(beads, np.arange(10), 5.0)


def same_weights(one, other):
    return all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize("lockstep", [False, True], ids=["alone", "lockstep"])
@pytest.mark.parametrize("fault", TRAINING_FAULTS, ids=lambda fault: fault.title)
def test_a_failure_is_found_and_named(frames, fault, lockstep, caplog):
    """By kind, epoch, batch and frames; the model beside it is trained as if it were alone."""
    policy = FailurePolicy(**{"then": "exclude", **fault.policy})
    bad, good = training(frames, 1, policy=policy), training(frames, 2)
    fault.make(bad)
    train([bad, good], lockstep)
    (failure,) = bad.failures
    assert failure.reason == fault.reason and re.fullmatch(fault.message + ".*", failure.text), failure.text
    assert fault.epoch in (None, failure.epoch) and fault.batch in (None, failure.batch)
    assert bad.excluded == failure.text and bad.excluded in caplog.text and "teachers/seed-1" in caplog.text
    if failure.batch is not None:
        assert f"batch {failure.batch} of" in failure.text and set(failure.frames) <= set(NUMBERS[TRAIN].tolist())
    assert not good.excluded and len(good.history) == SPEC.max_epochs
    alone = training(frames, 2)
    train([alone])
    expected = [row["valid_loss"] for row in alone.history]
    assert [row["valid_loss"] for row in good.history] == (pytest.approx(expected, rel=1e-5) if lockstep else expected)
    # What is left is of an epoch before, and finite.
    assert all(torch.isfinite(value).all() for value in bad.model.weights().values())


def test_the_document_has_these_faults():
    """Written by ``python -m tests.faults.table --write``."""
    assert document_part("training") == training_table()


def test_the_batch_named_is_the_one_that_holds_the_frame(frames):
    """For every frame: the order of the epoch is drawn here once more."""
    for place in TRAIN:
        spoiled = training(frames, policy=FailurePolicy(then="exclude"))
        forces = frames.targets["F"].clone()
        forces[place, 0, 0] = float("inf")
        spoiled.data = replace(spoiled.data, frames=frames.with_targets({"F": forces}))
        train([spoiled])
        (failure,) = spoiled.failures
        assert NUMBERS[place] in failure.frames and len(failure.frames) <= SPEC.batch_size
        order = np.random.default_rng(derive(1, "epoch", 0)).permutation(TRAIN)
        first = int(np.flatnonzero(order == place)[0])
        assert failure.batch == first // SPEC.batch_size + 1


@pytest.mark.parametrize("fault", [f for f in TRAINING_FAULTS if not f.again], ids=lambda fault: fault.title)
def test_a_retry_is_the_training_with_the_lower_rate(frames, fault):
    """Bit for bit: same initial weights, same order, and the failed attempt leaves nothing behind."""
    failed = training(frames, policy=RETRY)
    fault.make(failed)
    (history,) = train([failed])
    lower = training(frames, spec=replace(SPEC, learning_rate=SPEC.learning_rate * 0.1))
    (expected,) = train([lower])
    assert not failed.excluded and failed.attempt == 1 and len(failed.failures) == 1
    assert history.drop(columns="seconds").equals(expected.drop(columns="seconds"))
    assert same_weights(failed.model.weights(), lower.model.weights())


def test_a_learning_rate_that_explodes_is_lowered_until_it_does_not(frames):
    failed = training(frames, spec=replace(SPEC, learning_rate=1e3), policy=FailurePolicy(10.0, None, 8, 0.1))
    train([failed])
    assert not failed.excluded and 1 <= failed.attempt <= 7
    rates = [failure.learning_rate for failure in failed.failures]
    assert rates == pytest.approx([1e3 * 0.1**k for k in range(failed.attempt)])
    assert failed.history[0]["learning_rate"] == pytest.approx(1e3 * 0.1**failed.attempt)


@pytest.mark.parametrize("fault", TRAINING_FAULTS[:1], ids=lambda fault: fault.title)
def test_a_failure_for_good_stops_with_one_clear_line(frames, tmp_path, fault):
    """The other models of the job are trained to their ends before, and not again when the job is started anew."""
    made = [training(frames, seed, policy=RETRY, checkpoint=tmp_path / f"{seed}.pt") for seed in (1, 2)]
    fault.make(made[0])
    message = rf"training: teachers/seed-1: found {fault.message}, after 2 retries, expected .*failures.then: exclude"
    with pytest.raises(InputError, match=message):
        train(made)
    rates = [failure.learning_rate for failure in made[0].failures]
    assert rates == pytest.approx([SPEC.learning_rate * 0.1**k for k in range(3)])
    assert len(made[1].history) == SPEC.max_epochs
    again = [training(frames, seed, policy=RETRY, checkpoint=tmp_path / f"{seed}.pt") for seed in (1, 2)]
    with pytest.raises(InputError, match=message):
        train(again, on_epoch=lambda row: pytest.fail("an epoch was trained"))


def test_all_that_failed_are_named(frames):
    made = [training(frames, seed) for seed in (1, 2, 3)]
    for trainer in (made[0], made[2]):
        TRAINING_FAULTS[0].make(trainer)
    message = (
        r"training: teachers/seed-1, teachers/seed-3: found loss is nan .* retries; loss is nan .* retries, expected"
    )
    with pytest.raises(InputError, match=message):
        train(made)


def test_more_retries_go_on_where_it_was_given_up(frames, tmp_path):
    def made(retries):
        return training(frames, policy=replace(RETRY, retries=retries, then="exclude"), checkpoint=tmp_path / "1.pt")

    first = made(0)
    nan_gradient = next(fault for fault in TRAINING_FAULTS if fault.title.startswith("a gradient"))
    nan_gradient.make(first)
    train([first])
    assert first.excluded and first.epoch == 1
    second = made(1)
    train([second])
    lower = training(frames, spec=replace(SPEC, learning_rate=SPEC.learning_rate * 0.1))
    train([lower])
    assert not second.excluded and same_weights(second.model.weights(), lower.model.weights())


def test_an_interrupted_retry_goes_on(frames, tmp_path):
    """A job that dies within a retry, after every epoch: the result is that without interruption."""
    fault = next(fault for fault in TRAINING_FAULTS if fault.title.startswith("a loss that grows"))
    whole = training(frames, policy=RETRY)
    fault.make(whole)
    (expected,) = train([whole])

    class Dies(Exception):
        pass

    def die(_):
        raise Dies

    for _ in range(6):
        cut = training(frames, policy=RETRY, checkpoint=tmp_path / "1.pt")
        fault.make(cut)
        with pytest.raises(Dies):
            train([cut], on_epoch=die)
    last = training(frames, policy=RETRY, checkpoint=tmp_path / "1.pt")
    fault.make(last)
    (history,) = train([last], on_epoch=lambda row: pytest.fail("an epoch was trained"))
    assert history.drop(columns="seconds").equals(expected.drop(columns="seconds"))
    assert [asdict(failure) for failure in last.failures] == [asdict(failure) for failure in whole.failures]
    assert same_weights(last.model.weights(), whole.model.weights())


@pytest.mark.parametrize("lockstep", [False, True], ids=["alone", "lockstep"])
def test_what_was_excluded_stays_so_when_the_job_is_started_anew(frames, tmp_path, lockstep):
    """With the weights of its best epoch. In lockstep it goes on to the end of the epoch with weights that are none."""
    fault = next(fault for fault in TRAINING_FAULTS if fault.title.startswith("a gradient"))
    results = []
    for _ in range(2):
        policy = FailurePolicy(then="exclude")
        made = [training(frames, seed, policy=policy, checkpoint=tmp_path / f"{seed}.pt") for seed in (1, 2)]
        fault.make(made[0])
        results.append((train(made, lockstep)[0], made[0].excluded, made[0].model.weights()))
    assert results[0][0].equals(results[1][0]) and len(results[0][0]) == 1
    assert results[0][1] == results[1][1] != ""
    assert same_weights(results[0][2], results[1][2])


def test_the_first_epoch_is_held_against_its_first_step(frames):
    """By the validation loss behind it: along it losses may leap. The batch named is that of the largest loss."""
    shape = (len(VALID), len(frames.bead_types), 3)
    far = ModelOutput(np.full(shape, 1e3), np.zeros(shape[:2]))
    near = far._replace(forces_kcal_mol_A=frames.targets["F"][VALID].numpy() + 0.1)
    for output, reasons in ((far, ["diverged"]), (near, [])):
        made = training(frames, policy=FailurePolicy(then="exclude"))
        list(made.batches())
        made.end_epoch({"F": 100.0}, np.array([[2.0, 1.0], [9.0, 1.0], [380.0, 1.0], [9.0, 1.0]]), output, 0.0)
        assert [failure.reason for failure in made.failures] == reasons
    made = training(frames, policy=FailurePolicy(then="exclude"))
    list(made.batches())
    made.end_epoch({"F": 2.0}, np.array([[2.0, 1.0]] * 3 + [[3.0, 1.0]]), far, 0.0)
    (failure,) = made.failures
    assert (failure.epoch, failure.batch) == (1, 4) and failure.text.startswith("validation loss is 2000, 1e+03 times")


def test_r2_of_the_history_is_that_of_the_kept_model(frames):
    made = training(frames)
    (history,) = train([made])
    batch = frames.batch(VALID)
    forces = made.model.energies_and_forces(batch.species, batch.first, batch.second, batch.vectors_A)[1]
    labels, found = batch.targets["F"].double().numpy(), forces.detach().double().numpy()
    expected = 1 - ((labels - found) ** 2).sum() / ((labels - labels.mean()) ** 2).sum()
    assert history.valid_r2_F[made.best_epoch - 1] == pytest.approx(expected, abs=1e-5)
    assert made.best_r2 == history.valid_r2_F[made.best_epoch - 1]


def test_r2_of_the_prior_alone(frames):
    """By hand; a network without forces has gained nothing."""
    forces = np.random.default_rng(3).normal(size=(len(frames), len(frames.bead_types), 3))
    frames, model = frames.with_prior(forces), make_model(1)
    with torch.no_grad():
        for parameter in model.modules_.energy.parameters():
            parameter.zero_()
    policy = FailurePolicy(min_r2_gain=0.01, then="exclude")
    made = training(frames, policy=policy, model=model, spec=replace(SPEC, learning_rate=1e-30))
    forces = forces[VALID]
    labels = frames.targets["F"][VALID].double().numpy()
    expected = 1 - ((labels - forces) ** 2).sum() / ((labels - labels.mean()) ** 2).sum()
    assert made.prior_r2() == pytest.approx(expected, rel=1e-4)
    train([made])
    assert made.best_r2 == pytest.approx(expected, rel=1e-4) and made.failures[0].reason == "untrained"


def trained(folder, r2, excluded="", retries=0):
    """What a training leaves, as far as teachers are judged by it."""
    folder.mkdir(parents=True)
    table = pd.DataFrame(
        [
            ("train", "F", "all", r2 + 0.3),
            ("valid", "F", "all", r2),
            ("valid", "F", "Cl", 0.0),
            ("test", "F", "all", 0.9),
        ],
        columns=["split", "target", "bead_type", "r2"],
    )
    write_table(folder / "metrics.csv", table, {})
    training = {"excluded": excluded, "retries": retries, "learning_rate": 1e-3, "failures": []}
    (folder / "network.json").write_text(json.dumps({"training": training}))
    return folder


def judged(tmp_path, values, share=0.5, then="exclude", **excluded):
    folders = [trained(tmp_path / f"seed-{k}", r2, excluded.get(f"seed_{k}", "")) for k, r2 in enumerate(values, 1)]
    return judge_teachers(folders, share, then)


SOUND = [0.301, 0.303, 0.299, 0.302, 0.300, 0.298, 0.305]


def test_a_teacher_far_below_its_peers_is_left_out(tmp_path):
    health = judged(tmp_path, [*SOUND[:3], 0.05, *SOUND[3:]])
    assert list(health.columns) == HEALTH_COLUMNS
    assert health.set_index("teacher")["status"].to_dict() == {
        f"seed-{k}": NetworkStatus.EXCLUDED if k == 4 else NetworkStatus.USED for k in range(1, 9)
    }
    row = health.iloc[3]
    assert row.r2_peers == np.median(SOUND) and row.r2_valid_F == 0.05
    assert "0.050" in row.reason and "0.301" in row.reason


@pytest.mark.parametrize(
    ("values", "excluded"),
    [
        (SOUND, []),
        ([0.3], []),
        ([-0.2], []),
        ([0.3, 0.31], []),
        ([0.3, 0.61], ["seed-1"]),
        ([0.003, 0.007], ["seed-1"]),
        ([-0.3, -0.7, -0.1], []),
        ([0.3, np.nan, 0.31], ["seed-2"]),
        ([0.3, 0.3, -5.0, -7.0, 0.3], ["seed-3", "seed-4"]),
        ([0.3, 0.1501, 0.3], []),
        ([0.3, 0.1499, 0.3], ["seed-2"]),
        # One that is far better than the others is no fault of the others.
        ([0.3, 0.3, 0.3, 0.9], []),
    ],
)
def test_which_teachers_are_excluded(tmp_path, values, excluded):
    health = judged(tmp_path, values)
    assert health.loc[health.status == NetworkStatus.EXCLUDED, "teacher"].to_list() == excluded


def test_peers_are_the_sound_ones(tmp_path):
    """Two of four have failed in training, with any R²: they do not lower what is expected of the others."""
    health = judged(tmp_path, [-9.0, 0.1, 0.3, -8.0], seed_1="loss is nan", seed_4="loss is nan")
    assert health["status"].to_list() == [
        NetworkStatus.EXCLUDED,
        NetworkStatus.EXCLUDED,
        NetworkStatus.USED,
        NetworkStatus.EXCLUDED,
    ]
    assert health["reason"][0] == "loss is nan" and "0.300" in health["reason"][1]


def test_a_dead_teacher_stops_the_run_where_that_is_wanted(tmp_path):
    with pytest.raises(
        InputError, match=r"found seed-2 R2 of its forces .* -1.000, .* 0.300.*expected .*exclude goes on"
    ):
        judged(tmp_path, [0.3, -1.0, 0.3], then="stop")


def test_no_sound_teacher_stops_the_run_in_any_case(tmp_path):
    with pytest.raises(InputError, match="at least one sound teacher"):
        judged(tmp_path, [0.3, 0.3], seed_1="loss is nan", seed_2="loss is inf")


def test_health_is_read_as_it_was_written(tmp_path):
    write_table(tmp_path / "health.csv", judged(tmp_path, [0.3, 0.31, 0.0]), {})
    health = read_health(tmp_path / "health.csv")
    assert [name for name, reason in health.items() if reason] == ["seed-3"]
    files = [f"teachers/seed-{k}/predictions.h5" for k in (1, 2, 3)]
    assert sound_files(files, tmp_path / "health.csv") == files[:2]


@pytest.fixture(scope="module")
def job(tmp_path_factory, beads_path):
    """Three teachers and their students, files as a run leaves them; the second teacher's training failed."""
    folder = tmp_path_factory.mktemp("run")
    parts = {"train": [0, 3, 4, 7, 9, 11], "valid": [1, 8], "test": [5, 10]}
    write_split(folder / "split.json", Split(**{name: np.array(part) for name, part in parts.items()}), {})
    made, types = make_frames(12)
    write_prior(folder / "prior.csv", fit_prior([made], bead_topology(types), PRIOR_SETTINGS), {})
    files = TrainingInputs(beads_path, folder / "split.json", folder / "prior.csv")
    settings = (asdict(network_spec()), asdict(SPEC))
    begin = Trainer.__init__

    def spoiled(trainer, *arguments, **options):
        begin(trainer, *arguments, **options)
        if trainer.name == "teachers/seed-2":
            TRAINING_FAULTS[0].make(trainer)

    policy = {"retries": 1, "retry_factor": 0.1, "then": "exclude"}
    teachers = [folder / "teachers" / f"seed-{k}" for k in (1, 2, 3)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "__init__", spoiled)
        tasks = [TrainingTask(out, k) for k, out in enumerate(teachers, 1)]
        run_trainings(tasks, files, TrainingSettings(*settings, {"F": 1.0}, policy), "cpu")
    health = judge_teachers(teachers, 0.0, "exclude")
    write_table(folder / "teachers/health.csv", health, {})
    reasons = read_health(folder / "teachers/health.csv")
    for teacher in teachers:
        found = read_predictions(teacher / "test_predictions.h5")
        shape = (12, *found.forces_kcal_mol_A.shape[1:])
        output = ModelOutput(np.resize(found.forces_kcal_mol_A, shape), np.resize(found.epsilon_kcal_mol, shape[:2]))
        write_predictions(teacher / "predictions.h5", single_predictions(teacher.name, output, types), {})
    tasks = [
        TrainingTask(folder / "students/S1-f" / teacher.name, 10 + k, teacher / "predictions.h5",
                     excluded=reasons[teacher.name] and f"its teacher: {reasons[teacher.name]}")
        for k, teacher in enumerate(teachers)
    ]  # fmt: skip
    run_trainings(tasks, files, TrainingSettings(*settings, {"f": 1.0}, policy), "cpu")
    return folder


def test_an_excluded_network_says_so_and_is_whole(job):
    settings = json.loads((job / "teachers/seed-2/network.json").read_text())["training"]
    assert re.match("loss is nan in epoch 1, batch", settings["excluded"])
    assert [failure["epoch"] for failure in settings["failures"]] == [1, 1] and settings["retries"] == 1
    assert settings["learning_rate"] == pytest.approx(SPEC.learning_rate * 0.1)
    load_model(job / "teachers/seed-2")
    assert len(read_table(job / "teachers/seed-2/history.csv", ["epoch", "valid_loss"])) == 0
    sound = json.loads((job / "teachers/seed-1/network.json").read_text())["training"]
    assert (sound["excluded"], sound["failures"], sound["retries"]) == ("", [], 0)


def test_it_is_not_averaged(job):
    health = job / "teachers/health.csv"
    files = sound_files([job / f"teachers/seed-{k}/predictions.h5" for k in (1, 2, 3)], health)
    mean = average_predictions([read_predictions(path) for path in files], ["seed-1", "seed-3"])
    assert mean.members == ("seed-1", "seed-3")
    parts = [read_predictions(job / f"teachers/seed-{k}/predictions.h5").forces_kcal_mol_A for k in (1, 3)]
    np.testing.assert_allclose(mean.forces_kcal_mol_A, np.mean(parts, axis=0), atol=1e-6)


def test_nor_learned_from(job):
    """Its student is not trained, the others are."""
    epochs = [len(read_table(job / f"students/S1-f/seed-{k}/history.csv")) for k in (1, 2, 3)]
    assert epochs == [SPEC.max_epochs, 0, SPEC.max_epochs]
    settings = json.loads((job / "students/S1-f/seed-2/network.json").read_text())["training"]
    assert settings["excluded"].startswith("its teacher: loss is nan")


def test_nor_is_it_in_the_model_of_all_teachers(job):
    health = read_health(job / "teachers/health.csv")
    folders = {f"seed-{k}": job / "teachers" / f"seed-{k}" for k in (1, 2, 3)}
    networks, left_out = sound_networks(folders, health)
    assert list(networks) == ["seed-1", "seed-3"] and list(left_out) == ["seed-2"]
    # By itself it is exported, with the reason on its card.
    networks, left_out = sound_networks({"seed-2": folders["seed-2"]}, health)
    assert list(networks) == ["seed-2"] == list(left_out)


def test_tables_count_it(job):
    health, labels = read_health(job / "teachers/health.csv"), {"T": "T", "S1-f": "S1f"}
    places = [[job / f"{kind}/seed-{k}" for k in (1, 2, 3)] for kind in ("teachers", "students/S1-f")]
    table = networks_of(*([folder / "network.json" for folder in own] for own in places), health, labels)
    assert table["status"].to_list() == [NetworkStatus.USED, NetworkStatus.EXCLUDED, NetworkStatus.USED] * 2
    assert table["retries"].to_list() == [0, 1, 0, 0, 0, 0]
    training = training_of(*([folder / "metrics.csv" for folder in own] for own in places), labels, table)
    members = training.groupby("variant")["member"].unique().map(list).to_dict()
    assert members == {"T": ["seed-1", "seed-3"], "S1-f": ["seed-1", "seed-3"]}
    (sentence,) = exclusions(table)
    assert "2 of 6 networks are left out" in sentence and "T seed-2 and S1f seed-2" in sentence
    assert "the mean of the teachers is that of 2 of 3" in sentence


def test_its_runs_are_not_made_and_counted(job, tmp_path):
    """From the simulation to the sentences of the report."""
    from cgdistill.forcefield.hipnn.network_potential import JointNetworkPotential

    spec = SimulationSpec.from_config({
        "timestep_fs": 1.0, "equilibration_ps": 0.01, "production_ps": 0.03, "frame_every_ps": 0.01,
        "thermo_every_ps": 0.01, "temperature_K": 1.0, "limits": {"temperature_K": 1e9, "min_distance_A": 0.0},
    })  # fmt: skip
    made, types = make_frames(3)
    topology, reason = bead_topology(types), "loss is nan in epoch 1"
    plans = [
        RunPlan(made.positions_A[k], made.cells_A[k], 5 + k, tmp_path / f"out/{k}", tmp_path / f"state/{k}",
                {"variant": "T", "member": f"seed-{k + 1}", "replica": 1, "start_frame": k}, {"program": "x"},
                reason if k == 1 else "")
        for k in range(3)
    ]  # fmt: skip
    models = [[load_model(job / f"teachers/seed-{k}")] for k in (1, 2, 3)]
    records = run_simulations(JointNetworkPotential(models, types, 1.5), plans, topology, spec)
    assert [record["status"] for record in records] == ["finished", RunStatus.EXCLUDED, "finished"]
    assert (records[1]["reason"], records[1]["step"]) == (reason, 0)
    assert (tmp_path / "out/1/trajectory.lammpstrj").stat().st_size == 0
    assert len(read_table(tmp_path / "out/1/thermo.csv")) == 0
    structure = StructureSpec.from_config({
        "convention": "cgdistill", "rdf": {"r_max_A": 5.0, "bin_width_A": 0.5},
        "adf": {"triplets": [["Cho", "Cl", "Cho"]], "r_max_A": [5.0], "bin_width_deg": 10.0},
        "cdf": {"r_max_A": 8.0, "bin_width_A": 1.0, "resolved_every_ps": 0.01},
    })  # fmt: skip
    from cgdistill.data.beads import BeadWriter

    with BeadWriter(tmp_path / "beads.h5", topology, {}, True) as writer:
        writer.append(made)
    with BeadFile(tmp_path / "beads.h5") as beads:
        reference = analyse_reference(beads, structure, n_blocks=2)
    folders = [tmp_path / f"out/{k}" for k in range(3)]
    found = analyse_runs(folders, topology, structure, n_blocks=2, stability=StabilitySpec(),
                         cluster_cutoffs_A=read_cluster_cutoffs(reference.series))  # fmt: skip
    row = found.runs.set_index("member").loc["seed-2"]
    assert (row["status"], row["stability"], row["stability_reason"]) == (
        RunStatus.EXCLUDED,
        RunStatus.EXCLUDED,
        reason,
    )
    assert set(found.curves["member"]) == {"seed-1", "seed-3"}
    tae = tae_table(reference.curves, found.curves, found.runs, {"T": "T"})
    summary = summarise(tae, found.runs, reference.blocks, found.blocks, StatisticsSpec(20, 0.95), 1)
    assert set(summary["n"]) == {2} and set(summary["n_failed"]) == {1} and set(summary["n_excluded"]) == {1}
    sentence = stability(summary, ["T"])[0]
    assert "1 of 3 runs was not made, since the training of the model failed: T 1 of 3" in sentence
    assert "blew up" not in sentence
    speed = performance_of([folder / "run.json" for folder in folders], {})
    assert speed["member"].to_list() == ["seed-1", "seed-3"]
