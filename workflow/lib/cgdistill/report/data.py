"""Gather what the report page shows from the files of a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd

from .. import __version__
from ..config.students import read_students, student_row
from ..core.vocabulary import CURVE_KEY, RUN_KEY
from ..data.beads import BeadFile
from ..figures.catalogue import catalogue
from ..figures.style import Palette
from ..io.csv_tables import read_provenance, read_table
from ..results.collect_tables import PERFORMANCE_COLUMNS
from ..structure.spec import StructureSpec
from .cards import Card, read_cards
from .facts import SystemFacts, read_system
from .figures import Captions, ReportFigure, place_figures
from .runtime import read_runtime

_RUN = ["variant", "label", *RUN_KEY[1:]]
_PACKAGES = ("torch", "hippynn", "numba", "scipy", "pandas", "pymbar", "MDAnalysis", "snakemake", "matplotlib", "ovito")
#: Columns that the page needs of each table.
COLUMNS: Mapping[str, Sequence[str]] = {
    "summary": ["variant", "label", *CURVE_KEY, "mean", "std", "n", "n_failed", "ci_low", "ci_high", "noise",
                "noise_high"],
    "tae": [*_RUN, *CURVE_KEY, "tae", "status"],
    "runs": [*_RUN, "status", "stability", "onset_ps", "stability_reason"],
    "performance": PERFORMANCE_COLUMNS,
    "training": ["variant", "label", "member", "split", "target", "bead_type", "unit", "rmse", "r2"],
    "networks": ["variant", "label", "member", "status", "retries", "learning_rate", "reason", "failures"],
    "check": ["teacher"],
    "comparisons": ["metric", "variant_a", "label_a", "variant_b", "label_b", "test", "n_a", "n_b", "mean_a", "mean_b",
                    "difference", "ci_low", "ci_high", "p", "p_holm", "outcome", "reason"],
    "noise": [*CURVE_KEY, "halves", "random_halves", "random_halves_high", "n_frames", "statistical_inefficiency"],
    "ceiling": ["bead_type", "lower", "estimate", "upper", "ci_low", "ci_high", "r2_one_teacher", "r2_mean_teacher",
                "r2_infinite", "warning"],
    "spread": ["source", "label", "bead_type", "neighbour_type", "r_low_A", "r_high_A", "n", "force_rms_kcal_mol_A",
               "force_spread_kcal_mol_A", "epsilon_spread_kcal_mol"],
}  # fmt: skip
#: Tables that a run need not have.
_OPTIONAL = ("tae", "check", "comparisons", "noise", "ceiling", "spread")


@dataclass(frozen=True)
class ReportData:
    """What the page is made from.

    Attributes
    ----------
    run: name of the run.
    config: the whole config.
    tables: by name as in `COLUMNS`; optional ones may be missing.
    students: rows of the students' table (name, label, teacher and weights).
    cards: exported models by variant, one per member.
    runtime: of `runtime.read_runtime`.
    provenance: ``inputs`` (checksums by name), ``versions`` (by program).
    """

    run: str
    config: Mapping[str, Any]
    palette: Palette
    tables: Mapping[str, pd.DataFrame]
    students: pd.DataFrame
    system: SystemFacts
    figures: Sequence[ReportFigure]
    cards: Mapping[str, Sequence[Card]]
    runtime: pd.DataFrame
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def summary(self) -> pd.DataFrame:
        """Errors by model, with intervals and noise."""
        return self.tables["summary"]

    @property
    def runs(self) -> pd.DataFrame:
        """All simulations."""
        return self.tables["runs"]

    @property
    def performance(self) -> pd.DataFrame:
        """Speed of all simulations."""
        return self.tables["performance"]

    @property
    def training(self) -> pd.DataFrame:
        """Metrics of all networks."""
        return self.tables["training"]

    @property
    def networks(self) -> pd.DataFrame:
        """How the training of every network went."""
        return self.tables["networks"]

    @property
    def ensemble_label(self) -> str:
        """Label of the model that evaluates all teachers at each step."""
        return next((model.label for model in self.palette.models if model.family == "T8"), "T8")


def _packages() -> dict[str, str]:
    """Versions of the packages that results depend on, as installed where the page is written."""
    found = {}
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def gather(
    run: str,
    config: Mapping[str, Any],
    palette: Palette,
    tables: Mapping[str, str | Path],
    beads: str | Path,
    split: str | Path,
    figures: Iterable[str | Path],
    captions: Captions,
    cards: Iterable[str | Path] = (),
    benchmarks: Iterable[str | Path] = (),
) -> ReportData:
    """Read all that the page shows.

    Parameters
    ----------
    tables:
        Files by name: summary, tae, runs, performance, training, networks, check, comparisons, noise, ceiling, spread,
        and students (the last tab-separated); those that a run need not have may be missing.
    figures: SVG and PNG files of the catalogue.
    captions: of the figures.
    cards: ``card.json`` of the exported models.
    benchmarks: files that Snakemake's ``benchmark`` left.

    Raises
    ------
    InputError
        A table without a column that the page needs, a figure that the catalogue does not know, a file that is not
        what it should be.
    """
    with BeadFile(beads) as file:
        inputs = dict(file.provenance.get("inputs", {}))
    read = {name: read_table(tables[name], columns) for name, columns in COLUMNS.items()
            if name not in _OPTIONAL or tables.get(name)}  # fmt: skip
    students = read_students(tables["students"]) if tables.get("students") else []
    structure = StructureSpec.from_config(config["structure"])
    entries = catalogue(palette.models, students, structure, bool(config["pictures"]))
    return ReportData(
        run=run,
        config=config,
        palette=palette,
        tables=read,
        students=pd.DataFrame([student_row(student) for student in students]),
        system=read_system(beads, split),
        figures=place_figures(figures, entries, captions),
        cards=read_cards(cards),
        runtime=read_runtime(benchmarks),
        provenance={
            "version": __version__,
            "inputs": inputs,
            "versions": read_provenance(tables["performance"]).get("versions", {}),
            "packages": _packages(),
        },
    )
