"""A made-up run on disk, file by file as the workflow would leave it; its numbers mean nothing.

Used by the tests of tables, figures and report. Curves, errors and summaries are consistent with each
other, since the errors are computed from the curves.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from cgdistill.beads import BeadFrames, BeadTopology, BeadWriter
from cgdistill.predictions import average_predictions, single_predictions, write_predictions
from cgdistill.split import split_frames, write_split
from cgdistill.structure.curves import write_curves
from cgdistill.structure.tae import summarise, tae_table
from cgdistill.tables import write_table

ROOT = Path(__file__).parents[2]
TYPES = ("Cho", "Cl", "Urea")
STAMP = {"program": "cgdistill", "version": "0", "config_sha256": "0" * 64, "inputs": {}}


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
DEFAULT = (
    Variant("T", "T", "teacher", SEEDS, 1, 0.6, (("seed-2", 1),)),
    Variant("T4", "T4", "teacher_ensemble", ("ensemble",), 2, 0.16),
    Variant("S1-aa-bead", "S1Fε", "single", SEEDS, 1, 0.5),
    Variant("S1-kd-bead", "S1fε", "single", SEEDS, 1, 0.55),
    Variant("S1-aa-kd-bead", "S1Ffε", "single", SEEDS, 1, 0.45, (("seed-1", 1), ("seed-4", 1))),
    Variant("S8-aa-kd", "S8Ff", "ensemble", ("ensemble",), 2, 0.3),
    Variant("S8-aa-bead", "S8Fε", "ensemble", ("ensemble",), 2, 0.2),
    Variant("S8-kd-bead", "S8fε", "ensemble", ("ensemble",), 2, 0.18),
    Variant("S8-aa-kd-bead", "S8Ffε", "ensemble", ("ensemble",), 2, 0.15),
    Variant("S8-aa-kd-sys", "S8FfE", "ensemble", ("ensemble",), 2, 0.25, (("ensemble", 1), ("ensemble", 2))),
    Variant("S8-aa-kd-sys-bead", "S8FfEε", "ensemble", ("ensemble",), 2, 0.17),
)


def read_config() -> dict:
    """The default config of the repository."""
    return yaml.safe_load((ROOT / "config" / "config.yaml").read_text(encoding="utf-8"))


def _curves(config: dict, rng: np.random.Generator, error: float) -> pd.DataFrame:
    """Liquid-like curves, deformed by ``error``."""
    section = config["structure"]
    width = section["rdf"]["bin_width_A"]
    r = np.arange(0.5 * width, section["rdf"]["r_max_A"], width)
    theta = np.arange(0.5 * section["adf"]["bin_width_deg"], 180, section["adf"]["bin_width_deg"])
    d = np.arange(0.5 * section["cdf"]["bin_width_A"], section["cdf"]["r_max_A"], section["cdf"]["bin_width_A"])
    parts = []

    def add(metric, item, radius, x, unit, value, value_unit):
        parts.append(
            pd.DataFrame(
                {
                    "metric": metric,
                    "item": item,
                    "r_max_A": radius,
                    "x": x,
                    "x_unit": unit,
                    "value": value,
                    "value_unit": value_unit,
                }
            )  # fmt: skip
        )

    pairs = [(a, b) for a in range(3) for b in range(a, 3)]
    for number, (a, b) in enumerate(pairs):
        peak = 4.0 + 0.4 * number + 0.4 * error * rng.normal()
        height = 1.2 + 0.3 * number + 2.0 * error * rng.normal()
        g = 1 + height * np.exp(-(((r - peak) / 0.45) ** 2)) - 0.4 * np.exp(-(((r - peak - 1.6) / 0.7) ** 2))
        add(
            "rdf",
            f"{TYPES[a]}-{TYPES[b]}",
            np.nan,
            r,
            "A",
            np.clip(g / (1 + np.exp(-12 * (r - peak + 0.8))), 0, None),
            "1",
        )
    for triplet in section["adf"]["triplets"]:
        for radius in section["adf"]["r_max_A"]:
            p = (
                1
                + (0.5 + error * rng.normal()) * np.exp(-(((theta - 60) / 15) ** 2))
                + 0.1 * error * rng.normal() * theta / 180
            )
            add("adf", "-".join(triplet), radius, theta, "deg", p / (p.sum() * (theta[1] - theta[0])), "1/deg")
    for number, name in enumerate(TYPES):
        c = np.exp(-(((d - 5.0 - 0.5 * number + 0.5 * error * rng.normal()) / 0.7) ** 2))
        add("cdf", name, np.nan, d, "A", c / (c.sum() * (d[1] - d[0])), "1/A")
    return pd.concat(parts, ignore_index=True)


def _label(curves: pd.DataFrame, variant: str, member: str, replica: int) -> pd.DataFrame:
    return curves.assign(variant=variant, member=member, replica=replica)


def _simulation(folder: Path, variant: Variant, member: str, replica: int, rng: np.random.Generator) -> dict:
    """thermo.csv and run.json of one run; returns its row of runs.csv."""
    failed = (member, replica) in variant.failed
    time = np.arange(0, 6.0, 0.02)[: 120 if failed else None]
    energy = (
        -900 + 60 * np.exp(-time / 0.4) + 6 * rng.normal(size=len(time)) + (np.exp(4 * (time - 1)) if failed else 0)
    )
    thermo = pd.DataFrame({"phase": np.where(time < 1, "equilibration", "production"), "step": np.arange(len(time)),
                           "time_ps": time, "temperature_K": 298.15 + rng.normal(size=len(time)),
                           "potential_energy_kcal_mol": energy, "total_energy_kcal_mol": energy + 100,
                           "pressure_atm": 0.0})  # fmt: skip
    write_table(folder / "thermo.csv", thermo, STAMP)
    speed = 4.0 if member == "ensemble" and variant.kind == "teacher_ensemble" else 30.0
    company = variant.replicas * len(variant.members)
    record = {
        "status": "blown up" if failed else "finished", "reason": "temperature above 1500 K" if failed else "",
        "step": 120 if failed else 1500, "variant": variant.name, "member": member, "replica": replica,
        "n_beads": 128, "timestep_fs": 4.0, "n_steps": 1500, "wall_s": 17.3, "ns_per_day": speed, "threads": 1,
        "device": "cpu", "runs_together": company, "ns_per_day_together": speed * (1.5 if company > 1 else 1.0),
        "velocity_seed": 7, "start_frame": 3, "versions": {"lammps": "20250722", "torch": "2.13.0"},
        "provenance": STAMP,
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(record), encoding="utf-8")
    return {
        "variant": variant.name, "member": member, "replica": replica, "status": record["status"],
        "reason": record["reason"], "n_frames": 0 if failed else 50, "equilibrated_ps": np.nan if failed else 1.4,
        "statistical_inefficiency": np.nan if failed else 3.0, "n_effective": np.nan if failed else 80.0,
        "mean_temperature_K": 298.2, "mean_potential_energy_kcal_mol": -900.0, "mean_pressure_atm": 0.0,
        "ns_per_day": speed, "wall_s": 17.3,
    }  # fmt: skip


def _training(folder: Path, targets: dict[str, float], rng: np.random.Generator) -> None:
    """history.csv and metrics.csv of one network."""
    epoch = np.arange(1, 13)
    loss = 2 + 3 * np.exp(-epoch / 3) + 0.02 * rng.normal(size=len(epoch))
    history = pd.DataFrame({"epoch": epoch, "learning_rate": 1e-3, "batch_size": 2, "train_loss": loss,
                            "valid_loss": loss + 0.15 + 0.02 * rng.normal(size=len(epoch)), "best": 1,
                            "seconds": 1.0})  # fmt: skip
    write_table(folder / "history.csv", history, STAMP)
    rows = [
        {"split": split, "target": target, "bead_type": kind, "unit": "kcal/mol/A", "mae": 1.0, "rmse": 1.3,
         "r2": r2 + 0.01 * rng.normal(), "n": 1000}
        for split in ("train", "valid", "test") for target, r2 in targets.items() for kind in ("all", *TYPES)
    ]  # fmt: skip
    write_table(folder / "metrics.csv", pd.DataFrame(rows), STAMP)


def _forces(results: Path, ensembles: list[str], rng: np.random.Generator) -> None:
    """Bead file, split, teachers' predictions, students' predictions, prior and the gradient check."""
    n_frames, counts = 30, (4, 4, 8)
    kinds = np.repeat(np.arange(3), counts)
    n_beads = len(kinds)
    topology = BeadTopology(TYPES, kinds, tuple(TYPES[k] for k in kinds), np.array([104.17, 35.45, 60.06])[kinds],
                            np.arange(n_beads), np.zeros(0, dtype=int))  # fmt: skip
    mean_force = rng.normal(size=(n_frames, n_beads, 3)) * 6
    frames = BeadFrames(rng.uniform(0, 11, (n_frames, n_beads, 3)), mean_force + 8 * rng.normal(size=mean_force.shape),
                        np.tile(np.eye(3) * 11.3, (n_frames, 1, 1)), np.arange(n_frames) * 3.0)  # fmt: skip
    (results / "mapped").mkdir(parents=True)
    provenance = STAMP | {"inputs": {"trajectory": "ab" * 32}}
    with BeadWriter(results / "mapped" / "beads.h5", topology, provenance) as writer:
        writer.append(frames)
    split = split_frames(n_frames, {"train": 0.8, "valid": 0.1, "test": 0.1}, "random", 1)
    write_split(results / "mapped" / "split.json", split, STAMP)

    def predicted(name: str, noise: float):
        forces = mean_force + noise * rng.normal(size=mean_force.shape)
        return single_predictions(name, forces.astype("f4"), rng.normal(size=(n_frames, n_beads)), kinds)

    teachers = [predicted(name, 2.0) for name in SEEDS]
    for teacher in teachers:
        write_predictions(results / "teachers" / teacher.members[0] / "predictions.h5", teacher, STAMP)
    write_predictions(results / "teachers" / "mean.h5", average_predictions(teachers, SEEDS), STAMP)
    for name in ensembles:
        forces = predicted(name, 1.2).forces_kcal_mol_A[split.test]
        student = single_predictions(name, forces, np.zeros(forces.shape[:2]), kinds)
        write_predictions(results / "students" / name / "ensemble" / "test_predictions.h5", student, STAMP)
    pairs = [(TYPES[a], TYPES[b], 3.0 + 0.3 * (a + b)) for a in range(3) for b in range(a, 3)]
    a = np.log(20) / 0.15
    prior = pd.DataFrame([{"bead_1": x, "bead_2": y, "E0_kcal_mol": 0.05 * 12 * np.exp(a * t) / a, "a_per_A": a,
                           "lowest_distance_A": t, "mean_force_kcal_mol_A": 12.0} for x, y, t in pairs])  # fmt: skip
    write_table(results / "prior" / "prior.csv", prior, STAMP)
    check = pd.DataFrame([{"teacher": name, "n_components": 48, "rms_force_kcal_mol_A": 10.0,
                           "rms_difference_kcal_mol_A": 2e-6, "max_difference_kcal_mol_A": 9e-6, "step_A": 1e-3}
                          for name in SEEDS])  # fmt: skip
    write_table(results / "teachers" / "gradient_check.csv", check, STAMP)


def fabricate(results: Path, variants: tuple[Variant, ...] = DEFAULT, config: dict | None = None) -> Path:
    """Write everything that figures and report read under ``results``; returns it."""
    rng = np.random.default_rng(5)
    config = config or read_config()
    _forces(results, [variant.name for variant in variants if variant.kind == "ensemble"], rng)
    reference = _label(_curves(config, np.random.default_rng(0), 0.0), "AA", "AA", 0)
    write_curves(results / "structure" / "reference.parquet", reference, STAMP)
    for name in SEEDS:
        _training(results / "teachers" / name, {"F": 0.31}, rng)
    for variant in variants:
        rows, curves = [], []
        for member in variant.members:
            if variant.kind in ("single", "ensemble"):
                folder = results / "students" / variant.name / member
                _training(folder, {"F": 0.33, "f": 0.93, "E": 0.9, "epsilon": 0.95}, rng)
            for replica in range(1, variant.replicas + 1):
                folder = results / "simulations" / variant.name / member / f"replica-{replica}"
                folder.mkdir(parents=True)
                rows.append(_simulation(folder, variant, member, replica, rng))
                if rows[-1]["status"] == "finished":
                    curves.append(_label(_curves(config, rng, variant.error), variant.name, member, replica))
        runs = pd.DataFrame(rows)
        table = pd.concat(curves) if curves else reference.iloc[:0]
        folder = results / "structure" / variant.name
        write_curves(folder / "curves.parquet", table, STAMP)
        write_table(folder / "runs.csv", runs, STAMP)
        tae = tae_table(reference, table, runs, {variant.name: variant.label})
        write_table(folder / "tae.csv", tae, STAMP)
        write_table(folder / "summary.csv", summarise(tae, runs), STAMP)
    return results
