"""A made-up run on disk, file by file as the workflow would leave it; its numbers mean nothing.

Used by the tests of figures. Errors and summaries are computed from the curves, so they agree with each other;
intervals, tests between models, ceiling and spread are made up.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from cgdistill.config import variants as config_variants
from cgdistill.config.complete import read_config as read_complete
from cgdistill.config.models import Model, models_in_order
from cgdistill.config.students import read_students
from cgdistill.data.beads import BeadFrames, BeadTopology, BeadWriter
from cgdistill.data.split import split_frames, write_split
from cgdistill.figures.run_files import NetworkFiles, StabilityFiles, StructureFiles
from cgdistill.figures.style import Palette
from cgdistill.forcefield.trainable import ModelOutput
from cgdistill.io.csv_tables import write_table
from cgdistill.structure.files import label_run, write_curves, write_resolved, write_series
from cgdistill.structure.tae import tae_table
from cgdistill.training.predictions import average_predictions, single_predictions, write_predictions

ROOT = Path(__file__).parents[2]
TYPES = ("Cho", "Cl", "Urea")
PAIRS = [f"{TYPES[a]}-{TYPES[b]}" for a in range(3) for b in range(a, 3)]
STAMP: dict[str, Any] = {"program": "cgdistill", "version": "0", "config_sha256": "0" * 64, "inputs": {}}


@dataclass(frozen=True)
class Variant:
    """One made-up variant: its runs, how wrong its curves are and which runs blow up."""

    name: str
    label: str
    kind: str
    members: tuple[str, ...]
    replicas: int
    error: float
    failed: tuple[tuple[str, int], ...] = ()


SEEDS = tuple(f"seed-{number}" for number in range(1, 5))
ENSEMBLE = ("ensemble",)
DEFAULT = (
    Variant("T", "T", "teacher", SEEDS, 1, 0.6, (("seed-2", 1),)),
    Variant("T4", "T4", "teacher_ensemble", ENSEMBLE, 2, 0.16),
    Variant("S1-aa-bead", "S1Fε", "single", SEEDS, 1, 0.5),
    Variant("S1-aa-kd-bead", "S1Ffε", "single", SEEDS, 2, 0.45, (("seed-1", 1), ("seed-4", 1), ("seed-4", 2))),
    Variant("S8-aa-kd", "S8Ff", "ensemble", ENSEMBLE, 2, 0.3),
    Variant("S8-aa-kd-bead", "S8Ffε", "ensemble", ENSEMBLE, 1, 0.15),
    Variant("S8-aa-kd-sys", "S8FfE", "ensemble", ENSEMBLE, 2, 0.25, (("ensemble", 1), ("ensemble", 2))),
)


def read_config(name: str = "config") -> dict[str, Any]:
    """A config of the repository, complete."""
    return read_complete(ROOT / "config" / f"{name}.yaml")


def student_variants(variants: Sequence[Variant]) -> list[config_variants.Variant]:
    """Those of the repository's table of students that are among the variants."""
    names = {variant.name for variant in variants}
    return [student for student in read_students(ROOT / "config" / "students.tsv") if student.name in names]


def models_of(variants: Sequence[Any]) -> list[Model]:
    """Made-up variants as figures show them, in their order."""
    labels, kinds = ({v.name: getattr(v, what) for v in variants} for what in ("label", "kind"))
    return models_in_order(list(labels), labels, kinds)


def structure_files(results: Path, palette: Palette) -> StructureFiles:
    """Files of the jobs "structure" and "models"."""
    structure, tables = results / "structure", results / "tables"
    return StructureFiles(
        palette, summary=tables / "summary.csv", runs=tables / "runs.csv", tae=tables / "tae.csv",
        comparisons=tables / "comparisons.csv", reference=structure / "reference.parquet",
        curves=[structure / model.name / "curves.parquet" for model in palette.models],
    )  # fmt: skip


def stability_files(results: Path, palette: Palette) -> StabilityFiles:
    """Files of the job "stability"."""
    structure, names = results / "structure", [model.name for model in palette.models]
    return StabilityFiles(
        palette, records=sorted(results.glob("simulations/*/*/*/run.json")), runs=results / "tables" / "runs.csv",
        reference_resolved=structure / "reference_resolved.parquet",
        resolved=[structure / name / "resolved.parquet" for name in names],
        reference_series=structure / "reference_series.parquet",
        series=[structure / name / "series.parquet" for name in names],
    )  # fmt: skip


def network_files(results: Path, palette: Palette) -> NetworkFiles:
    """Files of the job "networks"."""
    tables, teachers = results / "tables", results / "teachers"
    ensembles = [model.name for model in palette.models if model.kind == "ensemble"]
    return NetworkFiles(
        palette, teachers=sorted(teachers.glob("*/history.csv")),
        students=sorted(results.glob("students/*/*/history.csv")),
        **{name: tables / f"{name}.csv" for name in ("training", "ceiling", "spread")},
        beads=results / "mapped" / "beads.h5", split=results / "mapped" / "split.json",
        teacher=teachers / "seed-1" / "predictions.h5", mean=teachers / "mean.h5",
        predictions={name: results / "students" / name / "ensemble" / "test_predictions.h5" for name in ensembles},
        prior=results / "prior" / "prior.csv", reference=results / "structure" / "reference.parquet",
        temperature_K=298.15,
    )  # fmt: skip


def paper_variants() -> tuple[Variant, ...]:
    """The 256 runs of the published protocol."""
    seeds = tuple(f"seed-{number}" for number in range(1, 9))
    variants = [Variant("T", "T", "teacher", seeds, 1, 0.6), Variant("T8", "T8", "teacher_ensemble", ENSEMBLE, 8, 0.2)]
    with (ROOT / "config" / "students.tsv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            single = row["teacher"] == "single"
            members = seeds if single else ENSEMBLE
            variants.append(Variant(row["name"], row["label"], row["teacher"], members, 8, 0.5 if single else 0.2))
    return tuple(variants)


def _part(metric: str, item: str, radius: float, x: np.ndarray, value: np.ndarray) -> pd.DataFrame:
    unit, value_unit = {"rdf": ("A", "1"), "adf": ("deg", "1/deg"), "cdf": ("A", "1/A")}[metric]
    return pd.DataFrame({"metric": metric, "item": item, "parameter": radius, "x": x, "x_unit": unit, "value": value,
                         "value_unit": value_unit})  # fmt: skip


def _centres(end: float, width: float) -> np.ndarray:
    return (np.arange(round(end / width)) + 0.5) * width


def _cdfs(section: Mapping[str, Any], shift: np.ndarray) -> list[pd.DataFrame]:
    d = _centres(section["cdf"]["r_max_A"], section["cdf"]["bin_width_A"])
    parts = []
    for number, name in enumerate(TYPES):
        value = np.exp(-(((d - 5.0 - 0.5 * number - shift[number]) / 0.7) ** 2))
        parts.append(_part("cdf", name, np.nan, d, value / (value.sum() * (d[1] - d[0]))))
    return parts


def _curves(config: Mapping[str, Any], rng: np.random.Generator, error: float) -> pd.DataFrame:
    """Liquid-like curves, deformed by ``error``."""
    section = config["structure"]
    r = _centres(section["rdf"]["r_max_A"], section["rdf"]["bin_width_A"])
    theta = _centres(180.0, section["adf"]["bin_width_deg"])
    parts = []
    for number, pair in enumerate(PAIRS):
        peak = 4.0 + 0.4 * number + 0.4 * error * rng.normal()
        height = 1.2 + 0.3 * number + 2.0 * error * rng.normal()
        g = 1 + height * np.exp(-(((r - peak) / 0.45) ** 2)) - 0.4 * np.exp(-(((r - peak - 1.6) / 0.7) ** 2))
        parts.append(_part("rdf", pair, np.nan, r, np.clip(g / (1 + np.exp(-12 * (r - peak + 0.8))), 0, None)))
    for triplet in section["adf"]["triplets"]:
        for radius in section["adf"]["r_max_A"]:
            p = 1 + (0.5 + error * rng.normal()) * np.exp(-(((theta - 60) / 15) ** 2))
            p += 0.1 * error * rng.normal() * theta / 180
            parts.append(_part("adf", "-".join(triplet), radius, theta, p / (p.sum() * (theta[1] - theta[0]))))
    return pd.concat([*parts, *_cdfs(section, 0.5 * error * rng.normal(size=3))], ignore_index=True)


def _course(config: Mapping[str, Any], rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Resolved CDFs and series of one run."""
    simulation, every = config["simulation"], config["structure"]["cdf"]["resolved_every_ps"]
    end = simulation["equilibration_ps"] + simulation["production_ps"]
    windows = np.arange(0, end, every, dtype=float)
    d = _centres(config["structure"]["cdf"]["r_max_A"], config["structure"]["cdf"]["bin_width_A"])
    resolved = []
    for number, name in enumerate(TYPES):
        peaks = 5.0 + 0.5 * number + 0.1 * rng.normal(size=(len(windows), 1))
        value = np.exp(-(((d - peaks) / 0.7) ** 2))
        value /= value.sum(axis=1, keepdims=True) * (d[1] - d[0])
        table = _part("cdf", name, np.nan, np.tile(d, len(windows)), value.ravel())
        table.insert(0, "time_ps", np.repeat(windows, len(d)))
        resolved.append(table)
    frames = np.arange(0, end, simulation["frame_every_ps"])
    rows = [(frames, "min_distance", "all", 3.4, "A")]
    rows += [(frames, "largest_cluster", name, 0.2, "1") for name in TYPES]
    rows += [(windows, "cdf_peak", name, 5.0, "A") for name in TYPES]
    rows += [(windows, "rdf_peak", name, 4.5, "A") for name in PAIRS]
    rows += [(windows, "rdf_peak_height", name, 2.0, "1") for name in PAIRS]
    series = [
        pd.DataFrame({"time_ps": times, "phase": np.where(times < simulation["equilibration_ps"], "equilibration",
                                                          "production"), "quantity": quantity, "item": item,
                      "value": level * (1 + 0.02 * rng.normal(size=len(times))), "unit": unit})
        for times, quantity, item, level, unit in rows
    ]  # fmt: skip
    return pd.concat(resolved, ignore_index=True), pd.concat(series, ignore_index=True)


def _simulation(
    folder: Path, variant: Variant, member: str, replica: int, config: Mapping[str, Any], rng: np.random.Generator
) -> dict[str, Any]:
    """thermo.csv, run.json and a dump of one run; returns its row of runs.csv."""
    failed = (member, replica) in variant.failed
    section = config["simulation"]
    time = np.arange(0, section["equilibration_ps"] + section["production_ps"], section["thermo_every_ps"])
    time = time[: max(40, len(time) // 5) if failed else None]
    energy = -900 + 60 * np.exp(-time / 0.4) + 6 * rng.normal(size=len(time))
    if failed:
        energy[-10:] += np.exp(np.arange(10.0))
    thermo = pd.DataFrame({"phase": np.where(time < 1, "equilibration", "production"), "step": np.arange(len(time)),
                           "time_ps": time, "temperature_K": 298.15, "potential_energy_kcal_mol": energy,
                           "total_energy_kcal_mol": energy + 100, "pressure_atm": 0.0})  # fmt: skip
    write_table(folder / "thermo.csv", thermo, STAMP)
    status = "blown up" if failed else "finished"
    names = {"variant": variant.name, "member": member, "replica": replica, "status": status}
    (folder / "run.json").write_text(json.dumps({**names, "n_beads": 128}), encoding="utf-8")
    stability = {"stability": "blown up" if failed else "stable", "onset_ps": time[-1] if failed else np.nan,
                 "stability_reason": "temperature above 1500 K" if failed else "", "cdf_peak_drift_A": 0.01,
                 "cdf_peak_drift_error_A": 0.05, "cdf_peak_drift_item": "Cho", "rdf_peak_drift_A": 0.02,
                 "rdf_peak_drift_error_A": 0.1, "rdf_peak_drift_item": "Cho-Cl",
                 "energy_drift_kcal_mol_bead": 0.0, "energy_drift_error_kcal_mol_bead": 0.01,
                 "temperature_drift_K": 0.1, "temperature_drift_error_K": 2.0, "min_distance_A": 3.3,
                 "largest_cluster": 0.22, "largest_cluster_item": "Cl"}  # fmt: skip
    failure = {"failure_kind": "temperature" if failed else "",
               "closest_pair": "bead 3 (Cl), bead 7 (Cho)" if failed else "",
               "closest_pair_distance_A": 0.41 if failed else np.nan}  # fmt: skip
    return {
        **names,
        **failure,
        "label": variant.label,
        "n_frames": 50,
        "equilibrated_ps": np.nan if failed else 1.4,
        **stability,
    }


def _network(folder: Path, targets: Sequence[str], rng: np.random.Generator) -> pd.DataFrame:
    """history.csv of one network; returns its metrics."""
    epoch = np.arange(1, 13)
    loss = 2 + 3 * np.exp(-epoch / 3) + 0.02 * rng.normal(size=len(epoch))
    history = pd.DataFrame({"epoch": epoch, "train_loss": loss, "valid_loss": loss + 0.15, "best": 1})
    write_table(folder / "history.csv", history, STAMP)
    units = {"F": "kcal/mol/A", "f": "kcal/mol/A", "E": "kcal/mol", "epsilon": "kcal/mol"}
    rows = [
        {"member": folder.name, "split": split, "target": target, "bead_type": kind, "unit": units[target],
         "mae": 1.0, "rmse": 1.3 + 0.05 * rng.normal(), "r2": 0.6 + 0.02 * rng.normal(), "n": 1000}
        for split in ("train", "valid", "test") for target in targets for kind in ("all", *TYPES)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def _forces(results: Path, seeds: Sequence[str], ensembles: Sequence[str], rng: np.random.Generator) -> None:
    """Bead file, split, teachers' and students' predictions, prior."""
    n_frames, counts = 30, (4, 4, 8)
    kinds = np.repeat(np.arange(3), counts)
    topology = BeadTopology(TYPES, kinds, tuple(TYPES[k] for k in kinds), np.array([104.17, 35.45, 60.06])[kinds],
                            np.arange(len(kinds)), np.zeros(0, dtype=int))  # fmt: skip
    mean_force = rng.normal(size=(n_frames, len(kinds), 3)) * 6
    frames = BeadFrames(rng.uniform(0, 11, mean_force.shape), mean_force + 8 * rng.normal(size=mean_force.shape),
                        np.tile(np.eye(3) * 11.3, (n_frames, 1, 1)), np.arange(n_frames) * 3.0)  # fmt: skip
    (results / "mapped").mkdir(parents=True)
    with BeadWriter(results / "mapped" / "beads.h5", topology, STAMP) as writer:
        writer.append(frames)
    split = split_frames(n_frames, {"train": 0.8, "valid": 0.1, "test": 0.1}, "random", 1)
    write_split(results / "mapped" / "split.json", split, STAMP)

    def predicted(name: str, noise: float):
        forces = mean_force + noise * rng.normal(size=mean_force.shape)
        return single_predictions(name, ModelOutput(forces.astype("f4"), rng.normal(size=mean_force.shape[:2])), kinds)

    teachers = [predicted(name, 2.0) for name in seeds]
    for teacher in teachers:
        write_predictions(results / "teachers" / teacher.members[0] / "predictions.h5", teacher, STAMP)
    write_predictions(results / "teachers" / "mean.h5", average_predictions(teachers, seeds), STAMP)
    for name in ensembles:
        forces = predicted(name, 1.2).forces_kcal_mol_A[split.test]
        student = single_predictions(name, ModelOutput(forces, np.zeros(forces.shape[:2])), kinds)
        write_predictions(results / "students" / name / "ensemble" / "test_predictions.h5", student, STAMP)
    pairs = [(TYPES[a], TYPES[b], 3.0 + 0.3 * (a + b)) for a in range(3) for b in range(a, 3)]
    a = np.log(20) / 0.15
    prior = pd.DataFrame([{"bead_1": x, "bead_2": y, "E0_kcal_mol": 0.05 * 12 * np.exp(a * t) / a, "a_per_A": a,
                           "lowest_distance_A": t, "mean_force_kcal_mol_A": 12.0} for x, y, t in pairs])  # fmt: skip
    write_table(results / "prior" / "prior.csv", prior, STAMP)


def _summary(tae: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Summary with made-up intervals and noise."""
    finished = tae.assign(tae=tae["tae"].where(tae["status"] == "finished"))
    grouped = finished.groupby(["variant", "label", "metric", "item", "parameter"], sort=False, dropna=False)["tae"]
    table = grouped.agg(mean="mean", std="std", n="count").reset_index()
    failed = (runs["status"] != "finished").groupby(runs["variant"]).sum()
    table["n_failed"] = table["variant"].map(failed)
    table["ci_low"], table["ci_high"] = 0.8 * table["mean"], 1.2 * table["mean"]
    return table.assign(ci_of="replicas and blocks", noise=0.05, noise_high=0.08)


def _made_up(tables: Path, variants: Sequence[Variant], summary: pd.DataFrame) -> None:
    """comparisons.csv, ceiling.csv and spread.csv."""
    overall = summary[(summary["item"] == "overall") & summary["parameter"].isna()].set_index(["metric", "variant"])
    rows = []
    for metric in ("rdf", "adf", "cdf"):
        for a, b in combinations(variants, 2):
            means = overall.loc[(metric, a.name), "mean"], overall.loc[(metric, b.name), "mean"]
            outcome = "not distinguishable" if abs(means[0] - means[1]) < 0.2 else "better"
            rows.append({"metric": metric, "variant_a": a.name, "label_a": a.label, "variant_b": b.name,
                         "label_b": b.label, "test": "Welch", "n_a": 4, "n_b": 4, "mean_a": means[0],
                         "mean_b": means[1], "difference": means[0] - means[1], "ci_low": -1.0, "ci_high": 1.0,
                         "p": 0.01, "p_holm": 0.04, "outcome": outcome, "reason": ""})  # fmt: skip
    write_table(tables / "comparisons.csv", pd.DataFrame(rows), STAMP)
    ceiling = [{"bead_type": kind, "lower": 0.3, "estimate": 0.35, "upper": 0.4, "ci_low": 0.34, "ci_high": 0.36,
                "r2_one_teacher": 0.28, "r2_mean_teacher": 0.3, "r2_infinite": 0.31, "r2_train": 0.36, "n_teachers": 4,
                "warning": ""} for kind in ("all", *TYPES)]  # fmt: skip
    write_table(tables / "ceiling.csv", pd.DataFrame(ceiling), STAMP)
    sources = [("AA", "AA"), *((variant.name, variant.label) for variant in variants)]
    spread = [{"source": source, "label": label, "bead_type": kind, "neighbour_type": "any", "r_low_A": low,
               "r_high_A": low + 0.5, "n": 100, "force_rms_kcal_mol_A": 5.0, "force_spread_kcal_mol_A": 1.0 + 0.1 * low,
               "epsilon_spread_kcal_mol": 0.2}
              for source, label in sources for kind in TYPES for low in (3.0, 3.5, 4.0)]  # fmt: skip
    write_table(tables / "spread.csv", pd.DataFrame(spread), STAMP)


def fabricate(results: Path, variants: tuple[Variant, ...] = DEFAULT, config: Mapping[str, Any] | None = None) -> Path:
    """Write everything that figures read under ``results``; returns it."""
    rng = np.random.default_rng(5)
    config = config or read_config()
    seeds = max((variant.members for variant in variants), key=len)
    _forces(results, seeds, [variant.name for variant in variants if variant.kind == "ensemble"], rng)
    reference = label_run(_curves(config, np.random.default_rng(0), 0.0), "AA", "AA", 0)
    write_curves(results / "structure" / "reference.parquet", reference, STAMP)
    resolved, series = (label_run(table, "AA", "AA", 0) for table in _course(config, rng))
    cutoffs = pd.DataFrame({"time_ps": np.nan, "phase": "production", "quantity": "cluster_cutoff", "item": TYPES,
                            "value": 5.5, "unit": "A"})  # fmt: skip
    series = pd.concat([series, label_run(cutoffs, "AA", "AA", 0)], ignore_index=True)
    write_resolved(results / "structure" / "reference_resolved.parquet", resolved, STAMP)
    write_series(results / "structure" / "reference_series.parquet", series, STAMP)
    metrics = [_network(results / "teachers" / name, ("F",), rng).assign(variant="T", label="T") for name in seeds]
    runs, errors = [], []
    for variant in variants:
        rows, curves, courses = [], [reference.iloc[:0]], []
        for member in variant.members:
            if variant.kind in ("single", "ensemble"):
                network = _network(results / "students" / variant.name / member, ("F", "f", "E", "epsilon"), rng)
                metrics.append(network.assign(variant=variant.name, label=variant.label))
            for replica in range(1, variant.replicas + 1):
                folder = results / "simulations" / variant.name / member / f"replica-{replica}"
                folder.mkdir(parents=True)
                rows.append(_simulation(folder, variant, member, replica, config, rng))
                courses.append([label_run(table, variant.name, member, replica) for table in _course(config, rng)])
                if rows[-1]["status"] == "finished":
                    curves.append(label_run(_curves(config, rng, variant.error), variant.name, member, replica))
        folder = results / "structure" / variant.name
        table = pd.concat([part for part in curves if len(part)] or curves, ignore_index=True)
        write_curves(folder / "curves.parquet", table, STAMP)
        write_resolved(folder / "resolved.parquet", pd.concat([course[0] for course in courses]), STAMP)
        write_series(folder / "series.parquet", pd.concat([course[1] for course in courses]), STAMP)
        runs.append(pd.DataFrame(rows))
        errors.append(tae_table(reference, table, runs[-1], {variant.name: variant.label}))
    tables = results / "tables"
    all_runs, tae = pd.concat(runs, ignore_index=True), pd.concat(errors, ignore_index=True)
    summary = _summary(tae, all_runs)
    write_table(tables / "runs.csv", all_runs, STAMP)
    write_table(tables / "tae.csv", tae, STAMP)
    write_table(tables / "summary.csv", summary, STAMP)
    write_table(tables / "training.csv", pd.concat(metrics, ignore_index=True), STAMP)
    _made_up(tables, variants, summary)
    return results
