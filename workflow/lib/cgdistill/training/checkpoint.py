"""Checkpoint file of a training."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch

from ..runtime.atomic_files import whole_file
from ..runtime.job import log

CHECKPOINT_FORMAT = "cgdistill-checkpoint-4"


def state_key(*parts: Any) -> str:
    """Short key of what determines a training; a checkpoint of another key is not used."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


class Checkpoint:
    """File that holds the state of one training.

    Parameters
    ----------
    path: of the file.
    key: of what determines the training (`state_key`).
    """

    def __init__(self, path: str | Path, key: str = "") -> None:
        self.path, self.key = Path(path), key

    def save(self, state: dict[str, Any]) -> None:
        """Replace the file, at once and as a whole."""
        with whole_file(self.path) as partial:
            torch.save({"format": CHECKPOINT_FORMAT, "key": self.key, **state}, partial)

    def load(self, name: str) -> dict[str, Any] | None:
        """The state; None where there is no file, or one that is damaged or of another training (with a log message).

        Parameters
        ----------
        name: of the training, in messages.
        """
        if not self.path.exists():
            return None
        try:
            state = torch.load(self.path, weights_only=True, map_location="cpu")
        except Exception as error:  # torch raises many kinds for a damaged file
            log.warning("%s: %s cannot be read (%s); training starts from the beginning", name, self.path, error)
            return None
        if not isinstance(state, dict) or state.get("format") != CHECKPOINT_FORMAT or state.get("key") != self.key:
            log.info("%s: %s is of another training; training starts from the beginning", name, self.path)
            return None
        return state
