"""All figures of a run, from the files of the run.

Every function takes files and the folder for the figures, and returns the stems that it wrote.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ..beads import BeadFile
from ..collect import read_record
from ..console import log
from ..predictions import read_predictions
from ..split import read_split
from ..structure.curves import read_curves
from ..tables import read_table
from .curves import curves_figure, mean_and_spread
from .energy import EnergyTrace, energy_figure
from .parity import Parity, parity_figure
from .prior import prior_figure
from .style import Palette, save
from .tae import item_figure, overall_figure
from .training import r2_figure, students_figure, teachers_figure

Paths = Iterable[str | Path]


def draw_errors(summary: str | Path, palette: Palette, folder: Path) -> list[str]:
    """``tae_overall`` and ``tae_<metric>`` from ``tables/summary.csv``."""
    table = read_table(summary, ["variant", "metric", "item", "r_max_A", "mean", "std", "n", "n_failed"])
    save(overall_figure(table, palette), folder / "tae_overall")
    stems = ["tae_overall"]
    for metric in ("rdf", "adf", "cdf"):
        if ((table["metric"] == metric) & (table["item"] != "overall")).any():
            save(item_figure(table, metric, palette), folder / f"tae_{metric}")
            stems.append(f"tae_{metric}")
    return stems


def draw_curves(reference: str | Path, curves: Paths, runs: str | Path, palette: Palette, folder: Path) -> list[str]:
    """``rdf``, ``adf_<r_max>A`` and ``cdf``.

    Parameters
    ----------
    curves: ``structure/<variant>/curves.parquet`` of all variants.
    runs: ``tables/runs.csv``.
    """
    status = read_table(runs, ["variant", "member", "replica", "status"])
    target = mean_and_spread(read_curves(reference), None)
    means = {}
    for path in curves:
        name = Path(path).parent.name
        means[name] = mean_and_spread(read_curves(path), status[status["variant"] == name])
    n_failed = (status["status"] != "finished").groupby(status["variant"]).sum().to_dict()
    stems = []
    for metric in target["metric"].unique():
        for radius in target.loc[target["metric"] == metric, "r_max_A"].unique():
            stem = f"adf_{radius:g}A" if metric == "adf" else str(metric)
            save(curves_figure(metric, target, means, palette, n_failed, float(radius)), folder / stem)
            stems.append(stem)
    return stems


def draw_training(teachers: Paths, students: Paths, training: str | Path, palette: Palette, folder: Path) -> list[str]:
    """``training_teachers``, ``training_students`` and ``training_r2``.

    Parameters
    ----------
    teachers: ``teachers/<teacher>/history.csv``.
    students: ``students/<variant>/<member>/history.csv``; may be none.
    training: ``tables/training.csv``.
    """
    columns = ["epoch", "train_loss", "valid_loss"]
    save(
        teachers_figure({Path(path).parent.name: read_table(path, columns) for path in teachers}, palette),
        folder / "training_teachers",
    )
    save(r2_figure(read_table(training, ["variant", "split", "target", "r2"]), palette), folder / "training_r2")
    histories: dict[str, dict[str, pd.DataFrame]] = {}
    for path in map(Path, students):
        histories.setdefault(path.parent.parent.name, {})[path.parent.name] = read_table(path, columns)
    if not histories:
        return ["training_teachers", "training_r2"]
    save(students_figure(histories, palette), folder / "training_students")
    return ["training_teachers", "training_students", "training_r2"]


def draw_parity(
    beads: str | Path,
    split: str | Path,
    teacher: str | Path,
    mean: str | Path,
    students: Mapping[str, str | Path],
    palette: Palette,
    folder: Path,
) -> list[str]:
    """``parity_teachers`` and, where there are students, ``parity_students``, over the test frames.

    Parameters
    ----------
    teacher, mean: predictions of one teacher and of the ensemble.
    students: predictions of students for the test frames alone, by variant, compared with the ensemble's mean.
    """
    with BeadFile(beads) as file:
        test = read_split(split, len(file)).test
        target = file.frames(test).forces_kcal_mol_A
    assert target is not None, "a bead file without forces cannot have trained teachers"
    one, ensemble = read_predictions(teacher), read_predictions(mean)
    averaged = ensemble.forces_kcal_mol_A[test].astype(np.float64)
    n = len(ensemble.members)
    parities = [
        Parity(f"teacher {one.members[0]}", "all-atom force F", "predicted force", target,
               one.forces_kcal_mol_A[test].astype(np.float64)),
        Parity(f"mean of {n} teachers", "all-atom force F", "predicted force", target, averaged),
    ]  # fmt: skip
    save(parity_figure(parities), folder / "parity_teachers")
    if not students:
        return ["parity_teachers"]
    parities = []
    for name, path in students.items():
        forces = read_predictions(path).forces_kcal_mol_A.astype(np.float64)
        parities.append(Parity(palette.label(name), "mean teacher force f", "student's force", averaged, forces))
    save(parity_figure(parities), folder / "parity_students")
    return ["parity_teachers", "parity_students"]


def draw_prior(prior: str | Path, reference: str | Path, temperature_K: float, folder: Path) -> list[str]:
    """``prior``."""
    table = read_table(prior, ["bead_1", "bead_2", "E0_kcal_mol", "a_per_A", "lowest_distance_A"])
    save(prior_figure(table, mean_and_spread(read_curves(reference), None), temperature_K), folder / "prior")
    return ["prior"]


def draw_energy(records: Sequence[str | Path], runs: str | Path, palette: Palette, folder: Path) -> list[str]:
    """``energy``.

    Parameters
    ----------
    records: ``run.json`` of all simulations, ``thermo.csv`` beside each.
    runs: ``tables/runs.csv`` with the detected equilibration.
    """
    table = read_table(runs, ["variant", "member", "replica", "status", "equilibrated_ps"])
    detected = table.set_index(["variant", "member", "replica"])["equilibrated_ps"].to_dict()
    traces = []
    for path in map(Path, records):
        record = read_record(path)
        thermo = read_table(path.with_name("thermo.csv"), ["time_ps", "potential_energy_kcal_mol"])
        if thermo.empty:
            log.warning("%s: no thermo output, left out of the figure of energies", path)
            continue
        key = (record["variant"], record["member"], record["replica"])
        traces.append(
            EnergyTrace(
                variant=record["variant"],
                times_ps=thermo["time_ps"].to_numpy(dtype=np.float64),
                energies_kcal_mol_bead=thermo["potential_energy_kcal_mol"].to_numpy(np.float64) / record["n_beads"],
                equilibrated_ps=float(detected.get(key, np.nan)),
                finished=record["status"] == "finished",
            )
        )
    save(energy_figure(traces, palette), folder / "energy")
    return ["energy"]
