"""Pairwise splines from labelled frames: normal equations over the training frames, then least squares."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...core.seeds import derive
from ...data.pair_frames import PairFrames
from ...runtime.job import log, progress
from .basis import PairSplineSpec, SplineBasis
from .equations import NormalEquations
from .fit import fit
from .model import PairSplineModel


def drawn_frames(training: np.ndarray, seed: int, bootstrap: bool) -> np.ndarray:
    """The training frames that a fit uses, in increasing order, each as often as it was drawn.

    Parameters
    ----------
    training: (n,) places of the training frames.
    seed: of the draw.
    bootstrap: n frames with replacement (Efron and Tibshirani, An Introduction to the Bootstrap, 1993); otherwise each
        once.
    """
    if not bootstrap:
        return np.sort(training)
    drawn = np.random.default_rng(derive(seed, "bootstrap")).choice(training, len(training))
    return np.asarray(np.sort(drawn))


def train_pair_spline(
    spec: PairSplineSpec,
    type_names: tuple[str, ...],
    frames: PairFrames,
    training: np.ndarray,
    weights: Mapping[str, float],
    seed: int,
) -> PairSplineModel:
    """The model that minimises the sum over labels of weight times RMSE (`fit`) on the drawn training frames.

    Parameters
    ----------
    frames: with pairs to the cutoff and a target for every weight.
    training: (n,) places of the training frames within ``frames``.
    weights: of the targets by name; those of weight 0 have no influence.
    seed: of the draw of the frames.
    """
    active = {name: weight for name, weight in weights.items() if weight > 0}
    equations = NormalEquations(SplineBasis.of(spec), len(type_names), tuple(active))
    drawn = drawn_frames(training, seed, spec.bootstrap)
    for place in progress(drawn, len(drawn), "normal equations", "frames"):
        batch = frames.batch([int(place)])
        pairs = (batch.first.numpy(), batch.second.numpy(), batch.vectors_A.numpy())
        equations.add(*pairs, frames.bead_types, {name: batch.targets[name][0].numpy() for name in active})
    model, report = fit(equations, spec, active, type_names)
    errors = ", ".join(f"{name} RMSE {report.rmse[name]:.4f}, R2 {report.r2[name]:.4f}" for name in active)
    log.info(
        "pairwise splines: %d parameters, %d undetermined, from %d frames, %d of them different: %s",
        report.n_parameters,
        report.n_undetermined,
        len(drawn),
        len(np.unique(drawn)),
        errors,
    )
    return model
