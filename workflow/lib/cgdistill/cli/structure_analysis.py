"""What the commands ``rdf``, ``adf``, ``cdf`` and ``tae`` do with their options (`analysis_cli`)."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..core.errors import InputError
from ..data.cg_trajectory import BeadTrajectory, Origin, open_trajectory
from ..geometry.cells import perpendicular_widths_A
from ..io.csv_tables import read_table, write_table
from ..provenance.record import stamp
from ..structure.curves import compute_curves
from ..structure.files import CURVE_COLUMNS, RUN_COLUMNS, label_run, read_curves, write_curves
from ..structure.grids import Grid
from ..structure.landmarks import adf_landmarks, cdf_landmarks, rdf_landmarks
from ..structure.spec import CGDISTILL, TRAVIS, StructureSpec
from ..structure.tae import tae_table

SOURCE = "command line"
#: The RDF goes so far where the options do not say, or to this share of half of the first cell: cells may change.
_RDF_R_MAX_A, _WITHIN = 20.0, 0.98
_TABLES = (".parquet", ".csv")
#: Ends of the bins of metrics that are not wanted: they fit any cell.
_UNUSED = {"rdf": 1e-3, "adf": 180.0, "cdf": 1e-3}


@dataclass(frozen=True)
class Analysed:
    """Curves of one trajectory and what they were made of: `text` says it, `volume_A3` is the mean volume."""

    curves: pd.DataFrame
    text: str
    volume_A3: float


def run_metric(options: argparse.Namespace) -> str:
    """Curves of one metric of one trajectory: print landmarks, write curves and figure."""
    metric = options.command
    trajectory = open_trajectory(options.trajectory, _origin(options, ""))
    spec = _spec(options, (metric,), [trajectory])
    found = _analyse(trajectory, spec, (metric,), options.threads)
    if options.output:
        labelled = label_run(found.curves, options.trajectory[0].stem, "all", 0)
        _write(options.output, labelled, options, options.trajectory)
    if options.figure:
        _draw(options.figure, {trajectory.source: found.curves})
    counts = dict(zip(trajectory.type_names, np.bincount(trajectory.bead_types).tolist(), strict=False))
    if metric == "rdf":
        table = rdf_landmarks(found.curves, counts, found.volume_A3, int(spec.convention != TRAVIS))
    else:
        table = adf_landmarks(found.curves) if metric == "adf" else cdf_landmarks(found.curves)
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
    spec = _spec_of(at_hand, trajectories) if at_hand is not None else _spec(options, metrics, trajectories)
    notes, left, tables = [], list(trajectories), {}
    for name, paths, table in (("reference", options.reference, reference), ("model", options.trajectory, model)):
        if table is None:
            found = _analyse(left.pop(0), spec, metrics, options.threads)
            table = label_run(found.curves, paths[0].stem, "all", 0)
            notes.append(f"{name}: {found.text}")
        else:
            n_runs = len(table[RUN_COLUMNS].drop_duplicates())
            notes.append(f"{name}: {paths[0]}, curves of {n_runs} {'run' if n_runs == 1 else 'runs'}")
        tables[name] = table[table["metric"].isin(metrics)]
    errors = tae_table(tables["reference"], tables["model"])
    units = tables["reference"].groupby("metric")[["x_unit", "value_unit"]].first()
    errors["unit"] = [_product(*units.loc[metric]) for metric in errors["metric"]]
    if options.output:
        _write(options.output, errors, options, [*options.reference, *options.trajectory])
    if options.figure:
        _draw(options.figure, {name: _mean(table) for name, table in tables.items()}, "reference")
    grouped = errors.groupby(["metric", "item", "r_max_A", "unit"], sort=False, dropna=False)["tae"]
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
    return tuple(curves.loc[curves["metric"] == "cdf", "item"].unique())


def _in_order(trajectory: BeadTrajectory, names: tuple[str, ...]) -> BeadTrajectory:
    """The trajectory with the types numbered as in ``names``, where it has the same ones in another order."""
    own = trajectory.type_names
    if own == names or set(own) != set(names):
        return trajectory
    places = np.array([names.index(name) for name in own])
    return replace(trajectory, type_names=names, bead_types=places[trajectory.bead_types])


def _spec(options: argparse.Namespace, metrics: Sequence[str], trajectories: Sequence[BeadTrajectory]) -> StructureSpec:
    """Bins of the options."""
    half_A = 0.5 * min(float(perpendicular_widths_A(one.first().cell_A).min()) for one in trajectories)

    def grid(metric: str, stop: float | None, unit: str) -> Grid:
        if metric not in metrics:
            return Grid(0.0, _UNUSED[metric], _UNUSED[metric], unit)
        width = getattr(options, f"{metric}_bin_width")
        if stop is None:
            stop = width * float(np.floor(min(_RDF_R_MAX_A, _WITHIN * half_A) / width))
        return Grid.from_config(f"bin width of the {metric.upper()}", 0.0, stop, width, unit, SOURCE)

    names = trajectories[0].type_names
    with_adf = "adf" in metrics
    return StructureSpec(
        rdf=grid("rdf", getattr(options, "rdf_r_max", None), "A"),
        adf=grid("adf", 180.0, "deg"),
        cdf=grid("cdf", getattr(options, "cdf_r_max", None), "A"),
        triplets=_triplets(options.triplets, names, trajectories[0].bead_types) if with_adf else (),
        adf_r_max_A=tuple(sorted(set(options.adf_r_max))) if with_adf else (),
        source=SOURCE,
        convention=options.convention,
    )


def _triplets(
    given: Sequence[str] | None, names: tuple[str, ...], bead_types: np.ndarray
) -> tuple[tuple[str, str, str], ...]:
    """Triplets of the option, or A-A-A of each type of three beads or more."""
    if given is None:
        counts = np.bincount(bead_types, minlength=len(names))
        return tuple((name, name, name) for name, count in zip(names, counts, strict=True) if count > 2)
    return tuple(_triplet(text, names) for text in dict.fromkeys(given))


def _triplet(text: str, names: Sequence[str]) -> tuple[str, str, str]:
    """Three types joined by hyphens; a name may hold hyphens itself."""
    for a, b, c in product(names, repeat=3):
        if text == f"{a}-{b}-{c}":
            return a, b, c
    raise InputError(
        SOURCE, "triplet", text, f"three of {', '.join(names)} joined by hyphens, the centre in the middle"
    )


def _spec_of(curves: pd.DataFrame, trajectories: Sequence[BeadTrajectory]) -> StructureSpec:
    """Bins, triplets and convention of curves on disk, for a trajectory to be compared with them."""

    def grid(metric: str, unit: str) -> Grid:
        x = np.unique(curves.loc[curves["metric"] == metric, "x"])
        # Bins are from 0, so the outermost centres add up to their end.
        stop = float(round(x[0] + x[-1], 6)) if len(x) else _UNUSED[metric]
        return Grid(0.0, stop, stop / max(len(x), 1), unit)

    adf = curves[curves["metric"] == "adf"]
    names = trajectories[0].type_names if trajectories else ()
    return StructureSpec(
        rdf=grid("rdf", "A"),
        adf=grid("adf", "deg"),
        cdf=grid("cdf", "A"),
        triplets=tuple(_triplet(item, names) for item in adf["item"].unique()) if trajectories else (),
        adf_r_max_A=tuple(sorted(adf["r_max_A"].unique().tolist())),
        source=SOURCE,
        convention=TRAVIS if curves["value_unit"].str.contains("TRAVIS").any() else CGDISTILL,
    )


def _analyse(trajectory: BeadTrajectory, spec: StructureSpec, metrics: Sequence[str], threads: int) -> Analysed:
    """Curves of all frames, and a line that describes them."""
    times: list[float] = []
    volumes: list[float] = []

    def frames() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for frame in trajectory.read():
            times.append(frame.time_ps)
            volumes.append(abs(float(np.linalg.det(frame.cell_A))))
            yield frame.positions_A, frame.cell_A

    names, types = trajectory.type_names, trajectory.bead_types
    curves = compute_curves(frames(), names, types, spec, threads, metrics, trajectory.source)
    counts = ", ".join(f"{n} {name}" for name, n in zip(names, np.bincount(types).tolist(), strict=False))
    when = f", {times[0]:g} to {times[-1]:g} ps" if np.isfinite(times).all() else ""
    volume_A3 = float(np.mean(volumes))
    number = "1 frame" if len(times) == 1 else f"{len(times)} frames"
    where = f"{len(types)} beads ({counts}) in {volume_A3:.1f} A^3"
    text = f"{trajectory.source}: {number}{when}; {where}; convention {spec.convention}"
    return Analysed(curves, text, volume_A3)


def _curves_on_disk(paths: Sequence[Path]) -> pd.DataFrame | None:
    """Curves of a file of curves, None for a trajectory."""
    path = paths[0]
    if path.suffix not in _TABLES:
        return None
    if len(paths) > 1:
        raise InputError(SOURCE, "files", f"{len(paths)}, the first with curves", "one file of curves")
    if not path.is_file():
        raise InputError(path, "file", "nothing", "curves")
    return read_curves(path) if path.suffix == ".parquet" else read_table(path, RUN_COLUMNS + CURVE_COLUMNS)


def _plain(value: Any) -> Any:
    """An option as JSON holds it."""
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value if isinstance(value, int | float | str) else str(value)


def _write(path: Path, table: pd.DataFrame, options: argparse.Namespace, inputs: Sequence[Path]) -> None:
    left_out = ("run", "threads", "output", "figure")
    said = {name: _plain(value) for name, value in sorted(vars(options).items()) if name not in left_out and value}
    provenance = stamp(said, inputs, options=said)
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
