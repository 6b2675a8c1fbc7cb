"""Split of the frames into training, validation and test sets, shared by all models."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import InputError
from ..runtime.atomic_files import write_json

PARTS = ("train", "valid", "test")


@dataclass(frozen=True)
class Split:
    """Increasing frame indices of each set."""

    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray

    def part(self, name: str) -> np.ndarray:
        """Indices of ``train``, ``valid`` or ``test``."""
        indices: np.ndarray = getattr(self, name)
        return indices

    def known(self) -> np.ndarray:
        """All indices of the three parts, increasing."""
        return np.sort(np.concatenate([self.train, self.valid, self.test]))


def split_frames(
    n_frames: int,
    fractions: Mapping[str, float],
    method: str,
    seed: int,
    max_train_frames: int | None = None,
) -> Split:
    """Split of frames by fraction.

    Parameters
    ----------
    fractions:
        Fractions of ``train``, ``valid`` and ``test``; they sum to 1.
    method:
        ``random`` (seeded, by frame) or ``blocks`` (contiguous: training first, then validation,
        then test, so that correlated frames are not in different sets).
    max_train_frames:
        Maximum number of training frames, evenly spaced in the training set.

    Raises
    ------
    InputError
        A set would be empty.
    """
    counts = {name: int(round(fractions[name] * n_frames)) for name in ("valid", "test")}
    counts["train"] = n_frames - sum(counts.values())
    for name in PARTS:
        if counts[name] < 1:
            raise InputError("config", f"split.{name}", f"no frame of {n_frames}", "at least one frame")
    order = np.random.default_rng(seed).permutation(n_frames) if method == "random" else np.arange(n_frames)
    ends = np.cumsum([counts[name] for name in PARTS])
    train, valid, test = (np.sort(part) for part in np.split(order, ends[:-1]))
    if max_train_frames is not None and max_train_frames < len(train):
        train = train[np.linspace(0, len(train) - 1, max_train_frames).round().astype(int)]
    return Split(train, valid, test)


def write_split(path: str | Path, split: Split, provenance: Mapping[str, Any]) -> None:
    """Write a split as JSON."""
    parts = {name: split.part(name).tolist() for name in PARTS}
    write_json(path, {"unit": "frame index", **parts, "provenance": dict(provenance)})


def read_split(path: str | Path, n_frames: int) -> Split:
    """Split in a file, checked against the number of frames of the trajectory.

    Raises
    ------
    InputError
        A set is missing, empty, not sorted, overlaps another, or contains a frame that does not exist.
    """
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
        lists = {name: data[name] for name in PARTS}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(path, "file", repr(error), "JSON with train, valid and test") from None
    for name, part in lists.items():
        # Only Python integers: numpy would truncate 2.7 and convert "3".
        if not isinstance(part, list) or not all(type(index) is int for index in part):
            raise InputError(path, name, "other values", "a list of frame indices")
        if not all(0 <= index < n_frames for index in part):
            raise InputError(
                path, f"{name}, frame", next(i for i in part if not 0 <= i < n_frames), f"frames below {n_frames}"
            )
        if any(second < first for first, second in pairwise(part)):
            raise InputError(path, name, "unsorted frames", "increasing frames")
    parts = {name: np.array(part, dtype=np.int64) for name, part in lists.items()}
    together = np.concatenate(list(parts.values()))
    if any(len(part) == 0 for part in parts.values()):
        raise InputError(path, "parts", {k: len(v) for k, v in parts.items()}, "at least one frame in each")
    if len(np.unique(together)) != len(together):
        raise InputError(path, "parts", "a frame in two sets", "disjoint sets")
    return Split(**parts)


def start_frame(train: np.ndarray, run_number: int, seed: int) -> int:
    """Frame of the training set from which a run starts.

    Frames are drawn without repetition until all have been used. ``run_number`` counts from 0.
    """
    order = np.random.default_rng(seed).permutation(train)
    return int(order[run_number % len(order)])
