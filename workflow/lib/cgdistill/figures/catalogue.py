"""The one list of a run's figures: what they are called, where they are shown, and what draws them.

Light to import (no matplotlib, no pandas): rules declare their outputs from it, and the report page places figures by
it. A figure is added by a function in a module of this package, an entry here and a caption (docs/extending.md).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from ..config.models import FAMILIES, Model, in_groups
from ..config.targets import TARGETS, active_weights
from ..config.variants import Variant
from ..core.vocabulary import ModelKind
from ..structure.metrics import PRESENTATIONS
from ..structure.spec import StructureSpec

#: Jobs that draw, each from its own files (`run_files`).
JOBS = ("structure", "stability", "networks", "models", "boxes")
#: Targets of students that are forces, and those that are energies.
_FORCES = [target for target in TARGETS.values() if not target.is_energy]
_ENERGIES = [target for target in TARGETS.values() if target.is_energy]
#: Labels of the energy targets of a student by their names, in the order of figures: none, each alone, two, and so on.
ENERGY_TARGETS = {
    tuple(target.name for target in chosen): " and ".join(target.symbol for target in chosen) or "none"
    for number in range(len(_ENERGIES) + 1)
    for chosen in combinations(_ENERGIES, number)
}
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
    job: which of `JOBS` draws it.
    drawer: ``module.function`` of this package. It takes the files of the job (`run_files`) and ``arguments``, and
        returns the figure.
    name: what tells it from the others of its category, short.
    caption: name of the caption, ``workflow/report/<caption>.rst``.
    metric: of curves; empty for others.
    folded: closed on the page until asked for.
    subcategory: in Snakemake's report; may be empty.
    variant: of a model's own figure; empty for others.
    """

    stem: str
    title: str
    section: str
    job: str
    drawer: str
    name: str
    caption: str
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    metric: str = ""
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

    @property
    def module(self) -> str:
        """Module of the drawer, relative to the library."""
        return f"figures.{self.drawer.rpartition('.')[0]}"


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
        family = FAMILIES[teacher]
        name = "-".join([family, *(TARGETS[target].file_part for target in forces)])
        title = f"{family}, " + (f"forces {' and '.join(forces)}" if forces else "no forces")
        ordered = {label: tuple(columns[label]) for label in ENERGY_TARGETS.values() if label in columns}
        groups.append(TargetGroup(name, title, ordered))
    return groups


def catalogue(
    models: Sequence[Model], students: Sequence[Variant], structure: StructureSpec, pictures: bool = True
) -> list[Entry]:
    """All figures of a run in the order of the page.

    Parameters
    ----------
    models: all models in the order of tables.
    students: variants of the table of students; may be none.
    structure: its metrics and their parameters.
    pictures: whether the boxes are rendered.
    """
    return [
        *_structure(structure),
        *_targets(students, structure),
        *_members(models, structure),
        *_stability(models),
        *_networks(models, students),
        *([Entry("boxes", "First and last frames", "pictures", "boxes", "boxes.draw", "boxes", "boxes")] * pictures),
        *(
            Entry(f"model_{model.name}", f"Structure of {model.label}", "models", "models", "model.draw", model.label,
                  "model", {"variant": model.name}, variant=model.name)
            for model in models
        ),
    ]  # fmt: skip


def catalogue_of(models: Sequence[Model], settings: Mapping[str, Any]) -> list[Entry]:
    """The catalogue from plain values: ``students`` (fields of each variant), section ``structure``, ``pictures``."""
    students = [Variant(**student) for student in settings["students"]]
    structure = StructureSpec.from_config(settings["structure"])
    return catalogue(models, students, structure, bool(settings["pictures"]))


def box_variants(models: Sequence[Model], students: Sequence[Variant]) -> list[str]:
    """Variants whose boxes are rendered, one per kind: of students that with the most targets, all per bead."""
    n_targets = {
        student.name: sum(1 if TARGETS[name].per_bead else -len(TARGETS) for name in active_weights(student.weights))
        for student in students
    }
    chosen: dict[str, str] = {}
    for model in models:
        best = chosen.setdefault(model.kind, model.name)
        if n_targets.get(model.name, 0) > n_targets.get(best, 0):
            chosen[model.kind] = model.name
    return list(chosen.values())


def drawn_by(entries: Iterable[Entry], job: str) -> list[Entry]:
    """Figures that one of `JOBS` draws."""
    if job not in JOBS:
        raise ValueError(f"job {job!r}: one of {JOBS} is needed")
    return [entry for entry in entries if entry.job == job]


def curve_figures(structure: StructureSpec) -> list[tuple[str, float]]:
    """Metric and parameter (NaN: none) of each figure of curves, in order."""
    return [(name, parameter) for name in structure.settings for parameter in structure.parameters(name)]


def _structure(structure: StructureSpec) -> list[Entry]:
    """Errors of all models, their curves with the errors beside them, and which models can be told apart."""
    entries = [
        Entry("tae_overall", "Total absolute error of all models", "structure", "structure", "tae.draw_overall",
              "overall", "tae_overall", subcategory="Errors")
    ]  # fmt: skip
    for metric in structure.settings:
        shown, parameters = PRESENTATIONS[metric], structure.parameters(metric)
        for value in parameters:
            title = shown.long_title
            if shown.parameter is not None and math.isfinite(value):
                title += f", {shown.parameter.words.format(shown.parameter.text(value))}"
            entries.append(
                Entry(shown.stem(value), title, "structure", "structure", "curves.draw",
                      shown.item_text(shown.title, value), "curves", {"metric": metric, "parameter": value},
                      metric=metric, folded=value < max(parameters), subcategory="Curves")
            )  # fmt: skip
        if parameters:
            name = f"{shown.title} per {shown.item}"
            entries.append(
                Entry(f"tae_{metric}", f"Errors of the {name}", "structure", "structure", "tae.draw_items", name,
                      "tae_items", {"metric": metric}, folded=True, subcategory="Errors")
            )  # fmt: skip
    return entries


def _targets(students: Sequence[Variant], structure: StructureSpec) -> list[Entry]:
    """Students that differ in their energy targets alone, side by side."""
    entries = []
    for group in target_groups(students):
        for metric, value in curve_figures(structure):
            shown = PRESENTATIONS[metric]
            name = shown.item_text(shown.title, value)
            entries.append(
                Entry(f"targets_{group.name}_{shown.stem(value)}", f"Energy targets: {name} of {group.title}",
                      "structure", "structure", "targets.draw", f"{group.title}: {name}", "targets",
                      {"group": group, "metric": metric, "parameter": value}, folded=not shown.open_in_targets,
                      subcategory="Energy targets")
            )  # fmt: skip
    return entries


def _members(models: Sequence[Model], structure: StructureSpec) -> list[Entry]:
    """Teachers one by one, and the students of each teacher: curves of metrics without a parameter."""
    chosen = [model for model in models if ModelKind(model.kind).per_teacher]
    if not chosen:
        return [_COMPARISON]
    entries = [
        Entry("members_tae", "Errors of T and S1, teacher by teacher", "structure", "structure", "members.draw_errors",
              "TAE by teacher", "members_tae", folded=True, subcategory="By teacher")
    ]  # fmt: skip
    for model in chosen:
        for metric, value in curve_figures(structure):
            if math.isfinite(value):
                continue
            short = PRESENTATIONS[metric].title
            entries.append(
                Entry(f"members_{model.name}_{metric}", f"{short} of {model.label}, teacher by teacher", "structure",
                      "structure", "members.draw", f"{model.label}: {short}", "members",
                      {"variant": model.name, "metric": metric}, folded=True, subcategory="By teacher")
            )  # fmt: skip
    return [*entries, _COMPARISON]


_COMPARISON = Entry("comparison", "Which models can be told apart", "statistics", "structure", "comparison.draw",
                    "comparison", "comparison")  # fmt: skip


def _stability(models: Sequence[Model]) -> list[Entry]:
    titles = {"T": "teachers", "S1": "S1", "S8": "S8"}
    return [
        Entry("stability", "Structure in the course of the simulations", "stability", "stability", "stability.draw",
              "peaks and clusters", "stability"),
        *(
            Entry(f"resolved_{group}", f"Cluster distribution functions in time: {titles[group]}", "stability",
                  "stability", "resolved.draw", f"CDF in time: {titles[group]}", "resolved", {"group": group},
                  folded=group == "S1")
            for group in in_groups(models)
        ),
        Entry("energy", "Potential energy of the simulations", "stability", "stability", "energy.draw",
              "potential energy", "energy", folded=True),
    ]  # fmt: skip


def _networks(models: Sequence[Model], students: Sequence[Variant]) -> list[Entry]:
    """Noise ceiling and spread, training, forces."""
    job = "networks"
    entries = [
        Entry("ceiling", "Noise ceiling of the labels", "ensemble", job, "ceiling.draw", "noise ceiling", "ceiling"),
        Entry("spread", "Disagreement of the teachers", "ensemble", job, "spread.draw", "spread of the teachers",
              "spread"),
        Entry("teacher_metrics", "Teachers on all-atom forces", "training", job, "teachers.draw",
              "metrics and parity of the teachers", "teacher_metrics"),
        Entry("training_metrics", "R² and RMSE of all models by target", "training", job, "training.draw_metrics",
              "metrics by target", "training_metrics"),
        Entry("training_teachers", "Training of the teachers", "training", job, "training.draw_teachers",
              "training of the teachers", "training_teachers", folded=True),
    ]  # fmt: skip
    if students:
        entries.append(
            Entry("training_students", "Training of the students", "training", job, "training.draw_students",
                  "training of the students", "training_students", folded=True)
        )  # fmt: skip
    if any(model.kind == ModelKind.ENSEMBLE for model in models):
        entries.append(
            Entry("parity_students", "Forces of students against the mean of the teachers", "forces", job,
                  "parity.draw", "parity of the students", "parity_students")
        )  # fmt: skip
    return [*entries, Entry("prior", "Short-range prior", "forces", job, "prior.draw", "prior", "prior", folded=True)]
