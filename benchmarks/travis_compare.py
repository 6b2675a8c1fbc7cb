"""The curves of TRAVIS and ours of the same trajectories, bin by bin, and their errors against a reference.

``python -m benchmarks.travis_compare compare REFERENCE MODEL`` prints the table of docs/structure.md; REFERENCE is a
bead file, MODEL a LAMMPS dump of the same beads. ``python -m benchmarks.travis_compare freeze FOLDER`` has TRAVIS make
the curves in FOLDER (tests/data/travis) anew, and ``cut REFERENCE MODEL FOLDER`` its trajectories.
"""

from __future__ import annotations

import argparse
import gzip
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
from cgdistill.config.complete import read_config
from cgdistill.data.beads import BeadFile, BeadWriter
from cgdistill.data.cg_trajectory import BeadTrajectory, Origin, open_trajectory
from cgdistill.io.csv_tables import write_table
from cgdistill.structure.conventions import CGDISTILL, TRAVIS
from cgdistill.structure.metrics.adf import ADF, triplet_indices
from cgdistill.structure.metrics.cdf import CDF
from cgdistill.structure.metrics.rdf import RDF
from cgdistill.structure.spec import StructureSpec
from cgdistill.structure.tae import total_absolute_error

from . import travis

ROOT = Path(__file__).parents[1]
#: Bins of the frozen curves.
SECTION = {
    "rdf": {"r_max_A": 11.2, "bin_width_A": 0.2},
    "adf": {
        "triplets": [["Cho", "Cho", "Cho"], ["Cl", "Cl", "Cl"], ["Urea", "Urea", "Urea"], ["Cho", "Cl", "Urea"]],
        "r_max_A": [6.0, 6.5, 7.5],
        "bin_width_deg": 6.0,
    },
    "cdf": {"r_max_A": 12.0, "bin_width_A": 0.2},
}
NAMES = ("reference", "model")
TYPES = ("Cho", "Cl", "Urea")
FILES = {"reference": "reference.h5", "model": "model.lammpstrj.gz"}
N_FRAMES = 5

Curves = Mapping[travis.Key, np.ndarray]


def spec_of(convention: str = TRAVIS) -> StructureSpec:
    """Bins of the frozen curves."""
    return replace(StructureSpec.from_config(SECTION), convention=convention)


def opened(path: Path) -> BeadTrajectory:
    """A bead file, or a dump of the beads of `TYPES`."""
    return open_trajectory([path], Origin(types=TYPES))


def own_curves(trajectory: BeadTrajectory, spec: StructureSpec) -> dict[travis.Key, np.ndarray]:
    """Our values (n_bins,) of each curve. The angles of TRAVIS start at `travis.SMALLEST_ANGLE_DEG`, so ours do too."""
    names, types = trajectory.type_names, trajectory.bead_types
    start = travis.SMALLEST_ANGLE_DEG if spec.convention == TRAVIS else 0.0
    angles = replace(spec.settings["adf"].grid, start=start, width=(180.0 - start) / spec.settings["adf"].grid.n_bins)
    triplets = triplet_indices(spec.settings["adf"], names, "config")
    accumulators = [
        RDF(names, types, spec.settings["rdf"].grid, spec.convention),
        ADF(names, types, angles, triplets, spec.settings["adf"].r_max_A, spec.convention),
        CDF(names, types, spec.settings["cdf"].grid, spec.convention),
    ]
    for frame in trajectory.read():
        for accumulator in accumulators:
            accumulator.add(frame.positions_A[None], frame.cell_A[None])
    return {
        (accumulator.metric, curve.item, None if np.isnan(curve.parameter) else curve.parameter): curve.values
        for accumulator in accumulators
        for curve in accumulator.curves()
    }


def travis_curves(folder: Path, trajectory: BeadTrajectory, spec: StructureSpec) -> dict[travis.Key, np.ndarray]:
    """Curves (n_bins, 2) as TRAVIS prints them."""
    frames = list(trajectory.read())
    positions = np.stack([frame.positions_A for frame in frames])
    cell = frames[0].cell_A
    if any(not np.array_equal(frame.cell_A, cell) for frame in frames):
        raise ValueError("TRAVIS is given one cell")
    return travis.curves(folder, positions, cell, trajectory.type_names, trajectory.bead_types, spec)


def in_our_scale(key: travis.Key, values: np.ndarray, spec: StructureSpec, counts: Mapping[str, int]) -> np.ndarray:
    """A curve of TRAVIS as a density per degree or Angstrom; the RDF as it is."""
    if key[0] == "adf":
        return values / (100.0 * 180.0)
    return values / (100.0 * (counts[key[1]] - 1) * spec.settings["cdf"].grid.width) if key[0] == "cdf" else values


def freeze(folder: Path) -> None:
    """Write ``<name>.csv``, the curves of TRAVIS of the trajectories in the folder."""
    for name in NAMES:
        trajectory, spec = opened(folder / FILES[name]), spec_of()
        with tempfile.TemporaryDirectory() as work:
            found = travis_curves(Path(work), trajectory, spec)
            said = travis.version(Path(work) / "rdf-1-0")
        parts = [
            pd.DataFrame({"metric": metric, "item": item, "r_max_A": radius, "x": curve[:, 0], "value": curve[:, 1]})
            for (metric, item, radius), curve in found.items()
        ]
        units = {"r_max_A": "A", "x": "pm (rdf, cdf), degree (adf)", "value": "as TRAVIS prints it"}
        write_table(folder / f"{name}.csv", pd.concat(parts), {"program": f"TRAVIS, {said}", "units": units})


def cut(reference: Path, model: Path, folder: Path) -> None:
    """Write `N_FRAMES` frames of each trajectory, evenly spaced, to the folder."""
    with BeadFile(reference) as file:
        frames = replace(file.frames(np.linspace(0, len(file) - 1, N_FRAMES).astype(int)), forces_kcal_mol_A=None)
        topology = replace(file.topology, atom_beads=np.empty(0, dtype=np.int64))
        with BeadWriter(folder / FILES["reference"], topology, {}, forces=False) as writer:
            writer.append(frames)
    lines = model.read_text(encoding="ascii").splitlines(keepends=True)
    starts = [number for number, line in enumerate(lines) if line.startswith("ITEM: TIMESTEP")]
    # Units stand once, and the time before its step.
    head, length = starts[0] - 2, starts[1] - starts[0]
    with gzip.GzipFile(folder / FILES["model"], "wb", mtime=0) as stream:
        stream.write("".join(lines[:head]).encode())
        for start in np.array(starts)[np.linspace(0, len(starts) - 1, N_FRAMES).astype(int)] - 2:
            stream.write("".join(islice(lines, int(start), int(start) + length)).encode())


def frozen(path: Path) -> dict[travis.Key, np.ndarray]:
    """Curves (n_bins, 2) of a file of `freeze`."""
    table = pd.read_csv(path, skiprows=1)
    groups = table.groupby(["metric", "item", "r_max_A"], sort=False, dropna=False)
    return {
        (metric, item, None if np.isnan(radius) else radius): part[["x", "value"]].to_numpy()
        for (metric, item, radius), part in groups
    }


def largest_differences(own: Curves, theirs: Curves) -> dict[str, float]:
    """By metric, the largest difference of any bin of any curve, as a share of the curve's highest value."""
    found: dict[str, float] = {}
    for key, curve in theirs.items():
        share = float(np.abs(own[key] - curve).max() / np.abs(curve).max())
        found[key[0]] = max(found.get(key[0], 0.0), share)
    return found


def errors(reference: Curves, model: Curves, spec: StructureSpec) -> dict[travis.Key, float]:
    """Total absolute error of each curve."""
    return {
        key: total_absolute_error(spec.settings[key[0]].grid.centres, reference[key], model[key]) for key in reference
    }


def compare(paths: Sequence[Path], spec: StructureSpec) -> str:
    """Table of the differences of a reference and a model."""
    same: dict[str, float] = {}
    other: dict[str, float] = {}
    scaled: list[dict[travis.Key, np.ndarray]] = []
    ours: list[dict[travis.Key, np.ndarray]] = []
    for path in paths:
        trajectory = opened(path)
        counts = dict(zip(trajectory.type_names, np.bincount(trajectory.bead_types).tolist(), strict=True))
        with tempfile.TemporaryDirectory() as work:
            theirs = {key: curve[:, 1] for key, curve in travis_curves(Path(work), trajectory, spec).items()}
        for metric, share in largest_differences(
            own_curves(trajectory, replace(spec, convention=TRAVIS)), theirs
        ).items():
            same[metric] = max(same.get(metric, 0.0), share)
        scaled.append({key: in_our_scale(key, values, spec, counts) for key, values in theirs.items()})
        ours.append(own_curves(trajectory, replace(spec, convention=CGDISTILL)))
        for metric, share in largest_differences(ours[-1], scaled[-1]).items():
            other[metric] = max(other.get(metric, 0.0), share)
    from_travis, from_ours = errors(*scaled, spec), errors(*ours, spec)
    lines = [
        "| metric | curves | convention `travis`: largest difference | convention `cgdistill`: largest difference "
        "| TAE, sum over items: TRAVIS | cgdistill | largest difference of an item |",
        "|---|---|---|---|---|---|---|",
    ]
    for metric in ("rdf", "adf", "cdf"):
        keys = [key for key in from_travis if key[0] == metric]
        sums = [sum(tae[key] for key in keys) for tae in (from_travis, from_ours)]
        worst = max(keys, key=lambda key: abs(from_travis[key] - from_ours[key]))
        place = worst[1] + (f", {worst[2]:g} Å" if worst[2] else "")
        lines.append(
            f"| {metric.upper()} | {2 * len(keys)} | {same[metric]:.1e} | {100 * other[metric]:.1f} % | {sums[0]:.3f} "
            f"| {sums[1]:.3f} | {from_travis[worst]:.3f}, {from_ours[worst]:.3f} ({place}) |"
        )
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Curves of TRAVIS and of cgdistill.")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("compare")
    command.add_argument("trajectories", nargs=2, type=Path, metavar="FILE", help="bead file and dump")
    command.add_argument("--config", type=Path, default=ROOT / "config" / "config.yaml")
    command = commands.add_parser("freeze")
    command.add_argument("folder", type=Path)
    command = commands.add_parser("cut")
    command.add_argument("reference", type=Path)
    command.add_argument("model", type=Path)
    command.add_argument("folder", type=Path)
    chosen = parser.parse_args()
    if chosen.command == "compare":
        spec = StructureSpec.from_config(read_config(chosen.config)["structure"], str(chosen.config))
        print(compare(chosen.trajectories, spec))
    elif chosen.command == "freeze":
        freeze(chosen.folder)
    else:
        cut(chosen.reference, chosen.model, chosen.folder)


if __name__ == "__main__":
    main()
