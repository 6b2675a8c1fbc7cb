"""Noise ceiling: the largest R² on the mapped all-atom forces that a perfect mean force could reach.

A label is F = m + n: the mean force m of the bead positions and noise n with mean zero at given positions, so a model
p cannot get beyond R²max = 1 - <n²> / var(F), whatever its training. Neither m nor n is known. What is:

*Test frames* (noise independent of the models): <(F - p)²> = <n²> + <(m - p)²>, so every R² there is a lower bound,
but for sampling. The best that the teachers have: their mean, extrapolated to infinitely many, and scaled.
The squared error of the mean of N is linear in 1/N, and with residuals r_i its limit is the mean of r_i r_j over
i != j. The best factor in front of it is one number per bead type.

*Training frames*: the error there is too low by the optimism 2 cov(n, p) (Efron, J. Am. Stat. Assoc. 1986, 81, 461).
For a converged least-squares fit of a class that holds m, the test error is too high by as much, so the midpoint of
both R² estimates R²max and the training R² bounds it from above.

The second half fails where training was cut off: what the models have not learned yet is missing on both sides, and
ceiling and midpoint come out too low. No data of this sort can tell; the course of the training can
(`was_cut_off`). Then there is no upper bound, and the table says so.

Products of forces at different times do not help: the total force on a bead averages to zero within a picosecond
(momentum stays bounded), mean force and friction together, so <F(t) F(t + lag)> is zero where the mean force is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from ..core.errors import InputError
from ..data.beads import BeadFile
from ..data.split import read_split
from ..forcefield.model_files import read_settings
from ..io.csv_tables import read_table
from ..training.predictions import PredictionFile

COLUMNS = (
    "bead_type",
    "lower",
    "estimate",
    "upper",
    "ci_low",
    "ci_high",
    "r2_one_teacher",
    "r2_mean_teacher",
    "r2_infinite",
    "r2_train",
    "n_teachers",
    "n_cut_off",
    "warning",
)
CUT_OFF = "{n} of {total} teachers were still improving when their training ended: the ceiling may be far higher"
NO_GAP = "the teachers do no better on training frames than on test frames: too few frames for an upper bound"
BEATEN = "a model of the run does better than the teachers on their own training frames: the ceiling may be far higher"
#: A training whose best epoch lies in this last share of the epochs allowed was cut off.
_LAST_EPOCHS = 0.1
#: Frames that are read, and resamples that are drawn, at a time. No fewer frames: numpy adds up a single one in
#: another order.
_FRAMES, _DRAWS = 64, 64


class ForceFrames(Protocol):
    """Forces (n_frames, n_beads, 3) of which some frames (increasing) are asked for: an array, or a file's."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of all frames."""

    def __getitem__(self, frames: Any, /) -> np.ndarray:
        """Some frames."""


@dataclass(frozen=True)
class _Sums:
    """Sums over the beads of one type in each frame, (n_frames,) each.

    n: force components; label, squares: of F and F²; one: mean over teachers of |F - p|²; mean: |F - mean p|²;
    product: F times mean p; member, ensemble: mean over teachers of p², (mean p)².
    """

    n: np.ndarray
    label: np.ndarray
    squares: np.ndarray
    one: np.ndarray
    mean: np.ndarray
    product: np.ndarray
    member: np.ndarray
    ensemble: np.ndarray

    def of(self, counts: np.ndarray) -> dict[str, np.ndarray]:
        """Sums over frames that are drawn ``counts`` (n_draws, n_frames) times."""
        return {name: counts @ values for name, values in vars(self).items()}


def _sums_by_type(
    forces: ForceFrames, predictions: Sequence[ForceFrames], frames: np.ndarray, groups: Sequence[np.ndarray]
) -> list[_Sums]:
    """Sums of each group of beads (a mask over beads each); few frames are held at a time."""
    found: list[list[_Sums]] = [[] for _ in groups]
    for chunk in np.array_split(frames, max(1, len(frames) // _FRAMES)):
        labels, values = forces[chunk], [prediction[chunk] for prediction in predictions]
        for own, beads in zip(found, groups, strict=True):
            own.append(_frame_sums(labels, values, beads))
    return [
        _Sums(**{name: np.concatenate([vars(part)[name] for part in own]) for name in vars(own[0])}) for own in found
    ]


def _frame_sums(forces: np.ndarray, predictions: Sequence[np.ndarray], beads: np.ndarray) -> _Sums:
    def own(array: np.ndarray) -> np.ndarray:
        return np.asarray(array[:, beads], dtype=np.float64)

    def summed(array: np.ndarray) -> np.ndarray:
        total: np.ndarray = array.sum(axis=(1, 2))
        return total

    label = own(forces)
    mean = np.zeros_like(label)
    one, member = np.zeros(len(label)), np.zeros(len(label))
    for prediction in predictions:
        values = own(prediction)
        mean += values / len(predictions)
        one += summed((label - values) ** 2) / len(predictions)
        member += summed(values**2) / len(predictions)
    return _Sums(
        n=np.full(len(label), float(label[0].size)),
        label=summed(label),
        squares=summed(label**2),
        one=one,
        mean=summed((label - mean) ** 2),
        product=summed(label * mean),
        member=member,
        ensemble=summed(mean**2),
    )


def _scores(parts: Iterable[Mapping[str, np.ndarray]], n_teachers: int) -> dict[str, np.ndarray]:
    """R² of one teacher, of their mean, of infinitely many, and of these scaled, over the beads of all parts.

    Parts are bead types, each with a factor of its own.
    """
    parts = list(parts)
    total = {name: np.sum([part[name] for part in parts], axis=0) for name in parts[0]}
    variance = total["squares"] - total["label"] ** 2 / total["n"]
    infinite = np.full_like(variance, np.nan)
    explained = np.zeros_like(variance)
    if n_teachers > 1:
        infinite = (n_teachers * total["mean"] - total["one"]) / (n_teachers - 1)
    for part in parts:
        power = part["ensemble"]
        if n_teachers > 1:  # mean of p_i p_j over i != j: without the members' own errors
            power = (n_teachers * part["ensemble"] - part["member"]) / (n_teachers - 1)
        usable = (power > 0) & (part["product"] > 0)
        explained += np.where(usable, part["product"] ** 2 / np.where(usable, power, 1.0), 0.0)
    return {
        "one": 1.0 - total["one"] / variance,
        "mean": 1.0 - total["mean"] / variance,
        "infinite": 1.0 - infinite / variance,
        "scaled": 1.0 - (total["squares"] - explained) / variance,
    }


def noise_ceiling(
    forces: ForceFrames,
    bead_types: np.ndarray,
    type_names: Sequence[str],
    train: np.ndarray,
    test: np.ndarray,
    predictions: Mapping[str, ForceFrames],
    *,
    best: Mapping[str, float] | None = None,
    n_cut_off: int = 0,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Bracket of the noise ceiling, for all beads and by bead type; see the module for what it assumes.

    Parameters
    ----------
    forces: (n_frames, n_beads, 3) labels, kcal/mol/A.
    bead_types: (n_beads,) index into ``type_names``.
    train, test: frames that the models were, and were not, trained on.
    predictions: by teacher, of the shape of ``forces``; teachers differ in their seed alone.
    best: best R² on the test frames of any other model, by bead type (and ``all``), where there is one.
    n_cut_off: how many teachers were still improving when their training ended.
    resamples, confidence, seed: of the bootstrap over frames.

    Returns
    -------
    `COLUMNS`: ``lower`` and ``upper`` bound, ``estimate``, its interval (frames are resampled, the models stay),
    R² on test of one teacher (mean), of their mean and of infinitely many (NaN for one teacher), ``r2_train`` of
    infinitely many, scaled. ``upper`` is NaN where there is none, and ``warning`` says why.

    Raises
    ------
    InputError
        No teacher, an empty part, or predictions of another shape.
    """
    members = list(predictions.values())
    if not members:
        raise InputError("noise ceiling", "predictions", "none", "those of at least one teacher")
    for name, values in predictions.items():
        if tuple(values.shape) != tuple(forces.shape):
            raise InputError("noise ceiling", f"shape of the predictions of {name}", values.shape, forces.shape)
    if min(len(train), len(test)) == 0:
        raise InputError("noise ceiling", "frames", (len(train), len(test)), "at least one to train and one to test")
    n, rng = len(members), np.random.default_rng(seed)
    groups = [bead_type for bead_type in range(len(type_names)) if (bead_types == bead_type).any()]
    sums = {}
    for part, part_frames in (("train", train), ("test", test)):
        own = _sums_by_type(forces, members, part_frames, [bead_types == bead_type for bead_type in groups])
        sums[part] = _drawn(own, len(part_frames), resamples, rng)
    rows = []
    for label, chosen in [
        ("all", range(len(groups))),
        *((type_names[bead_type], [at]) for at, bead_type in enumerate(groups)),
    ]:
        seen, unseen = (_scores([sums[part][at] for at in chosen], n) for part in ("train", "test"))
        rows.append(_row(label, seen, unseen, n, n_cut_off, (best or {}).get(label), confidence))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _drawn(
    groups: Sequence[_Sums], n_frames: int, resamples: int, rng: np.random.Generator
) -> list[dict[str, np.ndarray]]:
    """Sums of each group over resampled frames, (1 + resamples,) each; the first is that of every frame once."""
    found: list[list[dict[str, np.ndarray]]] = [[] for _ in groups]
    for start in range(0, resamples + 1, _DRAWS):
        n_rows = min(_DRAWS, resamples + 1 - start)
        counts = np.ones((n_rows, n_frames))
        new = counts[1:] if start == 0 else counts
        new[:] = rng.multinomial(n_frames, np.full(n_frames, 1.0 / n_frames), size=len(new))
        for own, sums in zip(found, groups, strict=True):
            own.append(sums.of(counts))
    return [{name: np.concatenate([part[name] for part in own]) for name in own[0]} for own in found]


class _Labels:
    """Forces of a bead file, read when asked for."""

    def __init__(self, file: BeadFile) -> None:
        self._file = file
        self.shape = (len(file), file.topology.n_beads, 3)

    def __getitem__(self, frames: np.ndarray, /) -> np.ndarray:
        forces = self._file.frames(frames).forces_kcal_mol_A
        assert forces is not None
        return forces


def _row(
    label: str,
    seen: Mapping[str, np.ndarray],
    unseen: Mapping[str, np.ndarray],
    n: int,
    n_cut_off: int,
    best: float | None,
    confidence: float,
) -> dict[str, object]:
    # Of R², not of errors: noise makes up most of the labels' variance, so their chance fluctuations cancel.
    midpoint = (seen["scaled"] + unseen["scaled"]) / 2
    tail = (1.0 - confidence) / 2
    low, high = np.quantile(midpoint[1:], [tail, 1.0 - tail])
    lower, upper, warning = float(unseen["scaled"][0]), float(seen["scaled"][0]), ""
    if best is not None and np.isfinite(best):
        lower = max(lower, float(best))
    if lower > upper:
        warning = BEATEN if lower - upper > (high - low) / 2 else NO_GAP
    if n_cut_off:
        warning = CUT_OFF.format(n=n_cut_off, total=n)
    return {
        "bead_type": label,
        "lower": lower,
        "estimate": max(float(midpoint[0]), lower),
        "upper": np.nan if warning else upper,
        "ci_low": float(low),
        "ci_high": float(high),
        "r2_one_teacher": float(unseen["one"][0]),
        "r2_mean_teacher": float(unseen["mean"][0]),
        "r2_infinite": float(unseen["infinite"][0]),
        "r2_train": float(seen["scaled"][0]),
        "n_teachers": n,
        "n_cut_off": n_cut_off,
        "warning": warning,
    }


def was_cut_off(folder: str | Path) -> bool:
    """Whether a trained model's best epoch is among the last tenth of the epochs that it was allowed.

    Training that ends by itself stops long after its best epoch. A network that does not tell was not.
    """
    training = read_settings(folder).get("training")
    if training is None:
        return False
    if training.get("learning_rate", 0) is None:  # not trained by epochs
        return False
    allowed = int(training["training"]["max_epochs"])
    return int(training["best_epoch"]) > (1.0 - _LAST_EPOCHS) * allowed


def best_of(training: pd.DataFrame) -> dict[str, float]:
    """Best R² on F of any model over the test frames, by bead type, from ``tables/training.csv``."""
    own = training[(training["target"] == "F") & (training["split"] == "test")]
    found: dict[str, float] = own.groupby("bead_type")["r2"].max().to_dict()
    return found


def estimate_ceiling(
    beads: str | Path,
    split: str | Path,
    predictions: Sequence[str | Path],
    training: str | Path | None = None,
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """`noise_ceiling` from files.

    Parameters
    ----------
    beads, split: bead trajectory with forces, and which frames are trained and tested on.
    predictions: ``teachers/<teacher>/predictions.h5``, their models (``network.json``) beside them.
    training: ``tables/training.csv``, for the best model of the run.

    Raises
    ------
    InputError
        A bead trajectory without forces, or predictions of something else.
    """
    with ExitStack() as stack:
        file = stack.enter_context(BeadFile(beads))
        if not file.has_forces:
            raise InputError(beads, "forces", "no such dataset", "a bead trajectory with forces")
        parts, topology = read_split(split, len(file)), file.topology
        members = {str(path): stack.enter_context(PredictionFile(path)).forces_kcal_mol_A for path in predictions}
        columns = ["target", "split", "bead_type", "r2"]
        return noise_ceiling(
            _Labels(file),
            topology.bead_types,
            topology.type_names,
            parts.train,
            parts.test,
            members,
            best=None if training is None else best_of(read_table(training, columns)),
            n_cut_off=sum(was_cut_off(Path(path).parent) for path in predictions),
            resamples=resamples,
            confidence=confidence,
            seed=seed,
        )
