"""The page of a study: its cells, their results side by side, and what they have in common; one file, as the report."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
import yaml

from .. import __version__
from ..figures.study import (
    CellAxis,
    cell_axis,
    models_of,
    setting_text,
    setting_words,
    tae_columns,
    varying,
    words_and_unit,
)
from ..figures.style import Palette
from ..runtime.atomic_files import whole_file
from ..structure.metrics import PRESENTATIONS
from .figures import ReportFigure
from .page import template
from .parts import NOTHING, Cell, Row, Table, known, number
from .tables import error_cell, metric_head

_SECTIONS = {"cells": "Cells", "figure": "Figure", "results": "Results", "rerun": "Rerun", "methods": "Methods"}
#: A name of this number of letters is broken into lines.
_LONG = 32
#: Parts of the config that change no result.
_UNSAID = ("pictures", "resources")
#: Settings, or parts of the config, that change what results are measured by, and what then does not compare.
_MEASURES = {
    "structure.": "Errors of cells that differ in {} are sums over other curves, and do not compare.",
    "aa.": "Cells that differ in {} are compared with other all-atom data.",
    "mapping.": "Cells that differ in {} are compared with other all-atom data.",
    **{
        key: "R² and RMSE of cells that differ in {} are those on other test frames."
        for key in ("seed", "split.train", "split.valid", "split.test", "split.method")
    },
    "statistics.": "Intervals and noise of cells that differ in {} do not compare.",
}


def write_page(path: str | Path, **content: Any) -> None:
    """Write the page, whole or not at all; ``content`` as for `render`."""
    text = render(folder=Path(path).parent, **content)
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def render(
    folder: Path,
    study: str,
    table: pd.DataFrame,
    settings: Mapping[str, str],
    reports: Mapping[str, Path],
    shared: Mapping[str, Any],
    figure: Sequence[Path],
    command: str,
) -> str:
    """The page as text.

    Parameters
    ----------
    folder: where the page will lie; links are relative to it.
    table: of `study.study_table`.
    settings: its columns of settings, and the key of the config that each stands for.
    reports: page of each cell; one that is not there is not linked.
    shared: the config as far as it is the same in all cells.
    figure: SVG and PNG.
    command: what a user types to make one cell again.
    """
    keys = varying(table, list(settings))
    links = {name: _link(report, folder) for name, report in reports.items()}
    confidence = _confidence(shared)
    caption = _caption(cell_axis(table, list(settings)), confidence)
    return template("study.html.j2").render(
        title=study,
        sections=_SECTIONS,
        version=__version__,
        keys=[(setting_words(key, "{} ({})"), settings[key]) for key in keys],
        n_cells=len(reports),
        cells_table=cells_table(table, keys, links),
        figures=[ReportFigure("study", "figure", "Errors, forces, stability and speed", caption, tuple(figure))],
        results_table=results_table(table, keys, links),
        notes=_notes([settings[key] for key in keys]),
        confidence=confidence,
        command=command,
        shared=_in_words(shared),
        shared_text=yaml.safe_dump(dict(shared), sort_keys=False, allow_unicode=True, width=100),
    )


def _link(report: Path, folder: Path) -> str:
    """Relative address of a page; empty where there is none."""
    return quote(Path(os.path.relpath(report, folder)).as_posix()) if Path(report).is_file() else ""


def _confidence(shared: Mapping[str, Any]) -> str:
    """Of the intervals: ``95 % ``; empty where cells differ."""
    value = shared.get("statistics", {}).get("confidence")
    return f"{100 * value:g} % " if known(value) else ""


def _caption(axis: CellAxis, confidence: str) -> str:
    """What the figure shows."""
    *first, last = (shown.title for shown in PRESENTATIONS.values())
    metrics = f"{', '.join(first)} and {last}"
    text = (
        f"Mean over the finished runs of each model: total absolute error (TAE) of {metrics} against the "
        f"all-atom reference with its {confidence}interval; R² on all-atom forces of the test frames; share of the "
        "runs that are stable; ns/day of a run. Hollow: some runs did not finish, and their errors are not known."
    )
    if axis.numeric:
        return f"{text} Models of one cell are drawn side by side, at the same value. Lines guide the eye."
    return text + (f" Below the cells, {axis.label}." if axis.label else "")


def _notes(keys: Sequence[str]) -> list[str]:
    """What does not compare between cells that differ in these keys of the config."""
    found: dict[str, list[str]] = {}
    for key in keys:
        for part, sentence in _MEASURES.items():
            if key == part or part.endswith(".") and key.startswith(part):
                found.setdefault(sentence, []).append(key)
    return [sentence.format(" or ".join(named)) for sentence, named in found.items()]


def _in_words(shared: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Settings by part of the config, those left out that change no result or are not used."""
    unused = {"files": ("system", "protocol"), "gromacs": ("files",), "openmm": ("files",)}
    source = shared.get("aa", {}).get("source", "")
    facts = []
    for part, value in shared.items():
        if part in _UNSAID:
            continue
        if part == "aa":
            value = {key: item for key, item in value.items() if key not in unused.get(source, ())}
        if isinstance(value, Mapping):
            text = "; ".join(_fact(key, leaf) for key, leaf in leaves(value) if leaf is not None)
        else:
            text = _text(value)
        if text:
            facts.append((part, text))
    return facts


def leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted key and value of everything in a config that is no mapping."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _fact(key: str, value: Any) -> str:
    words, unit = words_and_unit(key)
    return f"{words} {_text(value)}" + (f" {unit}" if unit else "")


def _text(value: Any) -> str:
    """A value in words: items of lists one after another."""
    if isinstance(value, list):
        return ", ".join("-".join(map(str, item)) if isinstance(item, list) else _text(item) for item in value)
    return str(value).lower() if isinstance(value, bool) else setting_text(value)


def _setting_cell(value: Any) -> Cell:
    """A setting; numbers sort by value."""
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return Cell(setting_text(value), float(value) if plain and known(value) else None)


def _cell_cell(name: str, place: int, links: Mapping[str, str]) -> Cell:
    """The cell's name; it leads to the cell's page and sorts as in the table of the study."""
    return Cell(name, float(place), href=links.get(name, ""), wrap=len(name) > _LONG)


def _share(part: float, whole: float) -> Cell:
    """``3 of 4``; less than all stands out."""
    if not (known(part) and known(whole) and whole > 0):
        return Cell(NOTHING)
    return Cell(f"{part:g} of {whole:g}", float(part / whole), tone="bad" if part < whole else "")


def cells_table(table: pd.DataFrame, keys: Sequence[str], links: Mapping[str, str]) -> Table:
    """The cells: what differs, how many models and runs each has."""
    rows = []
    for place, (name, own) in enumerate(table.groupby("cell", sort=False)):
        runs, finished, stable = (float(own[column].sum()) for column in ("n_runs", "n_finished", "n_stable"))
        rows.append(
            Row([
                _cell_cell(str(name), place, links),
                *(_setting_cell(own[key].iloc[0]) for key in keys),
                Cell(str(len(own)), float(len(own))),
                _share(finished, runs),
                _share(stable, runs),
            ])
        )  # fmt: skip
    heads = [setting_words(key, "{} ({})") for key in keys]
    return Table("Cells", ["Cell", *heads, "Models", "Finished runs", "Stable runs"], rows)


def results_table(table: pd.DataFrame, keys: Sequence[str], links: Mapping[str, str]) -> Table:
    """Every model in every cell, model by model."""
    models, names = models_of(table)
    palette, order = Palette(models), {model.name: place for place, model in enumerate(models)}
    places = {name: place for place, name in enumerate(dict.fromkeys(table["cell"]))}
    metrics = {
        metric: columns for metric in PRESENTATIONS
        if table[(columns := tae_columns(metric))["mean"]].notna().any()
    }  # fmt: skip
    reach = {
        metric: float(table[[columns[name] for name in ("mean", "ci_high", "noise_high")]].max().max())
        for metric, columns in metrics.items()
    }
    rows = []
    for model, (_, row) in sorted(zip(names, table.iterrows(), strict=True), key=lambda entry: order[entry[0]]):
        errors = [pd.Series({name: row[column] for name, column in columns.items()}) for columns in metrics.values()]
        cells = [
            Cell(str(row["label"]), float(order[model])),
            _cell_cell(str(row["cell"]), places[row["cell"]], links),
            *(error_cell(error, reach[metric]) for error, metric in zip(errors, metrics, strict=True)),
            _share(row["n_finished"], row["n_runs"]),
            _share(row["n_stable"], row["n_runs"]),
            *(Cell(number(row[name]), float(row[name])) for name in ("r2_F", "rmse_F_kcal_mol_A", "ns_per_day")),
            *(_setting_cell(row[key]) for key in keys),
        ]
        rows.append(Row(cells, palette.colour(model), bad=bool(row["n_finished"] == 0)))
    heads = [metric_head(metric, "TAE ") for metric in metrics]
    heads += ["Finished runs", "Stable runs", "R² on F", "RMSE on F (kcal/mol/Å)", "ns/day"]
    heads += [setting_words(key, "{} ({})") for key in keys]
    return Table("Every model in every cell", ["Model", "Cell", *heads], rows)
