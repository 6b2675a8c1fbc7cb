"""Predictions of teachers on all frames, and their gradient check, from files to files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ..beads import BeadFile
from ..console import log
from ..devices import choose_device
from ..errors import InputError
from ..provenance import stamp
from ..split import read_split
from ..tables import write_table
from .frames import PairFrames
from .gradient_check import check_gradient
from .network import load_model
from .predictions import single_predictions, write_predictions
from .training import predict_each

#: Force components compared with finite differences, spread over this many test frames.
N_COMPONENTS, N_FRAMES = 24, 4


def predict_teachers(
    folders: Sequence[Path],
    beads_path: str | Path,
    split_path: str | Path,
    batch_size: int,
    seed: int,
    device: str = "auto",
) -> None:
    """Write ``predictions.h5`` and ``gradient_check.csv`` into the folder of each teacher.

    The pairs of the frames are found once. On a GPU one evaluation serves all teachers.

    Parameters
    ----------
    folders:
        Trained models of one architecture; the folder's name is the teacher's.
    batch_size:
        Frames at a time.
    seed:
        Of the force components that are checked.

    Raises
    ------
    InputError
        Models of different cutoffs.
    """
    chosen = choose_device(device)
    models = [load_model(folder).to(chosen) for folder in folders]
    cutoffs = {model.spec.cutoff_A for model in models}
    if len(cutoffs) != 1:
        raise InputError("teachers", "cutoffs / A", sorted(cutoffs), "one cutoff")
    with BeadFile(beads_path) as beads:
        types, everything = beads.topology.bead_types, np.arange(len(beads))
        frames = PairFrames.from_beads(beads, everything, cutoffs.pop()).with_pairs_on(chosen)
        tested = beads.frames(read_split(split_path, len(beads)).test[:N_FRAMES])
    groups = [models] if chosen.type == "cuda" else [[model] for model in models]
    found = (own for group in groups for own in predict_each(group, frames, everything, batch_size, chosen))
    for folder, model, own in zip(folders, models, found, strict=True):
        inputs = {"beads": beads_path, "split": split_path, "weights": folder / "weights.safetensors"}
        provenance = stamp({"batch_size": batch_size}, inputs, seed=seed)
        predictions = single_predictions(folder.name, own["forces"], own["epsilon"], types)
        write_predictions(folder / "predictions.h5", predictions, provenance)
        check = check_gradient([model.cpu()], tested, types, N_COMPONENTS, seed)
        log.info("%s: forces against finite differences: %s", folder.name, check)
        write_table(folder / "gradient_check.csv", pd.DataFrame([{"teacher": folder.name, **check}]), provenance)
