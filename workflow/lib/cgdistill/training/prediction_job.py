"""Predictions of teachers on all frames, and their gradient check, from files to files."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ..core.errors import InputError
from ..data.beads import BeadFile
from ..data.pair_frames import PairFrames
from ..data.split import read_split
from ..forcefield.forcefield import ForceField, load_force_field
from ..io.csv_tables import write_table
from ..provenance.record import stamp
from ..runtime.devices import choose_device
from ..runtime.job import Progress, log
from .evaluation import predict_together_on_gpu
from .gradient_check import check_gradient
from .predictions import PredictionWriter, writing_predictions

#: Force components compared with finite differences, spread over this many test frames.
N_COMPONENTS, N_FRAMES = 24, 4
#: Frames whose pairs are held at a time, at least.
_FRAMES_AT_ONCE = 64


def predict_teachers(
    folders: Sequence[Path],
    beads_path: str | Path,
    split_path: str | Path,
    batch_size: int,
    seed: int,
    device: str = "auto",
) -> None:
    """Write ``predictions.h5`` and ``gradient_check.csv`` into the folder of each teacher.

    The pairs of the frames are found once, some frames at a time: what grows with the frames is the per-bead energies,
    4 bytes per bead, frame and teacher. On a GPU one evaluation serves all teachers.

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
        Models of different cutoffs or priors.
    """
    chosen = choose_device(device)
    force_field = load_force_field(folders)
    models = [model.to(chosen) for model in force_field.networks]
    cutoffs = {model.spec.cutoff_A for model in models}
    if len(cutoffs) != 1:
        raise InputError("teachers", "cutoffs / A", sorted(cutoffs), "one cutoff")
    provenances = []
    for folder in folders:
        inputs = {"beads": beads_path, "split": split_path, "weights": folder / "weights.safetensors"}
        provenances.append(stamp({"batch_size": batch_size}, inputs, seed=seed))
    with BeadFile(beads_path) as beads, ExitStack() as stack:
        types, n_frames = beads.topology.bead_types, len(beads)
        tested = beads.frames(read_split(split_path, n_frames).test[:N_FRAMES])
        writers = [
            stack.enter_context(
                writing_predictions(folder / "predictions.h5", folder.name, n_frames, types, provenance)
            )
            for folder, provenance in zip(folders, provenances, strict=True)
        ]
        _predict_all_frames(force_field, beads, batch_size, chosen, writers)
    for folder, model, provenance in zip(folders, models, provenances, strict=True):
        check = check_gradient(ForceField(force_field.prior, (model.to("cpu"),)), tested, types, N_COMPONENTS, seed)
        log.info("%s: forces against finite differences: %s", folder.name, check)
        write_table(folder / "gradient_check.csv", pd.DataFrame([{"teacher": folder.name, **check}]), provenance)


def _predict_all_frames(
    teachers: ForceField,
    beads: BeadFile,
    batch_size: int,
    device: torch.device,
    writers: Sequence[PredictionWriter],
) -> None:
    """Give the output of each network with the prior for all frames to its writer, some frames at a time."""
    # Whole batches: each holds the frames that it would hold if all frames were read at once.
    step = batch_size * -(-_FRAMES_AT_ONCE // batch_size)
    n_frames = len(beads)
    bar = Progress(n_frames, "predictions", "frames")
    for start in range(0, n_frames, step):
        numbers = np.arange(start, min(start + step, n_frames))
        frames = PairFrames.from_beads(beads, numbers, teachers.network_cutoff_A, show=False).with_pairs_on(device)
        frames = frames.with_prior(teachers.prior.forces_in_file(beads, numbers))
        outputs = predict_together_on_gpu(teachers.networks, frames, np.arange(len(frames)), batch_size, device)
        for writer, output in zip(writers, outputs, strict=True):
            writer.append(output)
        bar.update(len(frames))
    bar.close()
