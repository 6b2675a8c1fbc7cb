"""From beads to trained networks: mapping, split, prior, training, failures, teachers, students."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..keys import Changes, key
from .all_atom import PATH


@dataclass(frozen=True, kw_only=True)
class BeadMapping:
    """Mapping of the all-atom frames to beads."""

    file: str = key("Mapping file: bead types, and the atoms of each bead.", **PATH)
    start_ps: float = key("Discard frames before this time.", 0.0, unit="ps", minimum=0)
    stride: int = key("Use every n-th frame.", 1, minimum=1)
    max_frames: int | None = key("Maximum number of frames; `null` for all.", None, minimum=3)
    check_forces: bool = key(
        "Whether implausible forces are an error. The first 64 frames of each file are tested for forces in other "
        "units, velocities or constraint forces in place of forces, atoms in another order than in the topology, and "
        "sudden changes of the forces. With `false` a failed test is only logged.",
        True,
    )


@dataclass(frozen=True, kw_only=True)
class Split:
    """Split of the frames into training, validation and test set."""

    train: float = key("Fraction of the frames for training.", 0.8, above=0, below=1)
    valid: float = key("Fraction of the frames for validation.", 0.1, above=0, below=1)
    test: float = key("Fraction of the frames for testing; the three fractions sum to 1.", 0.1, above=0, below=1)
    method: Literal["random", "blocks"] = key(
        "`random`: frame by frame. `blocks`: contiguous blocks, so that correlated neighbouring frames are not in "
        "different sets.",
        "random",
    )
    max_train_frames: int | None = key(
        "Maximum number of training frames, evenly spaced over the training set; `null` for all.", None, minimum=1
    )


@dataclass(frozen=True, kw_only=True)
class Prior:
    """Repulsive pair prior at short distances."""

    delta_A: float = key(
        "d: the force grows from `fraction` · s at the lowest distance t in the training data to s (mean magnitude of "
        "the force) at t - d.",
        0.15,
        unit="Å",
        above=0,
    )
    fraction: float = key("p: the force at t as a fraction of s.", 0.05, above=0, below=1)
    outlier_iqr: float = key(
        "Frames whose closest pair lies more than this number of interquartile ranges below the first quartile are "
        "ignored in t.",
        1.5,
        minimum=0,
    )


@dataclass(frozen=True, kw_only=True)
class Training:
    """Optimiser, learning rate schedule and early stopping."""

    learning_rate: float = key("Initial learning rate of Adam.", 1.0e-3, above=0)
    batch_size: int = key("Initial batch size.", 1, unit="frames", minimum=1)
    evaluation_batch_size: int = key("Batch size of validation and prediction.", 8, unit="frames", minimum=1)
    max_epochs: int = key("Maximum number of epochs.", 1000, unit="epochs", minimum=1)
    schedule: Literal["learning-rate", "batch-size"] = key(
        "What changes when the validation loss stops improving: the learning rate is multiplied by `factor`, or the "
        "batch size divided by it.",
        "learning-rate",
    )
    factor: float = key("Factor of the schedule.", 0.5, above=0, below=1)
    patience_epochs: int = key(
        "Number of epochs without improvement after which the schedule acts.", 30, unit="epochs", minimum=1
    )
    min_learning_rate: float = key("Lower limit of the learning rate.", 1.0e-5, minimum=0)
    max_batch_size: int = key("Upper limit of the batch size.", 64, unit="frames", minimum=1)
    stop_epochs: int = key(
        "Number of epochs without improvement after which the training stops.", 50, unit="epochs", minimum=1
    )
    together: bool = key(
        "Whether all teachers are trained in one job, and the students of a variant that learn from one teacher each "
        "in another: all at once on a GPU, which is much faster, one after another on a CPU. Otherwise each network "
        "has a job of its own. Results do not depend on it (on a GPU up to rounding).",
        False,
        changes=Changes.NOTHING,
    )


@dataclass(frozen=True, kw_only=True)
class Failures:
    """Criteria of a failed training, and what happens after one."""

    max_loss_ratio: float = key(
        "An epoch whose training or validation loss exceeds this multiple of the lowest so far has diverged; after the "
        "first epoch the validation loss is compared with the loss of the first step. A loss or gradient that is not "
        "finite is always a failure.",
        10.0,
        above=1,
    )
    min_teacher_r2_gain: float | None = key(
        "A teacher counts as untrained, and is retried, unless its final R² of the forces on the validation frames "
        "exceeds that of the prior alone by at least this; `null` disables the check.",
        0.005,
        maximum=1,
    )
    min_teacher_r2_share: float = key(
        "A teacher with less than this fraction of the median R² of the other teachers is excluded; checked when all "
        "are trained, without a retry. 0 disables the check.",
        0.5,
        minimum=0,
        below=1,
    )
    retries: int = key(
        "Maximum number of retries of a failed training, from the same initial weights with a lower learning rate; "
        "0 for none.",
        2,
        minimum=0,
        maximum=20,
    )
    retry_factor: float = key("Factor of the learning rate for each retry.", 0.3, above=0, below=1)
    then: Literal["stop", "exclude"] = key(
        "After the last retry `stop` ends the run with an error that names the network; `exclude` goes on without it "
        "and reports so.",
        "stop",
    )


@dataclass(frozen=True, kw_only=True)
class Teachers:
    """Teachers: networks trained on the all-atom forces."""

    seeds: tuple[int, ...] = key(
        "One teacher is trained for each seed.",
        (1, 2, 3, 4, 5, 6, 7, 8),
        minimum=0,
        min_items=1,
        unique=True,
        changes=Changes.PRODUCTS,
    )


@dataclass(frozen=True, kw_only=True)
class Students:
    """Students: networks trained on predictions of the teachers."""

    table: str = key(
        "Tab-separated table with one row per student variant, see below.",
        "config/students.tsv",
        changes=Changes.PRODUCTS,
        **PATH,
    )
