"""The runs of a variant: their records, thermo tables and structure curves, gathered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .beads import BeadTopology
from .collect import read_record
from .console import log
from .equilibration import equilibration_of_run
from .errors import InputError
from .lammps_dump import read_dump
from .structure.curves import compute_curves, label_run
from .structure.spec import StructureSpec
from .tables import read_table

FINISHED = "finished"


def _frames(path: Path, topology: BeadTopology, count: list[int]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Positions and cells of a run's dump; ``count[0]`` is the number of frames so far."""
    for frame in read_dump(path):
        if frame.types is None or not np.array_equal(frame.types - 1, topology.bead_types):
            raise InputError(path, f"step {frame.step}", "other bead types", "those of the mapped reference")
        count[0] += 1
        yield frame.positions_A, frame.cell_A


def analyse_runs(
    folders: Sequence[str | Path], topology: BeadTopology, spec: StructureSpec, threads: int = 1
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Curves and descriptions of runs.

    A run that did not finish is described and has no curves: what it did before it blew up is not a
    sample of its ensemble.

    Returns
    -------
    curves: tidy, with the columns of `structure.curves`.
    runs: one row per run; ``equilibrated_ps`` is counted from the start of equilibration, means are
        over production.
    """
    curves, rows = [], []
    for folder in map(Path, folders):
        record = read_record(folder / "run.json")
        thermo = read_table(folder / "thermo.csv")
        row = _describe(record, thermo, folder / "thermo.csv")
        if record["status"] == FINISHED:
            count = [0]
            frames = _frames(folder / "trajectory.lammpstrj", topology, count)
            table = compute_curves(
                frames, topology.type_names, topology.bead_types, spec, threads, source=folder / "trajectory.lammpstrj"
            )
            curves.append(label_run(table, record["variant"], record["member"], record["replica"]))
            row["n_frames"] = count[0]
        else:
            log.warning("%s: %s, %s", folder, record["status"], record["reason"])
        rows.append(row)
    empty = label_run(_NO_CURVES, "", "", 0)
    return (pd.concat(curves, ignore_index=True) if curves else empty), pd.DataFrame(rows)


_NO_CURVES = pd.DataFrame(
    {
        "metric": pd.Series(dtype=str),
        "item": pd.Series(dtype=str),
        "r_max_A": pd.Series(dtype=float),
        "x": pd.Series(dtype=float),
        "x_unit": pd.Series(dtype=str),
        "value": pd.Series(dtype=float),
        "value_unit": pd.Series(dtype=str),
    }
)


def _describe(record: Mapping[str, Any], thermo: pd.DataFrame, source: Path) -> dict[str, Any]:
    production = thermo[thermo["phase"] == "production"]
    equilibration = equilibration_of_run(thermo, source)
    return {
        "variant": record["variant"],
        "member": record["member"],
        "replica": record["replica"],
        "status": record["status"],
        "reason": record["reason"] or "",
        "step": record["step"],
        "n_frames": 0,
        "equilibrated_ps": equilibration.time_ps,
        "statistical_inefficiency": equilibration.statistical_inefficiency,
        "n_effective": equilibration.n_effective,
        "mean_temperature_K": production["temperature_K"].mean(),
        "mean_potential_energy_kcal_mol": production["potential_energy_kcal_mol"].mean(),
        "mean_pressure_atm": production["pressure_atm"].mean(),
        "n_beads": record["n_beads"],
        "timestep_fs": record["timestep_fs"],
        "threads": record["threads"],
        "device": record["device"],
        "ns_per_day": record["ns_per_day"],
        "wall_s": record["wall_s"],
    }
