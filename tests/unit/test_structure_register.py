"""A metric that exists in this file alone: registered, it gets curves, errors, tables, figures and a place on the page.

What is made up: the distribution of the number of beads of each type within a radius of a bead of any type.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
from cgdistill.cli.main import summary as command_summary
from cgdistill.config.models import Model
from cgdistill.core.errors import InputError
from cgdistill.figures.catalogue import catalogue
from cgdistill.figures.draw import draw
from cgdistill.figures.run_files import StructureFiles
from cgdistill.figures.style import Palette
from cgdistill.figures.tae import draw_overall
from cgdistill.io.csv_tables import write_table
from cgdistill.report.captions import caption_values
from cgdistill.report.models import error_table
from cgdistill.report.page import render
from cgdistill.report.sweep_study import result_columns
from cgdistill.report.tables import item_table, main_table
from cgdistill.results.verdict import verdict
from cgdistill.statistics import StatisticsSpec, compare_variants, reference_noise, summarise
from cgdistill.structure.files import label_run, read_curves, write_curves
from cgdistill.structure.grids import Grid
from cgdistill.structure.metrics import METRICS, PRESENTATIONS
from cgdistill.structure.metrics.accumulator import Accumulator, Curve
from cgdistill.structure.metrics.base import Metric, check_keys, positive_number
from cgdistill.structure.metrics.presentation import Parameter, Presentation, RuleOfThumb
from cgdistill.structure.pairs import find_pairs
from cgdistill.structure.spec import StructureSpec, check_grids
from cgdistill.structure.tae import tae_table
from cgdistill.structure.trajectory import analyse_trajectory
from fabricate import STAMP, read_config
from fabricate_report import fabricate_report
from structure_cases import CUBIC, NAMES, TRICLINIC, gas, section

RADII = (4.0, 6.0)


class Coordination(Accumulator):
    """Share of beads that have k beads of a type within a radius, at each k."""

    metric = "cnd"
    _VALUE_UNITS = {"cgdistill": "1"}

    def __init__(self, beads, settings, convention):
        super().__init__(beads.type_names, beads.types, settings.grid, convention)
        self.radii_A = settings.radii_A

    def measure(self, frame):
        """(n_types, n_radii, n_bins) beads by their number of neighbours."""
        counts = np.zeros((len(self.type_names), len(self.radii_A), self.grid.n_bins))
        pairs = find_pairs(frame, max(self.radii_A))
        for number, radius in enumerate(self.radii_A):
            near = pairs.distances_A < radius
            for t in range(len(self.type_names)):
                found = np.zeros(frame.n_beads, dtype=int)
                for one, other in ((pairs.first, pairs.second), (pairs.second, pairs.first)):
                    np.add.at(found, one[near & (self.bead_types[other] == t)], 1)
                counts[t, number] = np.bincount(found, minlength=self.grid.n_bins)[: self.grid.n_bins]
        return counts

    def curves(self):
        """One for each type and radius."""
        values = self.total / (self.n_frames * len(self.bead_types))
        return [
            Curve(name, radius, values[t, number])
            for t, name in enumerate(self.type_names)
            for number, radius in enumerate(self.radii_A)
        ]


@dataclass(frozen=True)
class Settings:
    """Numbers from 0 (bins of width 1) and radii."""

    grid: Grid
    radii_A: tuple[float, ...]


class CoordinationNumbers(Metric[Settings]):
    """Section ``structure.cnd``: a list of radii, and the largest number."""

    name = "cnd"

    def settings(self, section, source):
        check_keys(section, "structure.cnd", ("radii_A", "largest"), (), source)
        radii = tuple(sorted(positive_number(value, "structure.cnd.radii_A", source) for value in section["radii_A"]))
        return Settings(Grid(-0.5, section["largest"] + 0.5, 1.0, "beads"), radii)

    def accumulator(self, settings, beads, convention, source):
        return Coordination(beads, settings, convention)

    def reach_A(self, settings):
        return max(settings.radii_A)

    def parameters(self, settings):
        return settings.radii_A


PRESENTATION = Presentation(
    name="cnd",
    title="CND",
    long_title="Coordination number distributions",
    item="type",
    items="types and radii",
    x_label="neighbours",
    y_symbol="share",
    methods=lambda settings: f"coordination numbers to {settings.grid.stop:g}",
    caption=lambda settings: f"Coordination numbers within {len(settings.radii_A)} radii.",
    parameter=Parameter("$r_c$", "Å", "A", "within {}"),
    rule_of_thumb=RuleOfThumb(0.05, "a made-up source"),
)
STATISTICS = StatisticsSpec(resamples=100, confidence=0.95)


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(METRICS, "cnd", CoordinationNumbers())
    monkeypatch.setitem(PRESENTATIONS, "cnd", PRESENTATION)


@pytest.fixture
def config():
    found = read_config()
    found["structure"] = section(r_max=[5.0], triplets=[["Cho", "Cl", "Urea"]]) | {
        "cnd": {"radii_A": list(RADII), "largest": 60}
    }
    found["structure"]["cdf"]["resolved_every_ps"] = 4
    return found


def analysed(spec, seed, spread=1.0):
    """Tables of a trajectory of 8 frames of a gas, as if in production from the start."""
    positions, cells, types = gas(8, 60, CUBIC, seed=seed, spread=spread)
    times = np.arange(len(positions)) * 2.0
    return analyse_trajectory([(times, positions, cells)], NAMES, types, spec, n_blocks=4)


def test_registered_it_is_read_and_without_a_section_left_out(config):
    spec = StructureSpec.from_config(config["structure"])
    assert spec.parameters("cnd") == RADII and list(spec.settings) == ["rdf", "adf", "cdf", "cnd"]
    assert "cnd" not in StructureSpec.from_config(section()).settings
    with pytest.raises(InputError, match="structure.cnd: found the keys"):
        StructureSpec.from_config(section() | {"cnd": {"radii_A": [4.0]}})
    wide = StructureSpec.from_config(section() | {"cnd": {"radii_A": [99.0], "largest": 9}})
    assert wide.reach_A == 99.0
    with pytest.raises(InputError, match="cnd"):
        check_grids(wide, NAMES, np.array([0, 0, 0, 1, 2]), TRICLINIC)


def test_curves_are_what_counting_by_hand_gives(config):
    """On a line: four beads 3 A apart have one or two neighbours within 4 A, two or three within 6.5 A."""
    config["structure"]["cnd"]["radii_A"] = [4.0, 6.5]
    spec = StructureSpec.from_config(config["structure"]).only("rdf", "cdf", "cnd")
    positions = np.array([[[0.0, 0, 0], [3.0, 0, 0], [6.0, 0, 0], [9.0, 0, 0]]])
    found = analyse_trajectory([(0.0, positions[0], CUBIC)], NAMES, np.zeros(4, dtype=int), spec, n_blocks=2).curves
    own = found[(found["metric"] == "cnd") & (found["item"] == "Cho")]
    by_radius = {radius: part.set_index("x")["value"] for radius, part in own.groupby("parameter")}
    assert by_radius[4.0][[0.0, 1.0, 2.0, 3.0]].tolist() == [0.0, 0.5, 0.5, 0.0]
    assert by_radius[6.5][[1.0, 2.0, 3.0]].tolist() == [0.0, 0.5, 0.5]


def _run(tmp_path, config):
    """Tables and files of a run of two models, as the workflow makes them."""
    spec = StructureSpec.from_config(config["structure"])
    reference = analysed(spec, 1)
    made = {name: [analysed(spec, 10 * place + k) for k in range(2)] for place, name in enumerate(("T", "T8"), 1)}
    target = label_run(reference.curves, "AA", "AA", 0)
    runs = pd.DataFrame(
        [(name, "ensemble", k + 1, "finished", k) for name in made for k in range(2)],
        columns=["variant", "member", "replica", "status", "number"],
    )
    curves = {name: pd.concat([label_run(one.curves, name, "ensemble", k + 1) for k, one in enumerate(own)])
              for name, own in made.items()}  # fmt: skip
    blocks = pd.concat(
        [label_run(one.blocks, name, "ensemble", k + 1) for name, own in made.items() for k, one in enumerate(own)]
    )
    reference_blocks = label_run(reference.blocks, "AA", "AA", 0)
    tae = tae_table(target, pd.concat(curves.values()), runs)
    tables = {
        "tae": tae,
        "summary": summarise(tae, runs, reference_blocks, blocks, STATISTICS, 1),
        "comparisons": compare_variants(tae, runs, {"T": "teacher", "T8": "teacher_ensemble"}, STATISTICS),
        "noise": reference_noise(reference_blocks, STATISTICS, 1),
        "runs": runs,
    }
    for name, table in tables.items():
        write_table(tmp_path / "tables" / f"{name}.csv", table, STAMP)
    for name, table in {"reference": target, **curves}.items():
        write_curves(tmp_path / name / "curves.parquet", table, {})
    return spec, tables


def test_errors_figures_and_sentences(tmp_path, config):
    """From trajectories to tables on disk, figures, sentences and the summary on the command line."""
    spec, tables = _run(tmp_path, config)
    read = read_curves(tmp_path / "T" / "curves.parquet")
    assert set(read.loc[read["metric"] == "cnd", "parameter"]) == set(RADII)
    tae = tables["tae"][tables["tae"]["metric"] == "cnd"]
    assert len(tae) == 4 * (2 * 3 + 2 + 1), "per run: items, sums per radius, sum"
    overall = tae[(tae["item"] == "overall") & tae["parameter"].isna()]["tae"]
    items = tae[tae["item"] != "overall"].groupby(["variant", "replica"], sort=False)["tae"].sum()
    assert overall.to_numpy() == pytest.approx(items.to_numpy()) and (overall > 0).all()
    assert (tables["summary"].loc[tables["summary"]["metric"] == "cnd", "noise_high"] > 0).all()
    assert {"cnd"} < set(tables["comparisons"]["metric"]) and {"cnd"} < set(tables["noise"]["metric"])

    models = [Model("T", "T", "teacher"), Model("T8", "T8", "teacher_ensemble")]
    files = StructureFiles(
        Palette(models), summary=tmp_path / "tables/summary.csv", runs=tmp_path / "tables/runs.csv",
        tae=tmp_path / "tables/tae.csv", comparisons=tmp_path / "tables/comparisons.csv",
        reference=tmp_path / "reference/curves.parquet",
        curves=[tmp_path / name / "curves.parquet" for name in ("T", "T8")],
    )  # fmt: skip
    entries = {entry.stem: entry for entry in catalogue(models, [], spec)}
    assert {"cnd_4A", "cnd_6A", "tae_cnd"} <= set(entries) and "members_T_cnd" not in entries
    assert entries["cnd_6A"].title == "Coordination number distributions, within 6 Å" and entries["cnd_4A"].folded
    chosen = [entry for entry in entries.values() if entry.job in ("structure", "models")]
    stems = draw([entry for entry in chosen if "cnd" in entry.stem or entry.job == "models"], files, tmp_path / "f")
    assert stems == ["cnd_4A", "cnd_6A", "tae_cnd", "model_T", "model_T8"]
    assert draw_overall(files).axes[-1].get_title() == "CND, sum over types and radii"

    sentences = " ".join(verdict(tables["summary"], "cnd").sentences)
    assert "of 6 types and radii of" in sentences and "0.05, the rule of thumb of a made-up source" in sentences
    assert "CND" in command_summary(tmp_path).splitlines()[0]
    values = caption_values(config)
    assert values["curves"]["cnd"] == "Coordination numbers within 2 radii." and "CND 0.05" in values["rules_of_thumb"]
    assert "tae_cnd" in result_columns()


def test_rows_of_the_report(tmp_path, config):
    """Columns and rows of its own in the tables of the page, its phrase among the methods."""
    data = fabricate_report(tmp_path)
    own = data.summary[(data.summary["metric"] == "adf")].assign(metric="cnd")
    summary = pd.concat([data.summary, own], ignore_index=True)
    changed = replace(data, tables={**data.tables, "summary": summary}, config=data.config | {
        "structure": data.config["structure"] | {"cnd": config["structure"]["cnd"]}})  # fmt: skip
    assert "TAE CND" in main_table(changed).columns and "TAE CND" not in main_table(data).columns
    assert item_table(changed, "cnd").rows[0].cells[0].text.endswith(" Å")
    names = [row.cells[0].text for row in error_table(changed, changed.palette.models[0]).rows]
    assert "CND all" in names and any(name.startswith("CND Cho-Cl-Urea, ") for name in names)
    page = render(changed)
    assert "coordination numbers to 60.5" in page and "Errors of the CND per item" in page
