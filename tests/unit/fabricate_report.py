"""The files of a made-up run that the report page is made from, and the page; the numbers mean nothing.

Tables agree with each other where the page compares them: means with runs, statuses with errors.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from cgdistill.config.complete import read_config as read_complete
from cgdistill.config.students import read_students
from cgdistill.data.beads import BeadFrames, BeadTopology, BeadWriter
from cgdistill.data.split import split_frames, write_split
from cgdistill.figures.catalogue import catalogue
from cgdistill.figures.style import Palette
from cgdistill.io.csv_tables import write_table
from cgdistill.report.data import ReportData, gather
from cgdistill.report.figures import Captions
from cgdistill.structure.spec import StructureSpec
from fabricate import models_of
from PIL import Image, ImageDraw

ROOT = Path(__file__).parents[2]
TYPES, COUNTS, MASSES = ("Cho", "Cl", "Urea"), (4, 4, 8), (104.17, 35.45, 60.06)
STAMP = {"program": "cgdistill", "version": "0", "config_sha256": "0" * 64, "inputs": {}}
#: What a user might call things.
EVIL = '<script>alert("x")</script>'
SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 400 300" width="400" height="300"><script>alert(1)</script>'
    '<rect x="20" y="20" width="300" height="200" fill="#1f5fd0"/></svg>'
)


@dataclass(frozen=True)
class Made:
    """One made-up variant; ``stability`` of its runs in order, the rest stable."""

    name: str
    label: str
    kind: str
    members: tuple[str, ...]
    replicas: int
    error: float
    stability: tuple[str, ...] = ()

    def runs(self) -> list[tuple[str, int, str]]:
        """Member, replica and stability of each run."""
        runs = [(member, replica) for member in self.members for replica in range(1, self.replicas + 1)]
        return [
            (*run, self.stability[place] if place < len(self.stability) else "stable") for place, run in enumerate(runs)
        ]


SEEDS = ("seed-1", "seed-2", "seed-3")
FAILURE = "loss is nan in epoch 7, batch 3 of 60 (frames 4, <b>8</b>)"
VARIANTS = (
    Made("T", "T", "teacher", SEEDS, 1, 3.0, ("stable", "blown up", "drifting")),
    Made("T4", "T4", "teacher_ensemble", ("ensemble",), 2, 1.5),
    Made("S1-aa-kd-bead", "S1Ffε", "single", SEEDS, 1, 2.5, ("clustered", "stable", "excluded")),
    Made("S8-aa-kd-bead", "S8Ffε", "ensemble", ("ensemble",), 2, 1.4, ("blown up", "blown up")),
    Made("S8-mine", EVIL, "ensemble", ("ensemble",), 2, 1.0),
)


def read_config(name: str = "config") -> dict[str, Any]:
    """A config of the repository, of a run with a wicked name and a small network."""
    config = read_complete(ROOT / "config" / f"{name}.yaml")
    config["run"] = EVIL
    config["network"] |= {"n_sensitivities": 8, "cutoff_A": 7.5}
    config["structure"]["adf"]["triplets"] = [["Cho", "Cl", "Urea"]]
    return config


def _items(config: dict[str, Any]) -> list[tuple[str, str, float, float]]:
    """Metric, item, radius and share of the error."""
    pairs = [f"{TYPES[a]}-{TYPES[b]}" for a in range(3) for b in range(a, 3)]
    found = [("rdf", pair, np.nan, 1 / 6) for pair in pairs]
    radii = config["structure"]["adf"]["r_max_A"]
    found += [("adf", "Cho-Cl-Urea", radius, 0.3 / len(radii)) for radius in radii]
    found += [("adf", "overall", radius, 0.3 / len(radii)) for radius in radii]
    found += [("cdf", name, np.nan, 0.1) for name in TYPES]
    return [*found, ("rdf", "overall", np.nan, 1.0), ("adf", "overall", np.nan, 0.3), ("cdf", "overall", np.nan, 0.3)]


def _errors(config: dict[str, Any], variants: tuple[Made, ...], rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    """Tables tae, summary, comparisons and noise."""
    items, tae, summary = _items(config), [], []
    for variant in variants:
        scale = {(m, r): variant.error * (1 + 0.05 * rng.normal()) for m, r, _ in variant.runs()}
        lost = {(m, r): stability for m, r, stability in variant.runs() if stability in ("blown up", "excluded")}
        for metric, item, radius, share in items:
            keys = {
                "variant": variant.name,
                "label": variant.label,
                "metric": metric,
                "item": item,
                "parameter": radius,
            }
            values = []
            for (member, replica), factor in scale.items():
                failed = (member, replica) in lost
                value = np.nan if failed else share * factor
                status = lost.get((member, replica), "finished")
                tae.append({**keys, "member": member, "replica": replica, "tae": value, "status": status})
                values += [] if failed else [value]
            mean = np.mean(values) if values else np.nan
            std = np.std(values, ddof=1) if len(values) > 1 else np.nan
            summary.append({
                **keys, "mean": mean, "std": std, "n": len(values), "n_failed": len(lost),
                "n_excluded": sum(kind == "excluded" for kind in lost.values()), "ci_low": 0.9 * mean,
                "ci_high": 1.1 * mean, "ci_of": "replicas and blocks" if len(values) > 1 else "blocks of one run",
                "noise": 0.3 * share, "noise_high": 0.4 * share,
            })  # fmt: skip
    pairs = []
    for metric, share in (("rdf", 1.0), ("adf", 0.3), ("cdf", 0.3)):
        for a, b in combinations(variants, 2):
            tested = all(any(kind != "blown up" for _, _, kind in variant.runs()) for variant in (a, b))
            gap = share * (a.error - b.error)
            clear = tested and abs(gap) > 0.6 * share
            pairs.append({
                "metric": metric, "variant_a": a.name, "label_a": a.label, "variant_b": b.name, "label_b": b.label,
                "test": "Welch" if tested else "not tested", "n_a": 2, "n_b": 2, "mean_a": share * a.error,
                "mean_b": share * b.error, "difference": gap, "ci_low": gap - 0.1 * share,
                "ci_high": gap + 0.1 * share, "p": (0.0001 if clear else 0.2) if tested else np.nan,
                "p_holm": (0.0005 if clear else 0.9) if tested else np.nan,
                "outcome": ("better" if gap < 0 else "worse") if clear else "not distinguishable",
                "reason": "" if tested else "no finished run",
            })  # fmt: skip
    noise = [
        {"metric": metric, "item": item, "parameter": radius, "halves": 0.4 * share, "random_halves": 0.35 * share,
         "random_halves_high": 0.5 * share, "n_frames": 301, "statistical_inefficiency": 2.5}
        for metric, item, radius, share in items
    ]  # fmt: skip
    return {name: pd.DataFrame(rows) for name, rows in
            (("tae", tae), ("summary", summary), ("comparisons", pairs), ("noise", noise))}  # fmt: skip


def _runs(variants: tuple[Made, ...]) -> dict[str, pd.DataFrame]:
    """Tables runs and performance."""
    runs, performance = [], []
    for variant in variants:
        company = len(variant.runs())
        speed = 4.0 if variant.kind == "teacher_ensemble" else 30.0
        for member, replica, stability in variant.runs():
            keys = {"variant": variant.name, "label": variant.label, "member": member, "replica": replica}
            lost = stability in ("blown up", "excluded")
            runs.append({
                **keys, "status": stability if lost else "finished",
                "reason": {"blown up": "temperature above 1500 K", "excluded": FAILURE}.get(stability, ""),
                "step": {"blown up": 3000, "excluded": 0}.get(stability, 11000),
                "failure_kind": "temperature" if stability == "blown up" else "",
                "closest_pair": f"bead 17 (Cl), bead 40 ({EVIL})" if stability == "blown up" else "",
                "closest_pair_distance_A": 0.3125 if stability == "blown up" else np.nan,
                "n_frames": 0 if lost else 100,
                "equilibrated_ps": 1.4, "n_effective": 40.0, "mean_temperature_K": 298.2, "stability": stability,
                "onset_ps": np.nan if stability == "stable" else 12.0,
                "stability_reason": "" if stability == "stable" else f"Largest cluster of Cho: {stability}.",
                "cdf_peak_drift_A": 0.1, "cdf_peak_drift_error_A": 0.05, "cdf_peak_drift_item": "Cho",
                "rdf_peak_drift_A": -0.05,
                "rdf_peak_drift_error_A": 0.1, "rdf_peak_drift_item": "Cho-Cl", "energy_drift_kcal_mol_bead": 0.01,
                "energy_drift_error_kcal_mol_bead": 0.01, "temperature_drift_K": 1.0, "temperature_drift_error_K": 2.0,
                "min_distance_A": 3.1, "largest_cluster": 0.2, "largest_cluster_item": "Cho", "ns_per_day": speed,
            })  # fmt: skip
            performance.append({
                **keys, "n_beads": 128, "timestep_fs": 4.0, "threads": 1, "device": "cpu", "ns_per_day": speed,
                "wall_s": 17.3, "runs_together": company, "ns_per_day_together": speed * (1.5 if company > 1 else 1.0),
            })  # fmt: skip
    return {"runs": pd.DataFrame(runs), "performance": pd.DataFrame(performance)}


def _networks(variants: tuple[Made, ...], rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    """Tables training, networks, ceiling, spread and check."""
    training, spread, networks = [], [], []
    for variant in variants:
        teacher = variant.kind == "teacher"
        targets = {"F": 0.2} if teacher else {"F": 0.21, "f": 0.93, "E": 0.9, "epsilon": 0.95}
        units = {"E": "kcal/mol", "epsilon": "kcal/mol"}
        members = () if variant.kind == "teacher_ensemble" else variant.members
        left_out = {member for member, _, stability in variant.runs() if stability == "excluded"}
        networks += [
            {"variant": variant.name, "label": variant.label, "member": member,
             "status": "excluded" if member in left_out else "used", "retries": int(member == SEEDS[1]),
             "learning_rate": 1e-3, "best_epoch": 40, "epochs": 90, "reason": FAILURE if member in left_out else "",
             "failures": FAILURE if member in (SEEDS[1], *left_out) else ""}
            for member in members
        ]  # fmt: skip
        members = [member for member in members if member not in left_out]
        training += [
            {"variant": variant.name, "label": variant.label, "member": member, "split": split, "target": target,
             "bead_type": kind, "unit": units.get(target, "kcal/mol/A"), "mae": 1.0, "rmse": 1.3,
             "r2": r2 + 0.005 * rng.normal(), "n": 1000}
            for member in members for split in ("train", "valid", "test") for target, r2 in targets.items()
            for kind in (("all",) if target == "E" else ("all", *TYPES))
        ]  # fmt: skip
    for source, label in (("AA", "AA"), *((variant.name, variant.label) for variant in variants)):
        for kind in ("all", *TYPES):
            for low in (np.nan, 3.0):
                spread.append({
                    "source": source, "label": label, "bead_type": kind, "neighbour_type": "any", "r_low_A": low,
                    "r_high_A": low + 0.5, "n": 100, "force_rms_kcal_mol_A": 2.0, "force_spread_kcal_mol_A": 0.5,
                    "epsilon_spread_kcal_mol": 0.7,
                })  # fmt: skip
    ceiling = [
        {"bead_type": kind, "lower": 0.22, "estimate": 0.25, "upper": 0.28, "ci_low": 0.24, "ci_high": 0.26,
         "r2_one_teacher": 0.2, "r2_mean_teacher": 0.215, "r2_infinite": 0.22, "n_teachers": 3, "warning": ""}
        for kind in ("all", *TYPES)
    ]  # fmt: skip
    check = [{"teacher": name, "n_components": 48, "rms_force_kcal_mol_A": 10.0, "rms_difference_kcal_mol_A": 2e-6}
             for name in SEEDS]  # fmt: skip
    return {name: pd.DataFrame(rows) for name, rows in
            (("training", training), ("networks", networks), ("spread", spread), ("ceiling", ceiling),
             ("check", check))}  # fmt: skip


def _card(path: Path, variant: Made, member: str) -> Path:
    """A card of a model and the input script beside it."""
    names = SEEDS if variant.kind == "teacher_ensemble" else (member,)
    student = variant.kind in ("single", "ensemble")
    card = {
        "format": "cgdistill-model-folder-1", "variant": variant.name, "member": member, "label": variant.label,
        "bead_types": list(TYPES), "cutoff_A": 7.5,
        "networks": {name: {"n_parameters": 9284, "weights_sha256": f"{len(name):064x}"} for name in names},
        "training": {name: {"weights": {"F": 2.0, "f": 1.0 if student else 0.0, "E": 0.0, "epsilon": 0.0},
                            "seed": 4711 + place, "best_epoch": 11, "epochs": 12}
                     for place, name in enumerate(names)},
    }  # fmt: skip
    path.mkdir(parents=True)
    (path / "card.json").write_text(json.dumps(card), encoding="utf-8")
    lines = ["units real", "pair_style mliap unified mliap.pt 0", f"pair_coeff * * {' '.join(TYPES)}", "run 1000"]
    (path / "in.lammps").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path / "card.json"


def _beads(folder: Path) -> tuple[Path, Path]:
    """Bead file of 30 frames, 3 ps apart, and its split."""
    kinds = np.repeat(np.arange(3), COUNTS)
    topology = BeadTopology(TYPES, kinds, tuple(TYPES[k] for k in kinds), np.array(MASSES)[kinds],
                            np.arange(len(kinds)), np.zeros(0, dtype=int))  # fmt: skip
    positions = np.random.default_rng(1).uniform(0, 11, (30, len(kinds), 3))
    frames = BeadFrames(positions, positions - 5.0, np.tile(np.eye(3) * 11.3, (30, 1, 1)), np.arange(30) * 3.0)
    folder.mkdir(parents=True)
    with BeadWriter(folder / "beads.h5", topology, STAMP | {"inputs": {"trajectory": "ab" * 32}}) as writer:
        writer.append(frames)
    split = split_frames(30, {"train": 0.8, "valid": 0.1, "test": 0.1}, "random", 1)
    write_split(folder / "split.json", split, STAMP)
    return folder / "beads.h5", folder / "split.json"


def _picture(path: Path) -> None:
    """A PNG of a few colours."""
    image = Image.new("RGB", (400, 300), "white")
    ImageDraw.Draw(image).rectangle((20, 20, 320, 220), fill="#1f5fd0")
    image.save(path)


def fabricate_tables(
    folder: Path, config: dict[str, Any], variants: tuple[Made, ...] = VARIANTS, seed: int = 3
) -> dict[str, Path]:
    """Write the tables of a made-up run into ``folder``: paths by name."""
    rng, paths = np.random.default_rng(seed), {}
    for name, table in (_errors(config, variants, rng) | _runs(variants) | _networks(variants, rng)).items():
        paths[name] = folder / f"{name}.csv"
        write_table(paths[name], table, STAMP | {"versions": {"lammps": ["20250722"]}})
    return paths


def fabricate_report(folder: Path, config: dict[str, Any] | None = None, big: bool = False) -> ReportData:
    """Write a made-up run under ``folder`` and gather it as the workflow does.

    Parameters
    ----------
    big: with all figures of the catalogue, else with a few.
    """
    config = config or read_config()
    tables: dict[str, str | Path] = dict(fabricate_tables(folder / "tables", config))
    students = ["name\tlabel\tteacher\tw_F\tw_f\tw_E\tw_e"]
    students += [f"{v.name}\t{v.label}\t{v.kind}\t2\t1\t0\t5" for v in VARIANTS if v.kind in ("single", "ensemble")]
    tables["students"] = folder / "students.tsv"
    (folder / "students.tsv").write_text("\n".join(students) + "\n", encoding="utf-8")
    models = models_of(VARIANTS)
    entries = catalogue(
        models, read_students(tables["students"]), StructureSpec.from_config(config["structure"]), config["pictures"]
    )
    few = ("tae_overall", "adf_6A", "adf_7.5A", "stability", "comparison", "ceiling", "prior", "boxes", "model_S8-mine")
    (folder / "figures").mkdir()
    figures = []
    for stem in reversed([entry.stem for entry in entries if big or entry.stem in few]):
        figures += [folder / "figures" / f"{stem}.svg", folder / "figures" / f"{stem}.png"]
        figures[-2].write_text(SVG, encoding="utf-8")
        _picture(figures[-1])
    cards = [_card(folder / "models" / v.name / member, v, member) for v in VARIANTS for member in v.members]
    benchmarks = [folder / "benchmarks" / name for name in ("T/a/simulate.tsv", "T/b/simulate.tsv", "fit_prior.tsv")]
    for place, path in enumerate(benchmarks):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"s\th:m:s\tmax_rss\tcpu_time\n{100.0 * place + 7}\t0:00:07\t250.5\t6.5\n", encoding="utf-8")
    beads, split = _beads(folder / "mapped")
    (folder / "captions").mkdir()
    for name in dict.fromkeys(entry.caption for entry in entries):
        (folder / "captions" / f"{name}.rst").write_text(f"Caption of {name}{{{{ metric }}}}.", encoding="utf-8")
    captions = Captions(sorted((folder / "captions").glob("*.rst")))
    return gather(EVIL, config, Palette(models), tables, beads, split, figures, captions, cards, benchmarks)
