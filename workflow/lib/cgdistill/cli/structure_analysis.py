"""What the commands of `structure_commands` do with their options."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..core.errors import InputError
from ..core.vocabulary import CURVE_KEY, RUN_KEY
from ..data.cg_trajectory import BeadTrajectory, Origin, open_trajectory
from ..geometry.cells import perpendicular_widths_A
from ..io.csv_tables import read_table, write_table
from ..provenance.record import stamp
from ..structure.conventions import CGDISTILL, TRAVIS
from ..structure.curves import compute_curves
from ..structure.files import CURVE_COLUMNS, label_run, read_curves, write_curves
from ..structure.metrics import PRESENTATIONS
from ..structure.metrics.base import Beads
from ..structure.metrics.presentation import System
from ..structure.spec import StructureSpec
from ..structure.tae import tae_table
from .structure_commands import metric_commands

SOURCE = "command line"
_TABLES = (".parquet", ".csv")


@dataclass(frozen=True)
class Analysed:
    """Curves of one trajectory, a line that describes it, and what is known of the system."""

    curves: pd.DataFrame
    text: str
    system: System


def run_metric(options: argparse.Namespace) -> str:
    """Curves of one metric of one trajectory: print landmarks, write curves and figure."""
    metric = options.command
    trajectory = open_trajectory(options.trajectory, _origin(options, ""))
    spec = _spec(options, (metric,), [trajectory])
    found = _analyse(trajectory, spec, options.threads)
    if options.output:
        labelled = label_run(found.curves, options.trajectory[0].stem, "all", 0)
        _write(options.output, labelled, options, options.trajectory)
    if options.figure:
        _draw(options.figure, {trajectory.source: found.curves})
    table = metric_commands()[metric].landmarks(found.curves, found.system)
    return "\n".join([found.text, _shown(table), *_written(options)])


def run_tae(options: argparse.Namespace) -> str:
    """Errors of a model against a reference, each a trajectory or curves on disk."""
    reference = _curves_on_disk(options.reference)
    model = _curves_on_disk(options.trajectory)
    metrics = tuple(options.metrics)
    at_hand = reference if reference is not None else model
    if at_hand is not None:
        metrics = tuple(metric for metric in metrics if metric in set(at_hand["metric"]))
        if not metrics:
            raise InputError(SOURCE, "metrics", ", ".join(options.metrics), "one that the curves hold")
    trajectories = _opened(options, reference, model)
    if at_hand is not None:
        spec = _spec_of(at_hand[at_hand["metric"].isin(metrics)], trajectories)
    else:
        spec = _spec(options, metrics, trajectories)
    notes, left, tables = [], list(trajectories), {}
    for name, paths, table in (("reference", options.reference, reference), ("model", options.trajectory, model)):
        if table is None:
            found = _analyse(left.pop(0), spec, options.threads)
            table = label_run(found.curves, paths[0].stem, "all", 0)
            notes.append(f"{name}: {found.text}")
        else:
            n_runs = len(table[RUN_KEY].drop_duplicates())
            notes.append(f"{name}: {paths[0]}, curves of {n_runs} {'run' if n_runs == 1 else 'runs'}")
        tables[name] = table[table["metric"].isin(metrics)]
    errors = tae_table(tables["reference"], tables["model"])
    units = tables["reference"].groupby("metric")[["x_unit", "value_unit"]].first()
    errors["unit"] = [_product(*units.loc[metric]) for metric in errors["metric"]]
    if options.output:
        _write(options.output, errors, options, [*options.reference, *options.trajectory])
    if options.figure:
        _draw(options.figure, {name: _mean(table) for name, table in tables.items()}, "reference")
    grouped = errors.groupby([*CURVE_KEY, "unit"], sort=False, dropna=False)["tae"]
    table = grouped.agg(tae="mean", std="std", runs="size").reset_index()
    if (table["runs"] == 1).all():
        table = table.drop(columns=["std", "runs"])
    return "\n".join([*notes, _shown(table), *_written(options)])


def _opened(
    options: argparse.Namespace, reference: pd.DataFrame | None, model: pd.DataFrame | None
) -> list[BeadTrajectory]:
    """Those of reference and model that are trajectories, with the same types in the same order."""
    trajectories: list[BeadTrajectory] = []
    for prefix, paths, table in (("reference_", options.reference, reference), ("", options.trajectory, model)):
        if table is not None:
            continue
        known = _known_types(trajectories, reference if reference is not None else model)
        origin = _origin(options, prefix)
        # A dump has no names of its own.
        trajectory = open_trajectory(paths, origin if origin.types else replace(origin, dump_types=known))
        if trajectories and set(trajectory.type_names) != set(known):
            names = ", ".join(trajectory.type_names)
            raise InputError(trajectory.source, "types", names, f"{', '.join(known)}, as in the reference")
        trajectories.append(_in_order(trajectory, known))
    return trajectories


def _origin(options: argparse.Namespace, prefix: str) -> Origin:
    """What the options say about the trajectory (prefix empty) or the reference."""

    def of(name: str) -> object:
        return getattr(options, prefix + name)

    cell = getattr(options, prefix + "cell")
    return Origin(
        **{name: of(name) for name in ("topology", "mapping", "masses", "units", "types_from", "stride")},  # type: ignore[arg-type]
        types=tuple(getattr(options, prefix + "types")),
        cell_A=None if cell is None else np.diag(cell).astype(np.float64),
        begin_ps=getattr(options, prefix + "begin"),
        end_ps=getattr(options, prefix + "end"),
    )


def _known_types(trajectories: Sequence[BeadTrajectory], curves: pd.DataFrame | None) -> tuple[str, ...]:
    """Names of the types in order, from what has been opened before; empty where nothing tells."""
    if trajectories:
        return trajectories[0].type_names
    if curves is None:
        return ()
    of_types = [name for name, shown in PRESENTATIONS.items() if shown.items_are_types]
    return tuple(curves.loc[curves["metric"].isin(of_types), "item"].unique())


def _in_order(trajectory: BeadTrajectory, names: tuple[str, ...]) -> BeadTrajectory:
    """The trajectory with the types numbered as in ``names``, where it has the same ones in another order."""
    own = trajectory.type_names
    if own == names or set(own) != set(names):
        return trajectory
    places = np.array([names.index(name) for name in own])
    return replace(trajectory, type_names=names, bead_types=places[trajectory.bead_types])


def _spec(options: argparse.Namespace, metrics: Sequence[str], trajectories: Sequence[BeadTrajectory]) -> StructureSpec:
    """Settings that the options ask for."""
    half_A = 0.5 * min(float(perpendicular_widths_A(one.first().cell_A).min()) for one in trajectories)
    system = System(Beads.of(trajectories[0].type_names, trajectories[0].bead_types), half_A)
    own = {name: command for name, command in metric_commands().items() if name in metrics}
    settings = {name: command.settings(options, system, SOURCE) for name, command in own.items()}
    return StructureSpec(settings, SOURCE, options.convention)


def _spec_of(curves: pd.DataFrame, trajectories: Sequence[BeadTrajectory]) -> StructureSpec:
    """Settings and convention of curves on disk, for a trajectory to be compared with them."""
    names = trajectories[0].type_names if trajectories else ()
    held = set(curves["metric"])
    settings = {
        name: command.settings_of(curves[curves["metric"] == name], names, SOURCE)
        for name, command in metric_commands().items()
        if name in held
    }
    convention = TRAVIS if curves["value_unit"].str.contains("TRAVIS").any() else CGDISTILL
    return StructureSpec(settings, SOURCE, convention)


def _analyse(trajectory: BeadTrajectory, spec: StructureSpec, threads: int) -> Analysed:
    """Curves of all frames, and a line that describes them."""
    times: list[float] = []
    volumes: list[float] = []

    def frames() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for frame in trajectory.read():
            times.append(frame.time_ps)
            volumes.append(abs(float(np.linalg.det(frame.cell_A))))
            yield frame.positions_A, frame.cell_A

    names, types = trajectory.type_names, trajectory.bead_types
    curves = compute_curves(frames(), names, types, spec, threads, trajectory.source)
    counts = ", ".join(f"{n} {name}" for name, n in zip(names, np.bincount(types).tolist(), strict=False))
    when = f", {times[0]:g} to {times[-1]:g} ps" if np.isfinite(times).all() else ""
    volume_A3 = float(np.mean(volumes))
    number = "1 frame" if len(times) == 1 else f"{len(times)} frames"
    where = f"{len(types)} beads ({counts}) in {volume_A3:.1f} A^3"
    text = f"{trajectory.source}: {number}{when}; {where}; convention {spec.convention}"
    return Analysed(curves, text, System(Beads.of(names, types), volume_A3=volume_A3))


def _curves_on_disk(paths: Sequence[Path]) -> pd.DataFrame | None:
    """Curves of a file of curves, None for a trajectory."""
    path = paths[0]
    if path.suffix not in _TABLES:
        return None
    if len(paths) > 1:
        raise InputError(SOURCE, "files", f"{len(paths)}, the first with curves", "one file of curves")
    if not path.is_file():
        raise InputError(path, "file", "nothing", "curves")
    return read_curves(path) if path.suffix == ".parquet" else read_table(path, RUN_KEY + CURVE_COLUMNS)


def _plain(value: Any) -> Any:
    """An option as JSON holds it."""
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value if isinstance(value, int | float | str) else str(value)


def _write(path: Path, table: pd.DataFrame, options: argparse.Namespace, inputs: Sequence[Path]) -> None:
    left_out = ("run", "threads", "output", "figure")
    given = {name: _plain(value) for name, value in sorted(vars(options).items()) if name not in left_out and value}
    provenance = stamp(given, inputs, options=given)
    if path.suffix == ".csv":
        write_table(path, table, provenance)
    elif "x" in table.columns:
        write_curves(path, table, provenance)
    else:
        raise InputError(SOURCE, "output", path, "a .csv file for errors")


def _draw(path: Path, curves: dict[str, pd.DataFrame], reference: str | None = None) -> None:
    from ..figures.analysis import analysis_figure, write_figure

    write_figure(analysis_figure(curves, reference), path)


def _mean(curves: pd.DataFrame) -> pd.DataFrame:
    """Mean over the runs."""
    keys = [column for column in CURVE_COLUMNS if column != "value"]
    return curves.groupby(keys, sort=False, dropna=False)["value"].mean().reset_index()


def _product(x_unit: str, value_unit: str) -> str:
    """Unit of an error: that of x times that of the values."""
    if value_unit == f"1/{x_unit}":
        return "1"
    return x_unit if value_unit == "1" else f"{x_unit} x {value_unit}"


def _shown(table: pd.DataFrame) -> str:
    """A table as text; no number where there is none."""
    return str(table.to_string(index=False, na_rep="", float_format=lambda value: f"{value:.4g}"))


def _written(options: argparse.Namespace) -> list[str]:
    return [f"written: {path}" for path in (options.output, options.figure) if path]
