"""Exported models as the report page describes them: read from their cards, without loading any network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import InputError
from ..io.untrusted import read_json

_FORMAT = "cgdistill-model-folder-"
_FIELDS = ("variant", "member", "bead_types", "cutoff_A", "networks", "training")


@dataclass(frozen=True)
class Card:
    """One exported model folder.

    Attributes
    ----------
    folder: where it lies.
    bead_types: names in order.
    parameters: number of parameters by network.
    digests: SHA-256 of the weights by network.
    weights: of the loss by target, of the first network (all are alike).
    seeds, epochs: by network; epochs as (best, all).
    commands: ``in.lammps`` of the folder, empty where it is not there.
    """

    variant: str
    member: str
    folder: Path
    bead_types: tuple[str, ...]
    cutoff_A: float
    parameters: Mapping[str, int]
    digests: Mapping[str, str]
    weights: Mapping[str, float]
    seeds: Mapping[str, int]
    epochs: Mapping[str, tuple[int, int]]
    commands: str

    @property
    def pair_lines(self) -> tuple[str, ...]:
        """The lines of ``in.lammps`` that set the model."""
        return tuple(line for line in self.commands.splitlines() if line.startswith(("pair_style", "pair_coeff")))


def read_card(path: str | Path) -> Card:
    """A card of `model_folder.export_model` and the input script beside it.

    Raises
    ------
    InputError
        Not JSON of a model folder, or fields missing.
    """
    path = Path(path)
    found = read_json(path, "the card of a model folder")
    if not str(found.get("format", "")).startswith(_FORMAT):
        raise InputError(path, "format", found.get("format"), f"{_FORMAT}<number>")
    for name in _FIELDS:
        if name not in found:
            raise InputError(path, "fields", sorted(found), f"a field '{name}'")
    try:
        return _card(path, found)
    except (AttributeError, LookupError, TypeError, ValueError, OverflowError, StopIteration) as error:
        raise InputError(path, "fields", f"{type(error).__name__}: {error}", "those of a model folder") from None


def _card(path: Path, found: Mapping[str, Any]) -> Card:
    training, networks = found["training"], found["networks"]
    script = path.with_name("in.lammps")
    return Card(
        variant=str(found["variant"]),
        member=str(found["member"]),
        folder=path.parent,
        bead_types=tuple(map(str, found["bead_types"])),
        cutoff_A=float(found["cutoff_A"]),
        parameters={name: int(network["n_parameters"]) for name, network in networks.items()},
        digests={name: str(network["weights_sha256"]) for name, network in networks.items()},
        weights={name: float(weight) for name, weight in next(iter(training.values()))["weights"].items()},
        seeds={name: int(facts["seed"]) for name, facts in training.items()},
        epochs={name: (int(facts["best_epoch"]), int(facts["epochs"])) for name, facts in training.items()},
        commands=script.read_text(encoding="utf-8") if script.is_file() else "",
    )


def read_cards(paths: Iterable[str | Path]) -> dict[str, list[Card]]:
    """Cards by variant, each variant's in the order given."""
    cards: dict[str, list[Card]] = {}
    for card in map(read_card, paths):
        cards.setdefault(card.variant, []).append(card)
    return cards
