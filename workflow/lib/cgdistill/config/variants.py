"""Models of the comparison: variants, their members, and the runs that each gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import InputError
from ..core.vocabulary import ENSEMBLE, TEACHERS, ModelKind


@dataclass(frozen=True)
class Variant:
    """One variant of the comparison.

    Attributes
    ----------
    name: in paths; distinct from others even where case is ignored.
    label: in tables and figures.
    kind: one of `ModelKind`.
    weights: loss weights by target, empty for teachers.
    """

    name: str
    label: str
    kind: str
    weights: Mapping[str, float]

    def members(self, teacher_names: Sequence[str]) -> list[str]:
        """Member names: one per teacher, or the one ensemble."""
        return list(teacher_names) if ModelKind(self.kind).per_teacher else [ENSEMBLE]


def teacher_names(seeds: Sequence[int]) -> list[str]:
    """Names of the teachers, ``seed-<seed>``."""
    return [f"seed-{seed}" for seed in seeds]


def teacher_variants(n_teachers: int) -> list[Variant]:
    """The two variants that need no student: T and T<n> (T8 for eight teachers)."""
    name = f"{TEACHERS}{n_teachers}"
    return [
        Variant(TEACHERS, TEACHERS, ModelKind.TEACHER.value, {}),
        Variant(name, name, ModelKind.TEACHER_ENSEMBLE.value, {}),
    ]


def all_variants(n_teachers: int, students: Sequence[Variant]) -> list[Variant]:
    """Every variant in the order of tables and figures: teachers first, then the students as listed."""
    return [*teacher_variants(n_teachers), *students]


def check_variants(variants: Sequence[Variant], source: str | Path) -> None:
    """Check student variants against each other.

    Raises
    ------
    InputError
        No weight above 0, a name that differs from another only in case, or one that is kept for
        teachers.
    """
    seen: dict[str, str] = {}
    for variant in variants:
        if not any(weight > 0 for weight in variant.weights.values()):
            raise InputError(source, variant.name, "no weight above 0", "at least one target")
        if variant.name[0] in "Tt" and variant.name[1:].isdigit() or variant.name.lower() == "t":
            raise InputError(source, variant.name, "a name kept for the teachers", "another name")
        folded = variant.name.casefold()
        if folded in seen:
            found = f"the name {seen[folded]} already"
            raise InputError(source, variant.name, found, "names that differ by more than case")
        seen[folded] = variant.name
    labels = [variant.label for variant in variants]
    twice = {label for label in labels if labels.count(label) > 1}
    if twice:
        raise InputError(source, "label", f"{', '.join(sorted(twice))} twice", "one label per variant")
