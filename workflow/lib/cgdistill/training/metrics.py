"""Errors of predictions against targets: MAE, RMSE and R², overall and by bead type."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ..config.targets import TARGETS
from ..forcefield.trainable import ModelOutput
from .targets import COMPUTATIONS


def error_measures(target: np.ndarray, prediction: np.ndarray) -> dict[str, float]:
    """MAE, RMSE and R² = 1 - SS_res/SS_tot over all elements (R² is NaN for a constant target)."""
    residual = prediction - target
    total = float(((target - target.mean()) ** 2).sum())
    return {
        "mae": float(np.abs(residual).mean()),
        "rmse": float(np.sqrt((residual**2).mean())),
        "r2": 1.0 - float((residual**2).sum()) / total if total > 0 else float("nan"),
        "n": int(target.size),
    }


def metrics_table(
    targets: Mapping[str, np.ndarray],
    output: ModelOutput[np.ndarray],
    bead_types: np.ndarray,
    type_names: tuple[str, ...],
) -> pd.DataFrame:
    """Error measures per target: columns ``target, bead_type, unit, mae, rmse, r2, n``.

    Constants that training leaves undetermined are removed from targets and predictions before they are compared
    (`targets.Computation.without_constants`).

    Parameters
    ----------
    targets:
        Reference values by target, with the frames as first axis.
    output:
        Of the model for the same frames.
    bead_types:
        (n_beads,) index into ``type_names``.
    """
    output = ModelOutput(*(values.astype(np.float64) for values in output))
    rows = []
    for name, target in targets.items():
        computation = COMPUTATIONS[name]
        target, prediction = (
            computation.without_constants(values, bead_types)
            for values in (np.asarray(target, dtype=np.float64), computation.of_model(output))
        )
        rows.append({"target": name, "bead_type": "all", **error_measures(target, prediction)})
        if TARGETS[name].per_bead:
            for kind, type_name in enumerate(type_names):
                members = bead_types == kind
                measures = error_measures(target[:, members], prediction[:, members])
                rows.append({"target": name, "bead_type": type_name, **measures})
    table = pd.DataFrame(rows)
    table.insert(2, "unit", [TARGETS[name].unit for name in table["target"]])
    return table
