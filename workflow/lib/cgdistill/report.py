"""The report page: one HTML file that holds everything it shows and fetches nothing.

Text from configs, tables and file names is escaped by the template; figures are embedded as images, so
that nothing inside them can run.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
import yaml

from .facts import Facts
from .figures.style import Palette
from .figures.tae import METRIC_TITLES, OVERALL, RULES_OF_THUMB, TAE_UNITS, rows_of, value_text
from .figures.training import TARGET_LABELS
from .paper import OLOWOOKERE_2025
from .provenance import config_hash, whole_file
from .verdict import stability, verdicts

_TEMPLATES = Path(__file__).parent / "templates"
#: Above so many rows a table is folded.
_LONG = 14
#: Settings of simulations that their speed depends on: head of a column, and words for a sentence.
_SETTINGS = {
    "n_beads": ("Beads", "{} beads"),
    "timestep_fs": ("Step (fs)", "time step {} fs"),
    "device": ("Device", "device {}"),
    "threads": ("Threads", "threads: {}"),
}
#: Settings of the network in words, where they are not those of the paper.
_NETWORK_WORDS = {
    "tensor_order": "tensor order {}",
    "n_interaction_layers": "interaction layers: {}",
    "n_atom_layers": "atom layers: {}",
    "n_sensitivities": "sensitivities: {}",
    "n_features": "features: {}",
    "cutoff_A": "cutoff {} Å",
}


@dataclass(frozen=True)
class ReportFigure:
    """One figure of the page: ``section`` is structure, stability, training or forces; folded ones open on a click."""

    stem: str
    section: str
    title: str
    caption: str
    svg: Path
    folded: bool = False

    def source(self) -> str:
        """The figure as a data URI."""
        return "data:image/svg+xml;base64," + base64.b64encode(self.svg.read_bytes()).decode("ascii")


@dataclass(frozen=True)
class Table:
    """Rows of plain text; ``marked`` rows stand out, ``swatches`` are the colours before the first column.

    ``texts``: align to the left.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    swatches: Sequence[str] = ()
    marked: frozenset[int] = frozenset()
    texts: bool = False

    @property
    def long(self) -> bool:
        """Whether it should be folded."""
        return len(self.rows) > _LONG


@dataclass(frozen=True)
class ReportData:
    """What the page is made from.

    Attributes
    ----------
    run: name of the run.
    config: the whole config.
    summary, runs, performance, training: tables of the run.
    gradient_check: per teacher, forces against finite differences of the energy; None without.
    students: rows of the students' table (name, label, teacher and weights); None without.
    facts: sections of what was run, by title.
    provenance: ``inputs`` (checksums by name), ``versions`` (by program), further plain values.
    """

    run: str
    config: Mapping[str, Any]
    palette: Palette
    summary: pd.DataFrame
    runs: pd.DataFrame
    performance: pd.DataFrame
    training: pd.DataFrame
    gradient_check: pd.DataFrame | None
    students: pd.DataFrame | None
    facts: Mapping[str, Facts]
    figures: Sequence[ReportFigure]
    provenance: Mapping[str, Any]


def write_report(path: str | Path, data: ReportData) -> None:
    """Write the page, whole or not at all."""
    with whole_file(path) as partial:
        partial.write_text(render(data), encoding="utf-8")


def render(data: ReportData) -> str:
    """The page as text."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    names = [model.name for model in data.palette.models]
    return environment.get_template("report.html.j2").render(
        data=data,
        ensemble=ensemble_label(data),
        unstable=bool((data.runs["status"] != "finished").any()),
        verdicts=verdicts(data.summary),
        stability=stability(data.summary, names),
        thumbs=[
            (METRIC_TITLES[metric], f"{limit:g}{' ' + TAE_UNITS[metric] if TAE_UNITS[metric] else ''}")
            for metric, limit in RULES_OF_THUMB.items()
        ],
        sections={
            name: [figure for figure in data.figures if figure.section == name]
            for name in ("structure", "stability", "training", "forces")
        },
        summary_table=summary_table(data),
        item_tables=[(METRIC_TITLES[metric], item_table(data, metric)) for metric in METRIC_TITLES],
        performance_table=performance_table(data),
        performance_settings=performance_settings(data),
        paper=OLOWOOKERE_2025,
        paper_table=paper_table(),
        paper_settings=paper_settings(),
        unlike_paper=unlike_paper(data),
        training_table=training_table(data),
        runs_table=runs_table(data),
        students_table=plain_table(data.students),
        gradient_table=plain_table(data.gradient_check),
        config_text=yaml.safe_dump(dict(data.config), sort_keys=False, allow_unicode=True, width=100),
        config_sha256=config_hash(data.config),
    )


def _cell(value: Any) -> str:
    """A value as the reader wants to see it."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}" if value != round(value) or abs(value) >= 1e6 else f"{value:.0f}"
    return str(value)


def _spread(values: pd.Series) -> str:
    """Mean and standard deviation of some values."""
    known = values.dropna()
    return value_text(float(known.mean()), float(known.std(ddof=1))) if len(known) else "–"


def plain_table(table: pd.DataFrame | None) -> Table | None:
    """All rows and columns of a table."""
    if table is None or table.empty:
        return None
    rows = [[_cell(value) for value in row] for row in table.itertuples(index=False, name=None)]
    return Table([_words(column) for column in table.columns], rows, texts=True)


def _words(column: str) -> str:
    """A column name for the page: ``rms_force_kcal_mol_A`` -> ``rms force / kcal/mol/Å``."""
    units = {
        "_kcal_mol_A": "kcal/mol/Å", "_kcal_mol": "kcal/mol", "_ps": "ps", "_fs": "fs", "_K": "K", "_A": "Å",
        "_atm": "atm", "_s": "s",
    }  # fmt: skip
    if column == "ns_per_day":
        return "ns/day"
    for ending, unit in units.items():
        if column.endswith(ending):
            return f"{column[: -len(ending)].replace('_', ' ')} ({unit})"
    return column.replace("w_e", "w_ε") if column.startswith("w_") else column.replace("_", " ")


def summary_table(data: ReportData) -> Table:
    """Overall errors of all models; the lowest of each metric is starred."""
    metrics = [metric for metric in METRIC_TITLES if (data.summary["metric"] == metric).any()]
    by_metric = {metric: rows_of(data.summary, metric, OVERALL) for metric in metrics}
    lowest = {metric: rows["mean"].idxmin() for metric, rows in by_metric.items() if rows["mean"].notna().any()}
    rows: list[list[str]] = []
    swatches, marked = [], set()
    for model in data.palette.models:
        row, failed = [model.label], 0
        for metric in metrics:
            if model.name not in by_metric[metric].index:
                row.append("–")
                continue
            own = by_metric[metric].loc[model.name]
            star = " ★" if lowest.get(metric) == model.name else ""
            row.append(value_text(own["mean"], own["std"]) + star if math.isfinite(own["mean"]) else "–")
            finished, failed = int(own["n"]), int(own["n_failed"])
        if failed:
            marked.add(len(rows))
        rows.append([*row, str(finished), str(failed)])
        swatches.append(data.palette.colour(model.name))
    heads = [METRIC_TITLES[m] + (f" ({TAE_UNITS[m]})" if TAE_UNITS[m] else "") for m in metrics]
    return Table(["Model", *heads, "Finished runs", "Failed"], rows, swatches, frozenset(marked))


def item_table(data: ReportData, metric: str) -> Table | None:
    """Errors per pair, triplet and radius, or type: one column per model."""
    own = data.summary[(data.summary["metric"] == metric) & (data.summary["item"] != OVERALL)]
    keys = list(own[["item", "r_max_A"]].drop_duplicates().itertuples(index=False, name=None))
    if not keys:
        return None
    rows = []
    for item, radius in keys:
        found = rows_of(own, metric, item, radius)
        cells = [
            value_text(found.loc[model.name, "mean"], found.loc[model.name, "std"])
            if model.name in found.index and math.isfinite(found.loc[model.name, "mean"])
            else "–"
            for model in data.palette.models
        ]
        rows.append([item + (f", {radius:g} Å" if metric == "adf" else ""), *cells])
    return Table(["Item", *(model.label for model in data.palette.models)], rows)


def _setting(value: Any) -> str:
    return f"{value:,.6g}" if isinstance(value, int | float) and not math.isnan(value) else _cell(value)


def _settings_of(table: pd.DataFrame) -> dict[str, list[Any]]:
    """Values of `_SETTINGS` that some simulations have, each once."""
    return {name: sorted(table[name].dropna().unique().tolist()) for name in _SETTINGS}


def _in_words(settings: Mapping[str, Sequence[Any]], network: Mapping[str, Any]) -> str:
    """Those settings that have one value, and the cutoff of the network."""
    single = {name: values[0] for name, values in settings.items() if len(values) == 1}
    words = [_SETTINGS[name][1].format(_setting(value)) for name, value in single.items()]
    return ", ".join([*words, _NETWORK_WORDS["cutoff_A"].format(_setting(network["cutoff_A"]))])


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


def performance_table(data: ReportData) -> Table:
    """Speed of each model: of a run, of the runs that share a job, and its ratio to all teachers at each step.

    Beads, time step, device and threads get a column where they are not the same in all simulations
    (`performance_settings` has the others).
    """
    table, ensemble = data.performance, ensemble_label(data)
    per_variant = {model.name: table[table["variant"] == model.name] for model in data.palette.models}
    reference = next((model.name for model in data.palette.models if model.family == "T8"), None)
    together = {name: _together(own)["ns_per_day_together"].mean() for name, own in per_variant.items()}
    differing = [name for name, values in _settings_of(table).items() if len(values) != 1]
    rows, swatches = [], []
    for model in data.palette.models:
        own = per_variant[model.name]
        if own.empty:
            continue
        jobs = _together(own)
        ratio = together[model.name] / together[reference] if reference in together else math.nan
        rows.append([
            model.label,
            _spread(own["ns_per_day"]),
            f"{_spread(jobs['ns_per_day_together'])} ({jobs['runs_together'].iloc[0]:.0f})" if len(jobs) else "–",
            f"{ratio:.2f}" if math.isfinite(ratio) else "–",
            str(len(data.config["teachers"]["seeds"]) if model.family == "T8" else 1),
            *(", ".join(map(_setting, values)) or "–"
              for name, values in _settings_of(own).items() if name in differing),
        ])  # fmt: skip
        swatches.append(data.palette.colour(model.name))
    heads = ["Model", "ns/day of a run", "ns/day of a job (runs)", f"Speed / {ensemble}", "Networks"]
    return Table([*heads, *(_SETTINGS[name][0] for name in differing)], rows, swatches)


def paper_table() -> Table:
    """Speeds of the paper."""
    paper = OLOWOOKERE_2025
    rows = [
        [family, f"{speed:.2f}", f"{speed / paper.ns_per_day['T8']:.2f}", str(paper.n_networks[family])]
        for family, speed in paper.ns_per_day.items()
    ]
    return Table(["Model", "ns/day of a run", "Speed / T8", "Networks"], rows)


def unlike_paper(data: ReportData) -> list[str]:
    """In what the simulations differ from those of the paper, as far as one can know; empty: in hardware alone."""
    paper, network, seeds = OLOWOOKERE_2025, data.config["network"], data.config["teachers"]["seeds"]
    pairs = [
        (words, [_setting(value) for value in values], _setting(getattr(paper, name)))
        for (name, values), (_, words) in zip(_settings_of(data.performance).items(), _SETTINGS.values(), strict=True)
    ]
    pairs += [
        (words, [_setting(network[name])], _setting(paper.network[name])) for name, words in _NETWORK_WORDS.items()
    ]
    pairs.append(("teachers: {}", [str(len(seeds))], str(paper.n_networks["T8"])))
    return [
        words.format(f"{' or '.join(own) or 'unknown'} instead of {theirs}")
        for words, own, theirs in pairs
        if own != [theirs]
    ]


def ensemble_label(data: ReportData) -> str:
    """Label of the model that evaluates all teachers at each step."""
    return next((model.label for model in data.palette.models if model.family == "T8"), "T8")


def training_table(data: ReportData) -> Table:
    """R² and RMSE on the test frames by target, mean and standard deviation over the members of a variant."""
    own = data.training[data.training["split"] == "test"]
    if "bead_type" in own.columns:
        own = own[own["bead_type"] == "all"]
    targets = [target for target in TARGET_LABELS if (own["target"] == target).any()]
    rows, swatches = [], []
    for model in data.palette.models:
        part = own[own["variant"] == model.name]
        if part.empty:
            continue
        row = [model.label, str(part["member"].nunique())]
        for target in targets:
            chosen = part[part["target"] == target]
            row += [_spread(chosen["r2"]), _spread(chosen["rmse"])]
        rows.append(row)
        swatches.append(data.palette.colour(model.name))
    heads = ["Model", "Networks"]
    for target in targets:
        unit = own.loc[own["target"] == target, "unit"].iloc[0].replace("/A", "/Å")
        heads += [f"R² {target.replace('epsilon', 'ε')}", f"RMSE {target.replace('epsilon', 'ε')} ({unit})"]
    return Table(heads, rows, swatches)


def runs_table(data: ReportData) -> Table:
    """Every simulation; failed ones are marked."""
    wanted = ["label", "member", "replica", "status", "reason", "n_frames", "equilibrated_ps", "n_effective",
              "mean_temperature_K", "ns_per_day"]  # fmt: skip
    columns = [column for column in wanted if column in data.runs.columns]
    rows = [[_cell(value) for value in row] for row in data.runs[columns].itertuples(index=False, name=None)]
    marked = frozenset(int(row) for row in (data.runs["status"] != "finished").to_numpy().nonzero()[0])
    return Table([_words(column) for column in columns], rows, (), marked, texts=True)
