"""Errors of predictions against targets: MAE, RMSE and R², overall and by bead type."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

#: Units of the training targets: AA forces F, teacher forces f, system energy E, per-bead energies epsilon.
TARGET_UNITS = {"F": "kcal/mol/A", "f": "kcal/mol/A", "E": "kcal/mol", "epsilon": "kcal/mol"}


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


def centre_per_type(bead_energies: np.ndarray, bead_types: np.ndarray) -> np.ndarray:
    """Bead energies (n_frames, n_beads) less the mean of each bead type.

    Training on forces leaves them free by one constant per type.
    """
    centred = np.array(bead_energies, dtype=np.float64)
    for kind in np.unique(bead_types):
        members = bead_types == kind
        centred[:, members] -= centred[:, members].mean()
    return centred


def metrics_table(
    targets: Mapping[str, np.ndarray],
    predictions: Mapping[str, np.ndarray],
    bead_types: np.ndarray,
    type_names: tuple[str, ...],
) -> pd.DataFrame:
    """Error measures per target: columns ``target, bead_type, unit, mae, rmse, r2, n``.

    Parameters
    ----------
    targets, predictions:
        By target name: ``F``, ``f`` (n_frames, n_beads, 3), ``epsilon`` (n_frames, n_beads),
        ``E`` (n_frames,). The constants that forces leave free are taken out of ``epsilon``
        (per type) and ``E`` before they are compared.
    """
    rows = []
    for name, target in targets.items():
        prediction = predictions[name]
        if name == "epsilon":
            target, prediction = (centre_per_type(values, bead_types) for values in (target, prediction))
        if name == "E":
            target, prediction = target - target.mean(), prediction - prediction.mean()
        rows.append({"target": name, "bead_type": "all", **error_measures(target, prediction)})
        if name != "E":
            for kind, type_name in enumerate(type_names):
                members = bead_types == kind
                measures = error_measures(target[:, members], prediction[:, members])
                rows.append({"target": name, "bead_type": type_name, **measures})
    table = pd.DataFrame(rows)
    table.insert(2, "unit", [TARGET_UNITS[name] for name in table["target"]])
    return table
