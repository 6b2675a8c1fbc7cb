"""Models as figures and tables show them: their order, and the families and groups that they are shown in.

Families: T (the teachers one by one), T8 (all of them at each step, however many), S1 (students of one teacher each),
S8 (students of the ensemble).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..core.vocabulary import ModelKind

#: Family of each kind of model, in the order of figures and tables.
FAMILIES: Mapping[str, str] = {
    ModelKind.TEACHER: "T",
    ModelKind.TEACHER_ENSEMBLE: "T8",
    ModelKind.SINGLE: "S1",
    ModelKind.ENSEMBLE: "S8",
}
#: Columns of models in figures: name, and the kinds of models in it.
GROUPS: Mapping[str, tuple[ModelKind, ...]] = {
    "T": (ModelKind.TEACHER, ModelKind.TEACHER_ENSEMBLE),
    "S1": (ModelKind.SINGLE,),
    "S8": (ModelKind.ENSEMBLE,),
}
GROUP_TITLES = {"T": "Teachers", "S1": "S1: students of one teacher", "S8": "S8: students of all teachers"}


@dataclass(frozen=True)
class Model:
    """A variant as figures and tables show it; ``kind`` is one of `ModelKind`."""

    name: str
    label: str
    kind: str

    @property
    def family(self) -> str:
        """T, T8, S1 or S8."""
        return FAMILIES[self.kind]


def models_in_order(names: Sequence[str], labels: Mapping[str, str], kinds: Mapping[str, str]) -> list[Model]:
    """Models of the given variants, family by family, in the order given within a family."""
    models = [Model(name, labels.get(name, name), kinds[name]) for name in names]
    return sorted(models, key=lambda model: list(FAMILIES.values()).index(model.family))


def in_groups(models: Iterable[Model]) -> dict[str, list[Model]]:
    """Models by name of their group; groups without models are left out."""
    models = list(models)
    found = {name: [model for model in models if model.kind in kinds] for name, kinds in GROUPS.items()}
    return {name: members for name, members in found.items() if members}
