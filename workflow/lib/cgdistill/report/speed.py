"""Speed of the simulations on the report page, beside that of the paper and what makes the two differ."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from ..forcefield.registry import architecture_of
from ..results.published import OLOWOOKERE_2025
from .data import ReportData
from .parts import NOTHING, Cell, Row, Table, model_cell, setting, spread

#: Settings of simulations that their speed depends on: head of a column, and words for a sentence.
_SETTINGS = {
    "n_beads": ("Beads", "{} beads"),
    "timestep_fs": ("Step (fs)", "time step {} fs"),
    "device": ("Device", "device {}"),
    "threads": ("Threads", "threads: {}"),
}


def _settings_of(table: pd.DataFrame) -> dict[str, list[Any]]:
    """Values of `_SETTINGS` that some simulations have, each once."""
    return {name: sorted(table[name].dropna().unique().tolist()) for name in _SETTINGS}


def _in_words(settings: Mapping[str, Sequence[Any]], network: Mapping[str, Any]) -> str:
    """Those settings that have one value, and the cutoff of the network."""
    single = {name: values[0] for name, values in settings.items() if len(values) == 1}
    words = [_SETTINGS[name][1].format(setting(value)) for name, value in single.items()]
    return ", ".join([*words, architecture_of(network).words["cutoff_A"].format(setting(network["cutoff_A"]))])


def performance_settings(data: ReportData) -> str:
    """What all simulations have in common of the settings that the table of speeds therefore leaves out."""
    return _in_words(_settings_of(data.performance), data.config["network"])


def paper_settings() -> str:
    """The same for the simulations of the paper."""
    return _in_words({name: [getattr(OLOWOOKERE_2025, name)] for name in _SETTINGS}, OLOWOOKERE_2025.network)


def _together(table: pd.DataFrame) -> pd.DataFrame:
    """One row per job, of the jobs with the most runs; nothing where the records do not tell."""
    known = table.dropna(subset=["runs_together", "ns_per_day_together"])
    full = known[known["runs_together"] == known["runs_together"].max()]
    # All runs of a job have the same speed together to the last bit, and no other job has it.
    return full.drop_duplicates("ns_per_day_together")


def speed_by_job(table: pd.DataFrame) -> pd.Series:
    """Speed of a run in each job: runs that share one advance together, their spread tells nothing."""
    jobs = table["ns_per_day_together"].fillna(pd.Series(table.index, table.index, dtype=float))
    means: pd.Series = table.groupby(jobs)["ns_per_day"].mean()
    return means


def performance_table(data: ReportData) -> Table:
    """Speed of each model: of a run, of the runs that share a job, and its ratio to all teachers at each step.

    Beads, time step, device and threads get a column where they are not the same in all simulations
    (`performance_settings` has the others).
    """
    table = data.performance
    per_variant = {model.name: table[table["variant"] == model.name] for model in data.palette.models}
    reference = next((model.name for model in data.palette.models if model.family == "T8"), None)
    together = {name: float(_together(own)["ns_per_day_together"].mean()) for name, own in per_variant.items()}
    differing = [name for name, values in _settings_of(table).items() if len(values) != 1]
    rows = []
    for model in data.palette.models:
        own = per_variant[model.name]
        if own.empty:
            continue
        jobs = _together(own)
        ratio = together[model.name] / together[reference] if reference in together else math.nan
        texts = spread(jobs["ns_per_day_together"])
        networks = len(data.config["teachers"]["seeds"]) if model.family == "T8" else 1
        cells = [
            model_cell(model),
            Cell(spread(speed_by_job(own)), float(own["ns_per_day"].mean())),
            Cell(f"{texts} ({jobs['runs_together'].iloc[0]:.0f})" if len(jobs) else NOTHING, together[model.name]),
            Cell(f"{ratio:.2f}" if math.isfinite(ratio) else NOTHING, ratio),
            Cell(str(networks), float(networks)),
            *(Cell(", ".join(map(setting, values)) or NOTHING)
              for name, values in _settings_of(own).items() if name in differing),
        ]  # fmt: skip
        rows.append(Row(cells, data.palette.colour(model.name)))
    heads = ["Model", "ns/day of a run", "ns/day of a job (runs)", f"Speed / {data.ensemble_label}", "Networks"]
    return Table("Speed of this run", [*heads, *(_SETTINGS[name][0] for name in differing)], rows)


def paper_table() -> Table:
    """Speeds of the paper."""
    paper = OLOWOOKERE_2025
    rows = [
        Row([
            Cell(family), Cell(f"{speed:.2f}", speed), Cell(f"{speed / paper.ns_per_day['T8']:.2f}"),
            Cell(str(paper.n_networks[family])),
        ])
        for family, speed in paper.ns_per_day.items()
    ]  # fmt: skip
    return Table("Speed in the paper", ["Model", "ns/day of a run", "Speed / T8", "Networks"], rows)


def differences_from_paper(data: ReportData) -> list[str]:
    """In what the simulations differ from those of the paper, as far as one can know; empty: in hardware alone."""
    paper, network, seeds = OLOWOOKERE_2025, data.config["network"], data.config["teachers"]["seeds"]
    pairs = [
        (words, [setting(value) for value in values], setting(getattr(paper, name)))
        for (name, values), (_, words) in zip(_settings_of(data.performance).items(), _SETTINGS.values(), strict=True)
    ]
    architecture, published = architecture_of(network), architecture_of(paper.network)
    pairs.append(("models: {}", [architecture.title], published.title))
    pairs += [
        (words, [setting(network[name])], setting(paper.network[name]))
        for name, words in architecture.words.items()
        if name in paper.network
    ]
    pairs.append(("teachers: {}", [str(len(seeds))], str(paper.n_networks["T8"])))
    return [
        words.format(f"{' or '.join(own) or 'unknown'} instead of {theirs}")
        for words, own, theirs in pairs
        if own != [theirs]
    ]
