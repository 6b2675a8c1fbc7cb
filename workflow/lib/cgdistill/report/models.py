"""A page of its own for each model: what it is, how good it is, its runs, and how to use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ..config.models import Model
from ..config.targets import ALL_ATOM_FORCES, TARGETS
from ..core.vocabulary import OVERALL, ModelKind
from ..structure.error_tables import shown_metrics
from ..structure.metrics import PRESENTATIONS
from .cards import Card
from .data import ReportData
from .figures import ReportFigure
from .networks import share_of_ceiling
from .parts import NOTHING, Cell, Row, Table, interval, known, model_cell, number, p_value, percent, setting, spread
from .speed import speed_by_job
from .tables import item_words, runs_table, stability_cell

_DESCRIPTIONS: Mapping[str, str] = {
    ModelKind.TEACHER: "Teachers one by one: each was trained on the all-atom forces from a random start of "
    "its own, and simulates by itself.",
    ModelKind.TEACHER_ENSEMBLE: "All teachers at each step: energy and forces are the mean over their networks.",
    ModelKind.SINGLE: "Students of one teacher each: every one learned from the predictions of its own teacher.",
    ModelKind.ENSEMBLE: "One student of all teachers: it learned from the mean of their predictions and costs as much "
    "as one network.",
}
_TURNED = {"better": "worse", "worse": "better"}


@dataclass(frozen=True)
class Usage:
    """How to run a model in LAMMPS.

    Attributes
    ----------
    folder: of the first member.
    others: folders of the others.
    pair_lines, commands: what sets the model, and the whole input script.
    bead_types: names in the order of the LAMMPS types.
    """

    folder: Path
    others: Sequence[Path]
    pair_lines: Sequence[str]
    commands: str
    bead_types: Sequence[str]


@dataclass(frozen=True)
class ModelPage:
    """All that the page of one model shows."""

    model: Model
    colour: str
    description: str
    facts: Sequence[tuple[str, str]]
    figures: Sequence[ReportFigure]
    errors: Table
    metrics: Table | None
    comparisons: Table | None
    runs: Table
    usage: Usage | None


def model_pages(data: ReportData) -> list[ModelPage]:
    """Pages of all models in the order of tables."""
    return [
        ModelPage(
            model=model,
            colour=data.palette.colour(model.name),
            description=_DESCRIPTIONS[model.kind],
            facts=_facts(data, model),
            figures=[figure for figure in data.figures if figure.variant == model.name],
            errors=error_table(data, model),
            metrics=metric_table(data, model),
            comparisons=comparisons_of_model(data, model),
            runs=runs_table(data, model.name),
            usage=_usage(data.cards.get(model.name, ())),
        )
        for model in data.palette.models
    ]


def _facts(data: ReportData, model: Model) -> list[tuple[str, str]]:
    cards = data.cards.get(model.name, ())
    facts = [("Name", model.name)]
    if cards:
        first = cards[0]
        each = sum(first.parameters.values())
        networks = _count(len(first.parameters), "network")
        if len(cards) > 1:
            networks = f"{len(cards)} models, each of {networks}"
        facts += [
            ("Networks", f"{networks}, {each:,} parameters{' each' if len(cards) > 1 else ''}"),
            ("Cutoff", f"{setting(first.cutoff_A)} Å"),
            ("Weights of the loss", _weights(first.weights)),
            ("Seeds of the training", ", ".join(_per_network(cards, "seeds"))),
            ("Epochs (best of all)", ", ".join(_per_network(cards, "epochs"))),
        ]
    runs = data.runs[data.runs["variant"] == model.name]
    if len(runs):
        cell = stability_cell(runs)
        facts.append(("Runs", f"{len(runs)}: {', '.join([cell.text, *cell.notes])}"))
    speed = speed_by_job(data.performance[data.performance["variant"] == model.name])
    if len(speed):
        facts.append(("Speed", f"{spread(speed)} ns/day of a run"))
    return facts


def _count(number_of: int, word: str) -> str:
    return f"{number_of} {word}" + ("s" if number_of != 1 else "")


def _weights(weights: Mapping[str, float]) -> str:
    """Weights of the targets that count."""
    active = [f"{setting(weight)} {TARGETS[name].label}" for name, weight in weights.items() if weight]
    return " + ".join(active) or "none"


def _per_network(cards: Sequence[Card], what: str) -> list[str]:
    """Seeds or epochs of all networks, named where there are several."""
    found = []
    for card in cards:
        for name, value in getattr(card, what).items():
            text = str(value) if what == "seeds" else f"{value[0]} of {value[1]}"
            several = len(cards) > 1 or len(card.parameters) > 1
            found.append(f"{name}: {text}" if several else text)
    return found


def error_table(data: ReportData, model: Model) -> Table:
    """Every item's error with interval and noise; marked where above the rule of thumb."""
    own = data.summary[data.summary["variant"] == model.name]
    rows = []
    for row in pd.concat([own[own["item"] == OVERALL], own[own["item"] != OVERALL]]).itertuples():
        overall, shown = row.item == OVERALL, PRESENTATIONS[row.metric]
        above = not overall and known(row.mean) and row.mean > shown.threshold
        noise = [Cell(number(value, 2), float(value)) for value in (row.noise, row.noise_high)]
        rows.append(
            Row([
                Cell(f"{shown.title} {item_words(row.metric, row.item, row.parameter)}"),
                Cell(shown.error_text(number(row.mean)) if known(row.mean) else NOTHING, float(row.mean),
                     tone="bad" if above else ""),
                Cell(interval(row.ci_low, row.ci_high) or NOTHING, float(row.ci_low)),
                Cell(number(row.std, 2), float(row.std)),
                *noise,
                Cell("" if overall or not known(shown.threshold) else shown.error_text(f"{shown.threshold:g}")),
            ])
        )  # fmt: skip
    heads = ["Curve", "TAE", f"{percent(data.config['statistics']['confidence'])} interval", "Standard deviation",
             "Noise", "Upper bound of the noise", "Rule of thumb"]  # fmt: skip
    return Table("Errors per curve", heads, rows)


def metric_table(data: ReportData, model: Model) -> Table | None:
    """R² and RMSE on the test frames by target and bead type."""
    own = data.training[(data.training["variant"] == model.name) & (data.training["split"] == "test")]
    if own.empty:
        return None
    rows = []
    for target in TARGETS.values():
        for bead_type in ("all", *data.system.type_names):
            part = own[(own["target"] == target.name) & (own["bead_type"] == bead_type)]
            if part.empty:
                continue
            r2 = float(part["r2"].mean())
            share = share_of_ceiling(data, r2) if target.name == ALL_ATOM_FORCES and bead_type == "all" else ""
            rows.append(
                Row([
                    Cell(f"{target.label}, {bead_type}"),
                    Cell(spread(part["r2"]), r2, (share,) if share else ()),
                    Cell(f"{spread(part['rmse'])} {target.unit_symbol}", float(part["rmse"].mean())),
                ])
            )  # fmt: skip
    return Table("Metrics on the test frames", ["Target, beads", "R²", "RMSE"], rows)


def comparisons_of_model(data: ReportData, model: Model) -> Table | None:
    """What the tests say of this model against each other one."""
    table = data.tables.get("comparisons")
    if table is None:
        return None
    metrics, rows = [shown.name for shown in shown_metrics(table)], []
    for other in data.palette.models:
        pairs = table[
            ((table["variant_a"] == model.name) & (table["variant_b"] == other.name))
            | ((table["variant_b"] == model.name) & (table["variant_a"] == other.name))
        ].set_index("metric")
        if pairs.empty:
            continue
        cells = [model_cell(other)]
        for metric in metrics:
            if metric not in pairs.index:
                cells.append(Cell(NOTHING))
                continue
            pair = pairs.loc[metric]
            first = pair["variant_a"] == model.name
            outcome = str(pair["outcome"]) if first else _TURNED.get(str(pair["outcome"]), str(pair["outcome"]))
            p = f"p {p_value(pair['p_holm'])}" if known(pair["p_holm"]) else "not tested"
            cells.append(Cell(outcome, notes=(p,), tone="bad" if outcome == "worse" else ""))
        rows.append(Row(cells, data.palette.colour(other.name)))
    heads = ["Than", *(PRESENTATIONS[metric].title for metric in metrics)]
    return Table(f"{model.label} against the other models", heads, rows, texts=True) if rows else None


def _usage(cards: Sequence[Card]) -> Usage | None:
    if not cards:
        return None
    first = cards[0]
    return Usage(first.folder, [card.folder for card in cards[1:]], first.pair_lines, first.commands, first.bead_types)
