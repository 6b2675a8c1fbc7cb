"""Gather what the report page shows from the files of a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from . import __version__
from .beads import BeadFile
from .collect import PERFORMANCE_COLUMNS
from .config import student_rows
from .errors import InputError
from .facts import model_facts, simulation_facts, system_facts
from .figures.style import Palette
from .report import ReportData, ReportFigure
from .tables import read_provenance, read_table

#: Section and title of each figure, by stem, in the order of the page; those of the ADF are by radius.
_PLACES = {
    "tae_overall": ("structure", "Total absolute error of all models"),
    "rdf": ("structure", "Radial distribution functions"),
    "tae_rdf": ("structure", "Errors of the RDF per pair"),
    "adf": ("structure", "Angular distribution functions, both neighbours within {radius} Å"),
    "tae_adf": ("structure", "Errors of the ADF per triplet and radius"),
    "cdf": ("structure", "Cluster distribution functions"),
    "tae_cdf": ("structure", "Errors of the CDF per type"),
    "energy": ("stability", "Potential energy of the simulations"),
    "training_r2": ("training", "R² on the test frames"),
    "training_teachers": ("training", "Training of the teachers"),
    "training_students": ("training", "Training of the students"),
    "parity_teachers": ("forces", "Forces of teachers against all-atom forces"),
    "parity_students": ("forces", "Forces of students against the mean of the teachers"),
    "prior": ("forces", "Short-range prior"),
}
#: Captions shared by several figures.
_CAPTION_OF = {"tae_rdf": "tae_items", "tae_adf": "tae_items", "tae_cdf": "tae_items"}


def render_captions(paths: Iterable[str | Path], **context: Any) -> dict[str, str]:
    """Captions by name, with the values of ``context`` filled in.

    Raises
    ------
    InputError
        A caption names a value that does not exist.
    """
    captions = {}
    for path in map(Path, paths):
        try:
            template = jinja2.Template(path.read_text(encoding="utf-8"), undefined=jinja2.StrictUndefined)
            captions[path.stem] = " ".join(template.render(context).split())
        except jinja2.UndefinedError as error:
            raise InputError(path, "caption", error, "names of values that exist") from None
    return captions


def place_figures(paths: Iterable[str | Path], captions: Mapping[str, str]) -> list[ReportFigure]:
    """Figures in the order of the page, each with section, title and caption; of the ADF the last radius is open."""
    files = [Path(path) for path in paths]
    widest = max((float(path.stem[4:-1]) for path in files if path.stem.startswith("adf_")), default=0.0)
    placed = []
    for path in files:
        kind, radius = ("adf", path.stem[4:-1]) if path.stem.startswith("adf_") else (path.stem, "")
        if kind not in _PLACES:
            raise InputError(path, "figure", path.stem, f"one of {', '.join(_PLACES)}")
        section, title = _PLACES[kind]
        caption = captions.get(_CAPTION_OF.get(kind, kind), "")
        order = (list(_PLACES).index(kind), float(radius or 0))
        title, folded = title.format(radius=radius), kind == "adf" and float(radius) < widest
        placed.append((order, ReportFigure(path.stem, section, title, caption, path, folded)))
    return [figure for _, figure in sorted(placed, key=lambda pair: pair[0])]


def gather(
    run: str,
    config: Mapping[str, Any],
    palette: Palette,
    tables: Mapping[str, str | Path],
    beads: str | Path,
    split: str | Path,
    figures: Iterable[str | Path],
    captions: Mapping[str, str],
) -> ReportData:
    """Read all that the page shows.

    Parameters
    ----------
    tables: files by name: summary, runs, performance, training, check, students (the last tab-separated).
    figures: SVG files.
    captions: text by name of `render_captions`.
    """
    with BeadFile(beads) as file:
        inputs = dict(file.provenance.get("inputs", {}))
    versions = read_provenance(tables["performance"]).get("versions", {})
    return ReportData(
        run=run,
        config=config,
        palette=palette,
        summary=read_table(tables["summary"], ["variant", "label", "metric", "item", "mean", "std", "n", "n_failed"]),
        runs=read_table(tables["runs"], ["variant", "label", "member", "replica", "status"]),
        performance=read_table(tables["performance"], PERFORMANCE_COLUMNS),
        training=read_table(tables["training"], ["variant", "split", "target", "r2"]),
        gradient_check=read_table(tables["check"], ["teacher"]),
        students=pd.DataFrame(student_rows(tables["students"])[1]),
        facts={
            "System": system_facts(beads, split, config),
            "Models": model_facts(config),
            "Simulations and analysis": simulation_facts(config),
        },
        figures=place_figures(figures, captions),
        provenance={
            "version": __version__,
            "inputs": inputs,
            "versions": versions,
            "values": {
                "Seed": config["seed"],
                "Seeds of the teachers": ", ".join(map(str, config["teachers"]["seeds"])),
            },
        },
    )
