"""The report page: one HTML file that holds everything it shows and fetches nothing.

Text from configs, tables and file names is escaped by the templates; figures are embedded as images, so
that nothing inside them can run.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import jinja2
import yaml

from ..forcefield.architecture import SolvedArchitecture
from ..forcefield.registry import architecture_of
from ..provenance.record import config_hash
from ..results.published import OLOWOOKERE_2025
from ..results.verdict import answers, exclusions, stability, verdicts
from ..runtime.atomic_files import whole_file
from ..structure.error_tables import shown_metrics
from ..structure.metrics import PRESENTATIONS
from ..structure.spec import StructureSpec
from .data import ReportData
from .models import model_pages
from .networks import ceiling_table, ceiling_warnings, failures_table, spread_table, training_table
from .parts import number, plain_table, setting
from .runtime import runtime_table
from .speed import differences_from_paper, paper_settings, paper_table, performance_settings, performance_table
from .tables import (
    comparison_table,
    item_table,
    main_table,
    noise_table,
    runs_table,
    unstable_table,
)

_TEMPLATES = Path(__file__).parent / "templates"
#: Sections of the page in order, as links name them.
SECTIONS = {
    "verdict": "Verdict", "models": "Models", "structure": "Structure", "statistics": "Statistics",
    "stability": "Stability", "pictures": "Pictures", "speed": "Speed", "ensemble": "Ensemble",
    "training": "Training", "forces": "Forces", "methods": "Methods", "provenance": "Provenance",
}  # fmt: skip


def template(name: str) -> jinja2.Template:
    """A template of the pages; what it is given is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"setting": setting, "number": number, "shell": shlex.quote, "quoted": _quoted}
    return environment.get_template(name)


def _quoted(text: str) -> str:
    """Text as Python writes it in double quotes."""
    return json.dumps(text, ensure_ascii=False)


def write_report(path: str | Path, data: ReportData) -> None:
    """Write the page, whole or not at all."""
    with whole_file(path) as partial:
        partial.write_text(render(data), encoding="utf-8")


def render(data: ReportData) -> str:
    """The page as text."""
    models, comparisons = data.palette.models, data.tables.get("comparisons")
    figures = {name: [figure for figure in data.figures if figure.section == name] for name in SECTIONS}
    return template("report.html.j2").render(
        data=data,
        sections=[(name, title) for name, title in SECTIONS.items() if name != "pictures" or figures[name]],
        unstable=bool((data.runs["stability"] != "stable").any()),
        verdicts=verdicts(data.summary, comparisons),
        answers=[] if comparisons is None else answers(comparisons, {model.name: model.kind for model in models}),
        stability=stability(data.summary, [model.name for model in models], data.runs),
        exclusions=exclusions(data.networks),
        thumbs=_rules_of_thumb(data),
        figures=figures,
        main_table=main_table(data),
        item_tables=[item_table(data, metric) for metric in PRESENTATIONS],
        comparison_table=comparison_table(data),
        noise_table=noise_table(data),
        performance_table=performance_table(data),
        performance_settings=performance_settings(data),
        paper=OLOWOOKERE_2025,
        paper_table=paper_table(),
        paper_settings=paper_settings(),
        unlike_paper=differences_from_paper(data),
        training_table=training_table(data),
        failures_table=failures_table(data),
        ceiling_table=ceiling_table(data),
        ceiling_warnings=ceiling_warnings(data),
        spread_table=spread_table(data),
        runs_table=runs_table(data),
        unstable_table=unstable_table(data),
        students_table=plain_table("Students and the weights of their losses", data.students),
        gradient_table=plain_table("Forces are the negative gradient of the energy", data.tables.get("check")),
        runtime_table=runtime_table(data.runtime),
        pages=model_pages(data),
        curves=_curves(data),
        parameters=_parameters(data),
        **_architecture_words(data),
        weights=_weights(data),
        config_text=yaml.safe_dump(dict(data.config), sort_keys=False, allow_unicode=True, width=100),
        config_sha256=config_hash(data.config),
    )


def _rules_of_thumb(data: ReportData) -> list[tuple[str, str]]:
    """Rules of thumb by metric, in words."""
    metrics = [shown for shown in shown_metrics(data.summary) if shown.rule_of_thumb is not None]
    return [(shown.title, shown.error_text(f"{shown.threshold:g}")) for shown in metrics]


def _curves(data: ReportData) -> str:
    """Phrases on the curves of all metrics."""
    spec = StructureSpec.from_config(data.config["structure"])
    return "; ".join(PRESENTATIONS[name].methods(own) for name, own in spec.settings.items() if spec.parameters(name))


def _parameters(data: ReportData) -> str:
    """Number of parameters of a network, where all have the same."""
    found = {count for cards in data.cards.values() for card in cards for count in card.parameters.values()}
    return f"{found.pop():,}" if len(found) == 1 else ""


def _architecture_words(data: ReportData) -> dict[str, str]:
    """Sentences on the models, and on their training where it is not by epochs (else empty)."""
    settings = data.config["network"]
    architecture = architecture_of(settings)
    solved_by = architecture.training_methods(settings) if isinstance(architecture, SolvedArchitecture) else ""
    return {"models_are": architecture.methods(settings), "solved_by": solved_by}


def _weights(data: ReportData) -> list[tuple[str, Any]]:
    """Checksums of the weights of all networks, each once."""
    found: dict[str, str] = {}
    for cards in data.cards.values():
        for card in cards:
            for name, digest in card.digests.items():
                found.setdefault(digest, name if name.startswith("seed") and card.variant.startswith("T")
                                 else f"{card.variant}/{card.member}")  # fmt: skip
    return [(name, digest) for digest, name in found.items()]
