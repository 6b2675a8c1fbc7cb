"""Structure of the reference and of the runs of a variant, and the status of each run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..core.errors import InputError
from ..core.units import FS_PER_PS
from ..core.vocabulary import REFERENCE, RUN_KEY, RunStatus
from ..data.beads import BeadFile, BeadTopology
from ..io.csv_tables import read_table
from ..io.lammps_dump import read_dump
from ..md.run_record import read_record
from ..runtime.job import log
from ..structure.curves import TimedChunk
from ..structure.files import label_run
from ..structure.series import CUTOFF, PRODUCTION, cluster_cutoffs, series_table
from ..structure.spec import StructureSpec
from ..structure.trajectory import analyse_trajectory
from .equilibration import equilibration_of_run
from .stability import StabilitySpec, judge_run

#: Frames of the reference that the cutoffs of the clusters are taken from, at most.
_CUTOFF_FRAMES = 100
_CHUNK = 16


@dataclass(frozen=True)
class RunsStructure:
    """Tables of the runs of a variant, or of the reference; see `TrajectoryStructure`, `RUN_KEY` first.

    Attributes
    ----------
    curves, blocks: of finished runs.
    resolved, series: of all runs.
    runs: one row per run; ``failure_kind`` and ``closest_pair`` are of those that blew up; ``equilibrated_ps`` is
        counted from the start of equilibration, means are over production, the rest is of
        `stability.judge_run`. Empty for the reference.
    """

    curves: pd.DataFrame
    blocks: pd.DataFrame
    resolved: pd.DataFrame
    series: pd.DataFrame
    runs: pd.DataFrame


def analyse_reference(beads: BeadFile, spec: StructureSpec, *, n_blocks: int, threads: int = 1) -> RunsStructure:
    """Structure of the mapped all-atom reference, all of it production.

    The cutoffs of its clusters are the median merge distances of up to `_CUTOFF_FRAMES` frames, evenly spaced; they
    stand among the series (quantity ``cluster_cutoff``, time NaN) and hold for the runs too.

    Raises
    ------
    InputError
        As in `analyse_trajectory`, and no frame at all.
    """
    topology, n_frames = beads.topology, len(beads)
    if n_frames == 0:
        raise InputError(beads.path, "frames", 0, "at least one frame")
    chosen = np.unique(np.linspace(0, n_frames - 1, min(n_frames, _CUTOFF_FRAMES)).astype(np.int64))
    some = (beads.frames([index]) for index in chosen.tolist())
    cutoffs = cluster_cutoffs(
        ((one.positions_A[0], one.cells_A[0]) for one in some), topology.type_names, topology.bead_types
    )
    found = analyse_trajectory(
        ((chunk.times_ps, chunk.positions_A, chunk.cells_A) for chunk in beads.chunks(_CHUNK)),
        topology.type_names,
        topology.bead_types,
        spec,
        n_blocks=n_blocks,
        threads=threads,
        source=beads.path,
        n_frames=n_frames,
        cluster_cutoffs_A=cutoffs,
    )
    rows = series_table([(np.nan, PRODUCTION, CUTOFF, name, cutoff, "A") for name, cutoff in cutoffs.items()])
    tables = {
        "curves": found.curves,
        "blocks": found.blocks,
        "resolved": found.resolved,
        "series": pd.concat([found.series, rows], ignore_index=True),
    }
    labelled = {name: label_run(table, REFERENCE, REFERENCE, 0) for name, table in tables.items()}
    return RunsStructure(**labelled, runs=pd.DataFrame())


def read_cluster_cutoffs(series: pd.DataFrame) -> dict[str, float]:
    """Cutoff of the clusters, A, of each type from the series of the reference."""
    rows = series[series["quantity"] == CUTOFF]
    return {str(item): float(value) for item, value in zip(rows["item"], rows["value"], strict=True)}


def analyse_runs(
    folders: Sequence[str | Path],
    topology: BeadTopology,
    spec: StructureSpec,
    *,
    n_blocks: int,
    stability: StabilitySpec,
    cluster_cutoffs_A: Mapping[str, float],
    threads: int = 1,
) -> RunsStructure:
    """Structure and descriptions of runs.

    A run that did not finish is described and resolved in time; it has no curves and no blocks: what it did before it
    blew up is not a sample of its ensemble. One that was excluded is described alone.

    Parameters
    ----------
    folders: of `simulation.run_simulations`; one without ``equilibration.lammpstrj`` has no frames of that phase.
    n_blocks, cluster_cutoffs_A, threads: as in `analyse_trajectory`.

    Raises
    ------
    InputError
        A file that is missing or damaged, beads other than those of ``topology``, a finished run without frames.
    """
    parts: dict[str, list[pd.DataFrame]] = {name: [] for name in ("curves", "blocks", "resolved", "series")}
    rows = []
    for folder in map(Path, folders):
        record = read_record(folder / "run.json")
        thermo = read_table(folder / "thermo.csv")
        found = analyse_trajectory(
            _frames(folder, topology),
            topology.type_names,
            topology.bead_types,
            spec,
            n_blocks=n_blocks,
            threads=threads,
            source=folder / "trajectory.lammpstrj",
            production_after_ps=_equilibration_ps(record),
            cluster_cutoffs_A=cluster_cutoffs_A,
        )
        finished = record["status"] == RunStatus.FINISHED
        if finished and found.n_frames == 0:
            raise InputError(folder / "trajectory.lammpstrj", "frames", 0, "at least one frame of a finished run")
        if not finished:
            log.warning("%s: %s, %s", folder, record["status"], record["reason"])
        row = _describe(record, thermo, folder / "thermo.csv")
        row["n_frames"] = found.n_frames if finished else 0
        verdict = judge_run(found.series, thermo, stability, n_beads=topology.n_beads, **_end(record))
        rows.append({**row, **_failure(record), **verdict.columns()})
        for name, tables in parts.items():
            table: pd.DataFrame = getattr(found, name)
            kept = table if finished or name in ("resolved", "series") else table.iloc[:0]
            tables.append(label_run(kept, record["variant"], record["member"], record["replica"]))
    return RunsStructure(**{name: _join(tables) for name, tables in parts.items()}, runs=pd.DataFrame(rows))


def _frames(folder: Path, topology: BeadTopology) -> Iterator[TimedChunk]:
    """Frames of a run, those of equilibration first."""
    for path in (folder / "equilibration.lammpstrj", folder / "trajectory.lammpstrj"):
        # Runs that blew up early have none; older runs did not keep those of equilibration.
        if (not path.exists() and path.name.startswith("equilibration")) or (path.exists() and not path.stat().st_size):
            continue
        for frame in read_dump(path):
            if frame.types is None or not np.array_equal(frame.types - 1, topology.bead_types):
                raise InputError(path, f"step {frame.step}", "other bead types", "those of the mapped reference")
            if frame.time_ps is None:
                raise InputError(path, f"step {frame.step}", "no time", "dump_modify time yes")
            yield frame.time_ps, frame.positions_A, frame.cell_A


def _equilibration_ps(record: Mapping[str, Any]) -> float:
    """The time up to which frames are of equilibration; -inf where there is none."""
    steps = record.get("equilibration_steps") or 0
    return steps * float(record["timestep_fs"]) / FS_PER_PS if steps else -math.inf


def _end(record: Mapping[str, Any]) -> dict[str, Any]:
    """How a run ended, as `judge_run` wants it: None for one that finished."""
    if record["status"] == RunStatus.FINISHED:
        return {"ended": None, "end_ps": math.nan}
    if record["status"] == RunStatus.EXCLUDED:
        return {"ended": (RunStatus.EXCLUDED, record["reason"]), "end_ps": math.nan}
    end_ps = record["step"] * float(record["timestep_fs"]) / FS_PER_PS
    return {"ended": (RunStatus.BLOWN_UP, record["reason"] or ""), "end_ps": end_ps}


def _failure(record: Mapping[str, Any]) -> dict[str, Any]:
    """By what a run blew up, and the beads that were closest then; empty for one that finished."""
    failure = record.get("failure") or {}
    pair = failure.get("closest_pair")
    named = zip(pair["beads"], pair["types"], strict=True) if pair else ()
    return {
        "failure_kind": failure.get("kind", ""),
        "closest_pair": ", ".join(f"bead {bead} ({type_name})" for bead, type_name in named),
        "closest_pair_distance_A": pair["distance_A"] if pair else math.nan,
    }


def _join(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Tables one after the other; those without rows give columns where all are so."""
    filled = [table for table in tables if len(table)]
    return pd.concat(filled, ignore_index=True) if filled else tables[0]


def _describe(record: Mapping[str, Any], thermo: pd.DataFrame, source: Path) -> dict[str, Any]:
    production = thermo[thermo["phase"] == PRODUCTION]
    equilibration = equilibration_of_run(thermo, source)
    return {
        **{column: record[column] for column in RUN_KEY},
        "start_frame": record.get("start_frame"),
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
