"""The noise ceiling against labels whose noise is known: analytic pair forces plus Gaussian noise.

The models are ridge regressions on a basis that holds the mean force. What these tests cannot show is how far a network
is from such a model: whether it is trained to convergence and its class holds the mean force of a real fluid.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
from bead_cases import PRIOR, bead_topology, make_model
from cgdistill.analysis.noise_ceiling import (
    BEATEN,
    COLUMNS,
    NO_GAP,
    best_of,
    estimate_ceiling,
    noise_ceiling,
    was_cut_off,
)
from cgdistill.config.models import Model
from cgdistill.core.errors import InputError
from cgdistill.data.beads import BeadFrames, BeadWriter
from cgdistill.data.split import Split, write_split
from cgdistill.figures.ceiling import ceiling_figure
from cgdistill.figures.style import Palette
from cgdistill.forcefield.model_files import save_model
from cgdistill.forcefield.trainable import ModelOutput
from cgdistill.training.metrics import error_measures
from cgdistill.training.predictions import single_predictions, write_predictions

CEILING = 0.35
EDGE_A, CUTOFF_A, CLOSEST_A, WIDTH_A = 14.0, 6.5, 2.8, 0.2
TYPES = np.arange(40) % 2
TRAIN, TEST = np.arange(20), np.arange(20, 120)


def configuration(rng: np.random.Generator) -> np.ndarray:
    """Beads at random, none closer than `CLOSEST_A`."""
    placed = np.empty((0, 3))
    while len(placed) < len(TYPES):
        trial = rng.uniform(0, EDGE_A, 3)
        delta = placed - trial
        delta -= EDGE_A * np.round(delta / EDGE_A)
        if not len(placed) or (np.linalg.norm(delta, axis=1) > CLOSEST_A).all():
            placed = np.vstack([placed, trial])
    return placed


def pair_force(r: np.ndarray, kind: np.ndarray) -> np.ndarray:
    """Repulsive at contact, attractive beyond, zero at the cutoff; another strength for each pair of types."""
    strength, contact = np.array([3.0, 5.0, 2.0])[kind], np.array([3.4, 3.9, 3.6])[kind]
    return strength * (np.exp(-(r - contact)) - 0.6 * np.exp(-((r - contact - 1.2) ** 2))) * (1 - r / CUTOFF_A) ** 2


@cache
def system() -> tuple[np.ndarray, np.ndarray]:
    """Mean forces (n_frames, n_beads, 3) and the design matrix (n_frames, 3 n_beads, n_functions) of linear splines."""
    rng = np.random.default_rng(3)
    knots = np.arange(CLOSEST_A, CUTOFF_A, WIDTH_A)
    forces, designs = [], []
    for _ in range(len(TRAIN) + len(TEST)):
        positions = configuration(rng)
        vectors = positions[None] - positions[:, None]
        vectors -= EDGE_A * np.round(vectors / EDGE_A)
        r = np.linalg.norm(vectors, axis=-1) + 1e9 * np.eye(len(TYPES))
        first, second = np.nonzero(r < CUTOFF_A)
        r, unit, kind = (
            r[first, second],
            -vectors[first, second] / r[first, second][:, None],
            TYPES[first] + TYPES[second],
        )
        force = np.zeros((len(TYPES), 3))
        np.add.at(force, first, pair_force(r, kind)[:, None] * unit)
        design = np.zeros((len(TYPES), 3, 3, len(knots)))
        values = np.clip(1 - np.abs(r[:, None] - knots) / WIDTH_A, 0, None)
        np.add.at(design, (first, slice(None), kind), unit[:, :, None] * values[:, None, :])
        forces.append(force)
        designs.append(design.reshape(3 * len(TYPES), -1))
    return np.array(forces), np.array(designs)


def labels(seed: int) -> np.ndarray:
    """Mean forces with noise of which `CEILING` is the R² of the mean force."""
    mean, _ = system()
    noise = np.random.default_rng(seed).normal(size=mean.shape)
    return mean + noise * np.sqrt(mean.var() * (1 / CEILING - 1))


def known_ceiling() -> float:
    """Mean of the ceilings of both parts: these frames, being few, have others than `CEILING`."""
    mean, _ = system()
    noise_variance = mean.var() * (1 / CEILING - 1)
    return float(np.mean([mean[part].var() / (mean[part].var() + noise_variance) for part in (TRAIN, TEST)]))


def models(forces: np.ndarray, seed: int, n: int = 8, ridge: float = 1e-3) -> dict[str, np.ndarray]:
    """Fits to bootstrap samples of the training frames: models that disagree."""
    _, design = system()
    rng, n_functions = np.random.default_rng(seed + 10_000), design.shape[-1]
    grams = np.einsum("fij,fik->fjk", design[TRAIN], design[TRAIN])
    moments = np.einsum("fij,fi->fj", design[TRAIN], forces[TRAIN].reshape(len(TRAIN), -1))
    found = {}
    for number in range(n):
        # The Bayesian bootstrap: a random weight for each frame.
        weights = rng.exponential(size=len(TRAIN))
        gram = np.einsum("f,fjk->jk", weights, grams)
        penalty = ridge * np.trace(gram) / n_functions * np.eye(n_functions)
        coefficients = np.linalg.solve(gram + penalty, weights @ moments)
        found[f"seed-{number}"] = (design @ coefficients).reshape(forces.shape)
    return found


def ceiling(seed: int, resamples: int = 200, **changes) -> pd.DataFrame:
    forces = labels(seed)
    settings = {"n": 8, "ridge": 1e-3} | {key: changes.pop(key) for key in ("n", "ridge") if key in changes}
    predictions = models(forces, seed, **settings)
    return noise_ceiling(forces, TYPES, ("A", "B"), TRAIN, TEST, predictions, resamples=resamples, **changes)


def test_estimate_is_the_known_ceiling_and_the_bounds_hold():
    """Over 25 sets of labels: each estimate, their mean, which shows bias rather than chance, and the bounds."""
    tables = [ceiling(seed).set_index("bead_type") for seed in range(25)]
    every = pd.concat([table.loc[["all"]] for table in tables])
    assert every["estimate"].mean() == pytest.approx(CEILING, abs=0.01)
    assert every["estimate"].mean() == pytest.approx(known_ceiling(), abs=0.003)
    assert (every["estimate"] - known_ceiling()).abs().quantile(0.9) < 0.02
    assert every["lower"].mean() < CEILING - 0.01 and every["upper"].mean() > CEILING + 0.01
    assert ((every["lower"] < CEILING) & (every["upper"] > CEILING)).mean() >= 0.9


def test_interval_covers_the_ceiling():
    """95 % intervals over 40 sets of noise on the same frames: not all, for the bootstrap keeps the models."""
    tables = [ceiling(seed).iloc[0] for seed in range(40)]
    assert np.mean([table.ci_low <= known_ceiling() <= table.ci_high for table in tables]) >= 0.875
    assert np.mean([table.ci_high - table.ci_low for table in tables]) < 0.05


def test_each_bead_type_has_its_own_ceiling():
    """The same noise on smaller mean forces: a lower ceiling, known from the labels' construction."""
    mean, _ = system()
    noise_variance = mean.var() * (1 / CEILING - 1)
    tables = pd.concat([ceiling(seed) for seed in range(10)])
    for kind, name in enumerate("AB"):
        own = mean[TEST][:, TYPES == kind].var()
        truth = own / (own + noise_variance)
        assert tables[tables["bead_type"] == name]["estimate"].mean() == pytest.approx(truth, abs=0.02), name


def test_infinitely_many_teachers_are_predicted_by_few():
    """R² extrapolated from 4 models against the mean of 400, an independent way to the same number."""
    forces = labels(0)
    many = list(models(forces, 0, n=400).values())
    truth = error_measures(forces[TEST], np.mean(many, axis=0)[TEST])["r2"]
    few = ceiling(0, n=4).iloc[0]
    assert few["r2_infinite"] == pytest.approx(truth, abs=0.003)
    assert few["r2_one_teacher"] < few["r2_mean_teacher"] < few["r2_infinite"] <= few["lower"] + 1e-9
    assert abs(few["r2_mean_teacher"] - truth) > abs(few["r2_infinite"] - truth)


def test_measures_are_those_of_the_training_tables():
    forces = labels(1)
    predictions = models(forces, 1)
    row = noise_ceiling(forces, TYPES, ("A", "B"), TRAIN, TEST, predictions, resamples=2).iloc[2]
    own = [error_measures(forces[TEST][:, TYPES == 1], p[TEST][:, TYPES == 1])["r2"] for p in predictions.values()]
    mean = np.mean(list(predictions.values()), axis=0)[TEST][:, TYPES == 1]
    assert row["r2_one_teacher"] == pytest.approx(np.mean(own), abs=1e-9)
    assert row["r2_mean_teacher"] == pytest.approx(error_measures(forces[TEST][:, TYPES == 1], mean)["r2"], abs=1e-9)


def test_models_that_have_not_learned_give_no_upper_bound():
    """Fits that are held back: without a word about it, 'upper' would lie below the truth."""
    blind = ceiling(0, ridge=30.0).iloc[0]
    assert blind["upper"] < CEILING - 0.02
    warned = ceiling(0, ridge=30.0, n_cut_off=3).iloc[0]
    assert np.isnan(warned["upper"]) and warned["warning"].startswith("3 of 8 teachers")
    assert warned["lower"] < CEILING and warned["r2_train"] == blind["r2_train"]


def test_a_better_model_raises_the_lower_bound_and_refutes_the_upper_one():
    plain, better = ceiling(0).iloc[0], ceiling(0, best={"all": 0.36}).iloc[0]
    assert plain["lower"] < 0.36 < plain["upper"]
    assert better["lower"] == 0.36 and better["estimate"] >= 0.36 and better["upper"] == plain["upper"]
    close = ceiling(0, best={"all": plain["upper"] + 0.002}).iloc[0]
    assert np.isnan(close["upper"]) and close["warning"] == NO_GAP
    refuted = ceiling(0, best={"all": 0.5}).iloc[0]
    assert np.isnan(refuted["upper"]) and refuted["warning"] == BEATEN and refuted["estimate"] == 0.5


def test_one_teacher_and_one_without_skill():
    one = ceiling(0, n=1).iloc[0]
    assert np.isnan(one["r2_infinite"]) and abs(one["estimate"] - CEILING) < 0.03
    forces = labels(0)
    upside_down = {name: -values for name, values in models(forces, 0).items()}
    none = noise_ceiling(forces, TYPES, ("A", "B"), TRAIN, TEST, upside_down, resamples=5).iloc[0]
    assert none["r2_infinite"] < 0 and none["lower"] == pytest.approx(0, abs=1e-3)


def test_bad_input_is_refused():
    forces = labels(0)
    with pytest.raises(InputError, match="at least one teacher"):
        noise_ceiling(forces, TYPES, ("A", "B"), TRAIN, TEST, {})
    with pytest.raises(InputError, match="shape of the predictions of seed-1"):
        noise_ceiling(forces, TYPES, ("A", "B"), TRAIN, TEST, {"seed-1": forces[1:]})
    with pytest.raises(InputError, match="at least one to train"):
        noise_ceiling(forces, TYPES, ("A", "B"), TRAIN, TEST[:0], {"seed-1": forces})


@pytest.mark.parametrize(("best_epoch", "epochs", "expected"), [(12, 12, True), (40, 90, False), (95, 100, True)])
def test_training_that_was_cut_off_is_seen(tmp_path, best_epoch, epochs, expected):
    facts = {"training": {"training": {"max_epochs": 100 if epochs > 12 else 12}, "best_epoch": best_epoch}}
    save_model(tmp_path / "seed-1", make_model(1), PRIOR, facts)
    assert was_cut_off(tmp_path / "seed-1") is expected


def test_from_files(tmp_path):
    """Labels, split and predictions as the workflow leaves them; the best student counts."""
    forces = labels(2).astype(np.float32).astype(np.float64)
    frames = BeadFrames(
        np.zeros_like(forces), forces, np.tile(np.eye(3) * EDGE_A, (len(forces), 1, 1)), np.arange(120.0)
    )
    with BeadWriter(tmp_path / "beads.h5", bead_topology(TYPES), {}) as writer:
        writer.append(frames)
    write_split(tmp_path / "split.json", Split(TRAIN, TEST[:1], TEST[1:]), {})
    predictions = models(forces, 2, n=3)
    for name, values in predictions.items():
        facts = {"training": {"training": {"max_epochs": 50}, "best_epoch": 20}}
        save_model(tmp_path / name, make_model(1), PRIOR, facts)
        own = single_predictions(name, ModelOutput(values.astype("f4"), np.zeros(values.shape[:2])), TYPES)
        write_predictions(tmp_path / name / "predictions.h5", own, {})
    paths = [tmp_path / name / "predictions.h5" for name in predictions]
    table = estimate_ceiling(tmp_path / "beads.h5", tmp_path / "split.json", paths, resamples=50)
    expected = noise_ceiling(forces, TYPES, ("Cho", "Cl"), TRAIN, TEST[1:], predictions, resamples=50)
    assert tuple(table.columns) == COLUMNS and table["bead_type"].tolist() == ["all", "Cho", "Cl"]
    pd.testing.assert_frame_equal(table, expected, rtol=1e-5)
    with BeadWriter(tmp_path / "bare.h5", bead_topology(TYPES), {}, forces=False) as writer:
        writer.append(BeadFrames(frames.positions_A, None, frames.cells_A, frames.times_ps))
    with pytest.raises(InputError, match="with forces"):
        estimate_ceiling(tmp_path / "bare.h5", tmp_path / "split.json", paths)


def training_table() -> pd.DataFrame:
    rows = [
        {"variant": variant, "member": member, "split": split, "target": "F", "bead_type": kind, "r2": r2}
        for variant, member, r2 in (("T", "seed-1", 0.30), ("T", "seed-2", 0.32), ("S8", "ensemble", 0.34))
        for split in ("train", "test")
        for kind in ("all", "A", "B")
    ]
    rows.append({**rows[0], "split": "test", "target": "f", "r2": 0.99})
    return pd.DataFrame(rows)


def test_best_model_is_that_on_the_labels_of_the_test_frames():
    table = training_table()
    table.loc[table["split"] == "train", "r2"] = 0.9
    assert best_of(table) == {"all": 0.34, "A": 0.34, "B": 0.34}


@pytest.mark.parametrize("n_cut_off", [0, 2])
def test_figure_shows_every_model_and_the_bounds_there_are(n_cut_off):
    palette = Palette(
        [Model("T", "T", "teacher"), Model("T8", "T8", "teacher_ensemble"), Model("S8", "S8F", "ensemble")]
    )
    table = ceiling(0, n_cut_off=n_cut_off)
    figure = ceiling_figure(table, training_table(), palette)
    panel = figure.axes[0]
    bars = {patch.get_gid(): patch for patch in panel.patches if (patch.get_gid() or "").startswith("bar-")}
    assert {gid: round(bar.get_width(), 6) for gid, bar in bars.items()} == {
        "bar-T": 0.31, "bar-T8": round(table.r2_mean_teacher[0], 6), "bar-S8": 0.34,
    }  # fmt: skip
    bands = [patch for patch in panel.patches if patch.get_gid() == "band-all"]
    lines = {line.get_gid(): line.get_xdata()[0] for line in panel.lines if line.get_gid()}
    if n_cut_off:
        assert not bands and lines == {"lower-all": table.lower[0]}
        assert "2 of 8 teachers" in figure.get_supxlabel()
    else:
        assert (bands[0].get_x(), bands[0].get_x() + bands[0].get_width()) == pytest.approx(
            (table.lower[0], table.upper[0])
        )
        assert lines == {"estimate-all": table.estimate[0]}
