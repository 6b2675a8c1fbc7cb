"""The one list of a run's figures: what they are called, where they stand, and which job draws them.

Light to import (no matplotlib): rules declare their outputs from it, and the report page places figures by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from ..config.targets import TARGETS, active_weights
from ..config.variants import Variant

#: Jobs that draw, one function of `draw` each.
JOBS = ("structure", "stability", "networks", "models", "boxes")
#: Columns of models in figures: name, and the kinds of variants in it.
GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("T", ("teacher", "teacher_ensemble")),
    ("S1", ("single",)),
    ("S8", ("ensemble",)),
)
#: Targets of students that are forces, and those that are energies.
_FORCES = [target for target in TARGETS.values() if not target.is_energy]
_ENERGIES = [target for target in TARGETS.values() if target.is_energy]
#: Labels of the energy targets of a student by their names, in the order of figures: none, each alone, two, and so on.
ENERGY_TARGETS = {
    tuple(target.name for target in chosen): " and ".join(target.symbol for target in chosen) or "none"
    for number in range(len(_ENERGIES) + 1)
    for chosen in combinations(_ENERGIES, number)
}
_METRICS = {"rdf": "RDF", "adf": "ADF", "cdf": "CDF"}
_LONG = {"rdf": "Radial", "adf": "Angular", "cdf": "Cluster"}
_CATEGORIES = {
    "structure": "Structure", "statistics": "Comparison", "stability": "Stability", "ensemble": "Ensemble",
    "training": "Training", "forces": "Forces", "pictures": "Pictures", "models": "Models",
}  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """One figure.

    Attributes
    ----------
    stem: file name without suffix.
    title: heading on the page.
    section: of the page: structure, statistics, stability, ensemble, training, forces, pictures or models.
    caption: name of the caption, ``workflow/report/<caption>.rst``.
    job: which of `JOBS` draws it.
    name: what tells it from the others of its category, short.
    folded: closed on the page until asked for.
    subcategory: in Snakemake's report; may be empty.
    variant: of a model's own figure; empty for others.
    """

    stem: str
    title: str
    section: str
    caption: str
    job: str
    name: str
    folded: bool = False
    subcategory: str = ""
    variant: str = ""

    @property
    def category(self) -> str:
        """In Snakemake's report."""
        return _CATEGORIES[self.section]

    @property
    def labels(self) -> dict[str, str]:
        """In Snakemake's report."""
        return {"figure": self.name}


@dataclass(frozen=True)
class TargetGroup:
    """Students with the same teacher and the same force targets, that differ in their energy targets.

    Attributes
    ----------
    name: in file names, as ``S8-F-f``.
    title: as ``S8, forces F and f``.
    columns: variants by label of their energy targets, in the order of `ENERGY_TARGETS`.
    """

    name: str
    title: str
    columns: Mapping[str, tuple[str, ...]] = field(hash=False)


def target_groups(students: Iterable[Variant]) -> list[TargetGroup]:
    """Groups in which energy targets can be compared: two different ones at least."""
    found: dict[tuple[str, tuple[str, ...]], dict[str, list[str]]] = {}
    for student in students:
        active = active_weights(student.weights)
        forces = tuple(target.name for target in _FORCES if target.name in active)
        energies = ENERGY_TARGETS[tuple(target.name for target in _ENERGIES if target.name in active)]
        found.setdefault((student.kind, forces), {}).setdefault(energies, []).append(student.name)
    groups = []
    for (teacher, forces), columns in found.items():
        if len(columns) < 2:
            continue
        family = "S1" if teacher == "single" else "S8"
        name = "-".join([family, *(TARGETS[target].file_part for target in forces)])
        title = f"{family}, " + (f"forces {' and '.join(forces)}" if forces else "no forces")
        ordered = {label: tuple(columns[label]) for label in ENERGY_TARGETS.values() if label in columns}
        groups.append(TargetGroup(name, title, ordered))
    return groups


def metric_stems(prefix: str, adf_radii_A: Sequence[float], metrics: Sequence[str] = tuple(_METRICS)) -> dict[str, str]:
    """Stems of figures of curves, in order, with the short name of each: ``rdf``, ``adf_6A``, ..., ``cdf``."""
    stems = {}
    for metric in metrics:
        if metric == "adf":
            stems.update({f"{prefix}adf_{radius:g}A": f"ADF, {radius:g} Å" for radius in sorted(adf_radii_A)})
        else:
            stems[f"{prefix}{metric}"] = _METRICS[metric]
    return stems


def catalogue(
    variants: Sequence[str],
    kinds: Mapping[str, str],
    labels: Mapping[str, str],
    students: Sequence[Variant],
    adf_radii_A: Sequence[float],
    pictures: bool = True,
) -> list[Entry]:
    """All figures of a run in the order of the page.

    Parameters
    ----------
    variants: names of all variants in the order of tables; ``kinds`` and ``labels`` by name.
    students: variants of the table of students; may be none.
    adf_radii_A: of the config; none where there are no triplets.
    pictures: whether the boxes are rendered.
    """
    entries = [
        *_structure(adf_radii_A),
        *_targets(students, adf_radii_A),
        *_members(variants, kinds, labels),
        Entry("comparison", "Which models can be told apart", "statistics", "comparison", "structure", "comparison"),
        *_stability(kinds),
        *_networks(bool(students), any(kind == "ensemble" for kind in kinds.values())),
    ]
    if pictures:
        entries.append(Entry("boxes", "First and last frames", "pictures", "boxes", "boxes", "boxes"))
    entries += [
        Entry(f"model_{name}", f"Structure of {labels[name]}", "models", "model", "models", labels[name], variant=name)
        for name in variants
    ]
    return entries


def box_variants(variants: Sequence[str], kinds: Mapping[str, str], students: Sequence[Variant]) -> list[str]:
    """Variants whose boxes are rendered, one per kind: of students that with the most targets, all per bead."""
    n_targets = {
        student.name: sum(1 if TARGETS[name].per_bead else -len(TARGETS) for name in active_weights(student.weights))
        for student in students
    }
    chosen: dict[str, str] = {}
    for name in variants:
        best = chosen.setdefault(kinds[name], name)
        if n_targets.get(name, 0) > n_targets.get(best, 0):
            chosen[kinds[name]] = name
    return list(chosen.values())


def drawn_by(entries: Iterable[Entry], job: str) -> list[Entry]:
    """Figures that one of `JOBS` draws."""
    if job not in JOBS:
        raise ValueError(f"job {job!r}: one of {JOBS} is needed")
    return [entry for entry in entries if entry.job == job]


def groups_of(kinds: Mapping[str, str]) -> list[str]:
    """Names of the `GROUPS` that have a variant."""
    return [name for name, members in GROUPS if any(kind in members for kind in kinds.values())]


def _structure(adf_radii_A: Sequence[float]) -> list[Entry]:
    """Errors of all models, and their curves with the errors beside them."""
    entries = [
        Entry("tae_overall", "Total absolute error of all models", "structure", "tae_overall", "structure", "overall",
              subcategory="Errors")
    ]  # fmt: skip
    widest = max(adf_radii_A, default=0.0)
    parts = {"rdf": "pair", "adf": "triplet and radius", "cdf": "type"}
    for metric, short in _METRICS.items():
        for stem, name in metric_stems("", adf_radii_A, (metric,)).items():
            title = f"{_LONG[metric]} distribution functions"
            folded = False
            if metric == "adf":
                radius = stem.removeprefix("adf_").removesuffix("A")
                title += f", both neighbours within {radius} Å"
                folded = float(radius) < widest
            entries.append(
                Entry(stem, title, "structure", metric, "structure", name, folded=folded, subcategory="Curves")
            )
        if metric != "adf" or adf_radii_A:
            title = f"Errors of the {short} per {parts[metric]}"
            entries.append(
                Entry(f"tae_{metric}", title, "structure", "tae_items", "structure", f"{short} per {parts[metric]}",
                      folded=True, subcategory="Errors")
            )  # fmt: skip
    return entries


def _targets(students: Sequence[Variant], adf_radii_A: Sequence[float]) -> list[Entry]:
    """Students that differ in their energy targets alone, side by side."""
    return [
        Entry(stem, f"Energy targets: {name} of {group.title}", "structure", "targets", "structure",
              f"{group.title}: {name}", folded=not stem.endswith("cdf"), subcategory="Energy targets")
        for group in target_groups(students)
        for stem, name in metric_stems(f"targets_{group.name}_", adf_radii_A).items()
    ]  # fmt: skip


def _members(variants: Sequence[str], kinds: Mapping[str, str], labels: Mapping[str, str]) -> list[Entry]:
    """Teachers one by one, and the students of each teacher."""
    chosen = [name for name in variants if kinds[name] in ("teacher", "single")]
    if not chosen:
        return []
    entries = [
        Entry("members_tae", "Errors of T and S1, teacher by teacher", "structure", "members_tae", "structure",
              "TAE by teacher", folded=True, subcategory="By teacher")
    ]  # fmt: skip
    for name in chosen:
        for metric in ("rdf", "cdf"):
            short = _METRICS[metric]
            title = f"{short} of {labels[name]}, teacher by teacher"
            entries.append(
                Entry(f"members_{name}_{metric}", title, "structure", "members", "structure",
                      f"{labels[name]}: {short}", folded=True, subcategory="By teacher")
            )  # fmt: skip
    return entries


def _stability(kinds: Mapping[str, str]) -> list[Entry]:
    titles = {"T": "teachers", "S1": "S1", "S8": "S8"}
    return [
        Entry("stability", "Structure in the course of the simulations", "stability", "stability", "stability",
              "peaks and clusters"),
        *(
            Entry(f"resolved_{group}", f"Cluster distribution functions in time: {titles[group]}", "stability",
                  "resolved", "stability", f"CDF in time: {titles[group]}", folded=group == "S1")
            for group in groups_of(kinds)
        ),
        Entry("energy", "Potential energy of the simulations", "stability", "energy", "stability", "potential energy",
              folded=True),
    ]  # fmt: skip


def _networks(students: bool, ensemble_students: bool) -> list[Entry]:
    """Noise ceiling and spread, training, forces."""
    entries = [
        Entry("ceiling", "Noise ceiling of the labels", "ensemble", "ceiling", "networks", "noise ceiling"),
        Entry("spread", "Disagreement of the teachers", "ensemble", "spread", "networks", "spread of the teachers"),
        Entry("teacher_metrics", "Teachers on all-atom forces", "training", "teacher_metrics", "networks",
              "metrics and parity of the teachers"),
        Entry("training_metrics", "R² and RMSE of all models by target", "training", "training_metrics", "networks",
              "metrics by target"),
        Entry("training_teachers", "Training of the teachers", "training", "training_teachers", "networks",
              "training of the teachers", folded=True),
    ]  # fmt: skip
    if students:
        entries.append(
            Entry("training_students", "Training of the students", "training", "training_students", "networks",
                  "training of the students", folded=True)
        )  # fmt: skip
    if ensemble_students:
        entries.append(
            Entry("parity_students", "Forces of students against the mean of the teachers", "forces",
                  "parity_students", "networks", "parity of the students")
        )  # fmt: skip
    entries.append(Entry("prior", "Short-range prior", "forces", "prior", "networks", "prior", folded=True))
    return entries
