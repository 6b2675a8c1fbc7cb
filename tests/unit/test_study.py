"""Table, figure and page of a study hold what the tables of its cells say.

Whether the figure is legible and the page pleases was looked at, not tested; nor is it that a cell's tables are right.
"""

from __future__ import annotations

import html
import os
import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
import yaml
from cgdistill.core.errors import InputError
from cgdistill.figures.study import cell_axis, models_of, setting_text, setting_words, study_figure, varying
from cgdistill.figures.style import Palette
from cgdistill.io.csv_tables import read_provenance
from cgdistill.provenance.record import sha256_of
from cgdistill.report.study import render
from cgdistill.report.sweep_study import (
    StudyCell,
    result_columns,
    setting_columns,
    shared_config,
    study_table,
    write_study,
)
from fabricate_report import EVIL, SEEDS, VARIANTS, Made, fabricate_tables, read_config
from test_report import Page

COMMAND = "snakemake --cores 2 results/study/<cell>/report.html"
#: T, T4, S1-aa-kd-bead, S8-aa-kd-bead; and two of them, beside one of its own and all teachers of fewer.
#: Of the students of one teacher those that were trained.
SINGLE = replace(VARIANTS[2], members=SEEDS[:2])
FIRST = (*VARIANTS[:2], SINGLE, VARIANTS[3])
SECOND = (
    VARIANTS[0],
    Made("T2", "T2", "teacher_ensemble", ("ensemble",), 2, 1.8),
    SINGLE,
    Made("S8-own", "S8own", "ensemble", ("ensemble",), 3, 1.2, ("drifting",)),
)


def make_cell(folder: Path, name: str, settings: dict, variants=FIRST, seed: int = 3, report: bool = True) -> StudyCell:
    """A finished cell, as far as a study reads it."""
    fabricate_tables(folder / name / "tables", read_config(), variants, seed)
    if report:
        (folder / name / "report.html").write_text("<p>Report.</p>", encoding="utf-8")
    return StudyCell(name, settings, folder / name)


def change(cell: StudyCell, name: str, how) -> None:
    """Write a cell's table anew, changed by ``how``, as any table is written."""
    path = cell.tables[name]
    line = path.read_text(encoding="utf-8").splitlines()[0]
    table = how(pd.read_csv(path, skiprows=1))
    path.write_text(line + "\n" + table.to_csv(index=False), encoding="utf-8")


def read(cell: StudyCell, name: str) -> pd.DataFrame:
    """A table as any reader of CSV sees it."""
    return pd.read_csv(cell.tables[name], skiprows=1)


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """Three cells of 1, 2 and 32 features; that in the middle has other variants."""
    folder = tmp_path_factory.mktemp("results") / "study"
    return [
        make_cell(folder, "narrow", {"network.n_features": 1, "network.cutoff_A": 7.5}, FIRST, 1),
        make_cell(folder, "middle", {"network.n_features": 2, "network.cutoff_A": 7.5}, SECOND, 2),
        make_cell(folder, "wide", {"network.n_features": 32, "network.cutoff_A": 7.5}, FIRST, 3),
    ]


@pytest.fixture(scope="module")
def table(cells):
    return study_table(cells)


@pytest.fixture(scope="module")
def written(cells, tmp_path_factory):
    out_dir = cells[0].folder.parent
    write_study("study", cells, read_config(), out_dir, COMMAND)
    return out_dir


def row_of(table: pd.DataFrame, cell: str, variant: str) -> pd.Series:
    found = table[(table["cell"] == cell) & (table["variant"] == variant)]
    assert len(found) == 1
    return found.iloc[0]


def test_every_cell_and_variant_has_one_row_and_no_other(cells, table):
    expected = [(cell.name, made.name, made.label, made.kind)
                for cell, variants in zip(cells, (FIRST, SECOND, FIRST), strict=True) for made in variants]  # fmt: skip
    assert list(table[["cell", "variant", "label", "kind"]].itertuples(index=False, name=None)) == expected
    assert list(table.columns) == ["cell", "network.n_features", "network.cutoff_A", *result_columns()]
    assert list(table["network.n_features"]) == [1] * 4 + [2] * 4 + [32] * 4


def test_errors_and_intervals_are_those_of_the_summary(cells, table):
    for cell in cells:
        summary = read(cell, "summary")
        overall = summary[(summary["item"] == "overall") & summary["parameter"].isna()]
        for variant in overall["variant"].unique():
            row = row_of(table, cell.name, variant)
            for metric, unit in (("rdf", "_A"), ("adf", ""), ("cdf", "")):
                own = overall[(overall["variant"] == variant) & (overall["metric"] == metric)].iloc[0]
                for name, ending in (("mean", ""), ("ci_low", "_ci_low"), ("ci_high", "_ci_high"),
                                     ("noise_high", "_noise_high")):  # fmt: skip
                    np.testing.assert_equal(row[f"tae_{metric}{ending}{unit}"], own[name])
    assert table["tae_rdf_A"].nunique() > 6, "cells differ"


def test_runs_networks_and_speed_are_those_of_their_tables(cells, table):
    for cell in cells:
        runs, training, speed = (read(cell, name) for name in ("runs", "training", "performance"))
        for variant in runs["variant"].unique():
            row, own = row_of(table, cell.name, variant), runs[runs["variant"] == variant]
            counts = (len(own), (own["status"] == "finished").sum(), (own["stability"] == "stable").sum())
            assert (row["n_runs"], row["n_finished"], row["n_stable"]) == counts
            assert row["ns_per_day"] == pytest.approx(speed.loc[speed["variant"] == variant, "ns_per_day"].mean())
            chosen = training.query("variant == @variant and split == 'test' and target == 'F' and bead_type == 'all'")
            if row["kind"] != "teacher_ensemble":
                assert row["r2_F"] == pytest.approx(chosen["r2"].mean())
                assert row["rmse_F_kcal_mol_A"] == pytest.approx(chosen["rmse"].mean())
    assert (table["n_stable"] < table["n_finished"]).any() and (table["n_finished"] < table["n_runs"]).any()


def test_the_speed_is_the_mean_over_runs(tmp_path):
    cell = make_cell(tmp_path, "one", {})
    change(cell, "performance", lambda speed: speed.assign(ns_per_day=np.arange(len(speed), dtype=float)))
    assert row_of(study_table([cell]), "one", "T")["ns_per_day"] == 1.0, "of 0, 1 and 2"


def test_all_teachers_together_have_the_r2_of_their_mean_and_no_rmse(cells, table):
    rows = table[table["kind"] == "teacher_ensemble"]
    ceiling = read(cells[0], "ceiling").set_index("bead_type")["r2_mean_teacher"]
    assert list(rows["variant"]) == ["T4", "T2", "T4"]
    assert (rows["r2_F"] == ceiling["all"]).all() and rows["rmse_F_kcal_mol_A"].isna().all()


def test_what_a_cell_does_not_know_stays_unknown(tmp_path):
    cell = make_cell(tmp_path, "one", {})
    change(cell, "summary", lambda summary: summary[summary["metric"] != "adf"])
    change(cell, "performance", lambda speed: speed[speed["variant"] != "T4"])
    table = study_table([cell])
    assert table["tae_adf"].isna().all() and table["tae_rdf_A"].notna().sum() == 3
    assert list(table["ns_per_day"].isna()) == [False, True, False, False]
    lost = row_of(table, "one", "S8-aa-kd-bead")
    assert lost["n_finished"] == 0 and np.isnan(lost["tae_rdf_A"]), "no run finished"


def test_the_file_reads_back_and_names_what_it_was_made_from(cells, table, written):
    found = pd.read_csv(written / "study.csv", skiprows=1)
    assert list(found.columns) == list(table.columns)
    for column in ("tae_rdf_A", "tae_cdf_ci_high", "n_stable", "r2_F"):
        np.testing.assert_allclose(found[column], table[column].astype(float), rtol=1e-9)
    inputs = read_provenance(written / "study.csv")["inputs"]
    assert len(inputs) == 15
    assert inputs["wide/tables/summary.csv"] == sha256_of(cells[2].tables["summary"])


def cells_of(*settings: dict) -> list[StudyCell]:
    """Cells without folders."""
    return [StudyCell(f"cell-{place}", values, Path("nowhere")) for place, values in enumerate(settings)]


def test_settings_become_columns():
    cells = cells_of(
        {"teachers.seeds": [1, 2], "pictures": True, "split.max_train_frames": 5, "structure.adf.r_max_A": [6.0, 7.5]},
        {"teachers.seeds": [1], "pictures": False, "split.max_train_frames": None, "structure.adf.r_max_A": [6.0]},
    )
    assert setting_columns(cells) == {
        "n_teachers": [2, 1], "pictures": ["true", "false"], "split.max_train_frames": [5, None],
        "structure.adf.r_max_A": ["[6.0, 7.5]", "[6.0]"],
    }  # fmt: skip


def test_other_teachers_of_the_same_number_are_told_apart():
    columns = setting_columns(cells_of({"teachers.seeds": [1, 2]}, {"teachers.seeds": [3, 4]}))
    assert columns == {"n_teachers": [2, 2], "teachers.seeds": ["[1, 2]", "[3, 4]"]}


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([], "study: cells: found none, expected at least one"),
        (cells_of({"seed": 1})[:1] * 2, "study: cells: found cell-0 twice, expected each name once"),
        (cells_of({"seed": 1}, {"device": "cpu"}), "study: settings of cell-1: found device, expected seed"),
    ],
)
def test_cells_that_do_not_go_together(cells, message):
    with pytest.raises(InputError) as caught:
        study_table(cells)
    assert str(caught.value) == message


def test_faulty_tables_are_named(tmp_path):
    cell = make_cell(tmp_path, "one", {})
    change(cell, "training", lambda training: training.assign(unit="eV/A"))
    with pytest.raises(InputError, match="training.csv: unit of F: found eV/A, expected kcal/mol/A"):
        study_table([cell])
    fabricate_tables(cell.folder / "tables", read_config(), FIRST)
    change(cell, "performance", lambda speed: speed.rename(columns={"ns_per_day": "ns_per_hour"}))
    with pytest.raises(InputError, match="performance.csv: columns: .* expected a column 'ns_per_day'"):
        study_table([cell])
    cell.tables["performance"].unlink()
    with pytest.raises(InputError, match="performance.csv: file: found none, expected a table of the finished run one"):
        study_table([cell])
    fabricate_tables(cell.folder / "tables", read_config(), FIRST)
    change(cell, "summary", lambda summary: pd.concat([summary, summary.tail(1)]))
    with pytest.raises(InputError, match="summary.csv: overall cdf: found S8-aa-kd-bead twice"):
        study_table([cell])
    fabricate_tables(cell.folder / "tables", read_config(), FIRST)
    change(cell, "runs", lambda runs: runs.assign(member=runs["member"].replace("seed-2", "ensemble")))
    with pytest.raises(InputError, match="runs.csv: member: found members ensemble, seed-1, seed-2 of S1-aa-kd-bead"):
        study_table([cell])


def made(**settings) -> tuple[pd.DataFrame, list[str]]:
    """The part of a table that axes are made from."""
    keys = {key.replace("__", "."): values for key, values in settings.items()}
    n = len(next(iter(keys.values())))
    rows = {"cell": [f"cell-{place}" for place in range(n)]}
    rows |= {key: pd.Series(values, dtype=object) for key, values in keys.items()}
    return pd.DataFrame(rows).loc[np.repeat(np.arange(n), 2)], list(keys)


@pytest.mark.parametrize(
    ("settings", "numeric", "log", "places", "label", "ticks"),
    [
        ({"n_teachers": [8, 1, 4]}, True, False, [8, 1, 4], "number of teachers", ["8", "1", "4"]),
        ({"n_teachers": [9, 1]}, True, True, [9, 1], "number of teachers", ["9", "1"]),
        (
            {"network__cutoff_A": [7.5, 12], "seed": [3, 3]},
            True, False, [7.5, 12], "network: cutoff / Å", ["7.5", "12"],
        ),
        ({"prior__delta_A": [0, 0.15]}, True, False, [0, 0.15], "prior: delta / Å", ["0", "0.15"]),
        ({"seed": [1, 2]}, False, False, [0, 1], "", ["cell-0", "cell-1"]),
        ({"students__table": ["b", "a"]}, False, False, [0, 1], "", ["cell-0", "cell-1"]),
        ({"split__max_train_frames": [50, None]}, False, False, [0, 1], "", ["cell-0", "cell-1"]),
        (
            {"n_teachers": [8, 8], "network__cutoff_A": [9.0, 12.0], "training__learning_rate": [1e-3, 5e-4]},
            False, False, [0, 1], "from the top:  network: cutoff / Å;  training: learning rate",
            ["9\n0.001", "12\n0.0005"],
        ),
        ({"n_teachers": [1, 2], "device": ["cpu", "cuda"]}, False, False, [0, 1], "", ["cell-0", "cell-1"]),
        ({"n_teachers": [2, 2]}, False, False, [0, 1], "", ["cell-0", "cell-1"]),
    ],
)  # fmt: skip
def test_cells_stand_along_a_number_or_one_after_another(settings, numeric, log, places, label, ticks):
    axis = cell_axis(*made(**settings))
    assert (axis.numeric, axis.log, axis.label, list(axis.ticks)) == (numeric, log, label, ticks)
    assert list(axis.places.items()) == [(f"cell-{number}", place) for number, place in enumerate(places)]


def test_settings_in_words():
    assert setting_words("network.n_features") == "network: number of features"
    assert setting_words("simulation.limits.temperature_K", "{} ({})") == "simulation, limits: temperature (K)"
    assert setting_words("simulation.checkpoint_every_steps") == "simulation: checkpoint every steps"
    values = (None, 20251101, 1e-5, 12.0, "a")
    assert [setting_text(value) for value in values] == ["null", "20251101", "1e-05", "12", "a"]
    assert varying(*made(seed=[1, 1], n_teachers=[1, 2])) == ["n_teachers"]


def test_a_model_is_the_same_in_all_cells_and_keeps_its_colour(table):
    models, names = models_of(table)
    by_name = {model.name: model for model in models}
    assert [model.label for model in models] == ["T", "T4, T2", "S1Ffε", "S8Ffε", "S8own"]
    assert [by_name[name].family for name in names] == ["T", "T8", "S1", "S8"] * 3
    palette = Palette(models)
    assert [palette.colour(model.name) for model in models][:4] == ["#8795a8", "#1f5fd0", "#f29a92", "#14532d"]


def test_one_variant_under_two_labels_is_two_models(table):
    changed = table.assign(label=["other" if place == 2 else label for place, label in enumerate(table["label"])])
    assert [model.label for model in models_of(changed)[0]].count("S1Ffε") == 1
    assert "other" in [model.label for model in models_of(changed)[0]]
    twice = table.assign(label=table["label"].replace("S8own", "S8Ffε"))
    assert [model.label for model in models_of(twice)[0]][3:] == ["S8Ffε", "S8Ffε (S8-own)"]


def artists(axes, kind: str, panel: str) -> dict[int, object]:
    """Artists of one kind by the model's place."""
    named = {str(artist.get_gid()): artist for artist in [*axes.lines, *axes.collections]}
    return {
        int(name.rsplit("-", 1)[1]): artist for name, artist in named.items() if name.startswith(f"{kind}-{panel}-")
    }


def points(axes, kind: str, panel: str, place: int) -> list[tuple[float, float]]:
    line = artists(axes, kind, panel).get(place)
    return [] if line is None else [(float(x), float(y)) for x, y in np.asarray(line.get_xydata())]


def test_marks_and_intervals_of_a_number_stand_at_their_values(table):
    figure = study_figure(table, ["network.n_features", "network.cutoff_A"])
    axes = dict(zip(("tae_rdf", "tae_adf", "tae_cdf", "r2_F", "stable", "ns_per_day"), figure.axes, strict=True))
    assert {panel.get_xscale() for panel in figure.axes} == {"log"}, "1 to 32"
    assert list(axes["stable"].get_xticks()) == [1, 2, 32]
    student = [row_of(table, cell, "S1-aa-kd-bead") for cell in ("narrow", "middle", "wide")]
    assert points(axes["tae_rdf"], "mean", "tae_rdf", 2) == [
        (x, pytest.approx(row["tae_rdf_A"])) for x, row in zip((1, 2, 32), student, strict=True)
    ]
    segments = artists(axes["tae_cdf"], "interval", "tae_cdf")[2].get_segments()
    expected = [[[x, row["tae_cdf_ci_low"]], [x, row["tae_cdf_ci_high"]]]
                for x, row in zip((1, 2, 32), student, strict=True)]  # fmt: skip
    np.testing.assert_allclose(segments, expected)
    assert points(axes["r2_F"], "mean", "r2_F", 1) == [(x, pytest.approx(0.215)) for x in (1, 2, 32)], "T4, T2, T4"
    assert points(axes["stable"], "mean", "stable", 0) == [(x, pytest.approx(1 / 3)) for x in (1, 2, 32)]
    assert points(axes["ns_per_day"], "mean", "ns_per_day", 1) == [(x, 4.0) for x in (1, 2, 32)]
    for panel in ("r2_F", "stable", "ns_per_day"):
        assert not artists(axes[panel], "interval", panel)


def test_ticks_stand_at_values_that_leave_room_for_them(table):
    """Of neighbours that are too near each other, the lower one."""
    values = {"narrow": 1000.0, "middle": 1001.0, "wide": 3000.0}
    near = table.assign(**{"network.n_features": table["cell"].map(values).astype(object)})
    axes = study_figure(near, ["network.n_features"]).axes[5]
    assert axes.get_xscale() == "linear" and list(axes.get_xticks()) == [1000.0, 3000.0]
    assert [x for x, _ in points(axes, "mean", "ns_per_day", 0)] == [1000.0, 1001.0, 3000.0]


def test_marks_of_one_cell_stand_beside_each_other_on_paper(table):
    figure = study_figure(table, ["network.n_features"])
    figure.canvas.draw()
    axes = figure.axes[5]
    lines = artists(axes, "mean", "ns_per_day")
    pixels = [lines[place].get_transform().transform((2.0, 4.0))[0] for place in (0, 1, 2, 4)]
    assert (np.diff(pixels) > 1).all()
    middle = axes.transData.transform((2.0, 4.0))[0]
    assert abs(np.mean([pixels[0], pixels[-1]]) - middle) < 1


def test_a_line_ends_where_a_cell_lacks_the_model(table):
    axes = study_figure(table, ["network.n_features"]).axes[5]
    line = np.asarray(artists(axes, "line", "ns_per_day")[3].get_ydata(), dtype=float)
    np.testing.assert_array_equal(np.isnan(line), [False, True, False])
    assert len(points(axes, "mean", "ns_per_day", 3)) == 2


def test_marks_are_hollow_where_runs_did_not_finish(table):
    figure = study_figure(table, ["network.n_features"])
    for place, partial in ((0, True), (1, False), (2, False)):
        assert bool(points(figure.axes[0], "partial", "tae_rdf", place)) == partial
        assert bool(points(figure.axes[0], "mean", "tae_rdf", place)) != partial
    assert artists(figure.axes[0], "partial", "tae_rdf")[0].get_markerfacecolor() == "white"
    assert not points(figure.axes[0], "mean", "tae_rdf", 3), "no run finished"
    assert not artists(figure.axes[3], "partial", "r2_F"), "forces do not depend on runs"
    assert len(figure.legends) == 1
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["T", "T4, T2", "S1Ffε", "S8Ffε", "S8own", "interval", "not all runs finished"]


def test_cells_without_a_number_stand_one_after_another(table):
    named = table.assign(**{"network.n_features": table["cell"]})
    axes = study_figure(named, ["network.n_features"]).axes[5]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["narrow", "middle", "wide"]
    found = sorted((round(x), y) for place in range(5) for x, y in points(axes, "mean", "ns_per_day", place))
    assert found == sorted((place, speed) for place in range(3) for speed in (4.0, 30.0, 30.0, 30.0))
    columns = [x for place in range(5) for x, _ in points(axes, "mean", "ns_per_day", place)]
    assert len(set(columns)) == 12, "beside each other"
    assert not artists(axes, "line", "ns_per_day"), "no order to connect along"


def test_many_cells_and_models_get_a_wide_figure_each_panel_below_the_other():
    cells, variants = [f"a-cell-with-a-very-long-name-{n}" for n in range(24)], [f"S8-{n}" for n in range(11)]
    rows = [
        {"cell": cell, "variant": name, "label": f"Model {name}", "kind": "ensemble", "students.table": cell,
         "n_runs": 4, "n_finished": 4, "n_stable": 4}
        for cell in cells for name in variants
    ]  # fmt: skip
    table = pd.DataFrame(rows).reindex(columns=["cell", "students.table", *result_columns()])
    table[[column for column in result_columns() if table[column].isna().all()]] = 1.0
    figure = study_figure(table, ["students.table"])
    figure.canvas.draw()
    boxes = [axes.get_position() for axes in figure.axes]
    assert len({round(box.x0, 3) for box in boxes}) == 1 and len({round(box.y0, 3) for box in boxes}) == 6
    labels = figure.axes[-1].get_xticklabels()
    assert {label.get_rotation() for label in labels} == {90.0}
    edges = [(box.x0, box.x1) for box in (label.get_window_extent() for label in labels)]
    assert all(right <= left for (_, right), (left, _) in zip(edges, edges[1:], strict=False)), "labels do not overlap"
    assert min(label.get_window_extent().y0 for label in labels) >= 0


@pytest.fixture(scope="module")
def page(written):
    return (written / "index.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def parsed(page):
    found = Page()
    found.feed(page)
    return found


def test_the_page_is_well_formed_and_fetches_nothing(page, parsed):
    assert not parsed.errors and not parsed.open
    assert len(parsed.ids) == len(set(parsed.ids))
    assert {reference[1:] for reference in parsed.references if reference.startswith("#")} <= set(parsed.ids)
    assert "default-src 'none'" in page and "https://" not in page
    assert sum(source is not None for source in parsed.images) == 1 and parsed.scripts == 1


def test_links_lead_from_the_page_to_the_reports(parsed, written, cells):
    links = {reference for reference in parsed.references if not reference.startswith(("#", "data:"))}
    assert links == {f"{cell.name}/report.html" for cell in cells}
    assert all((written / link).is_file() for link in links)


def texts_of(page: str, caption: str) -> list[list[str]]:
    """Texts of a table of the page, by row, the head first."""
    part = page[page.index(f">{caption}</caption>") :]
    rows = re.findall(r"<tr.*?</tr>", part[: part.index("</table>")], re.DOTALL)
    cells = [re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL) for row in rows]
    return [[" ".join(re.sub(r"<[^>]*>", " ", cell).split()) for cell in row] for row in cells]


def test_tables_of_the_page_hold_what_the_table_holds(page, table):
    head, *rows = texts_of(page, "Cells")
    assert head == ["Cell", "network: number of features", "Models", "Finished runs", "Stable runs"]
    assert [row[0] for row in rows] == ["narrow", "middle", "wide"]
    for row in rows:
        own = table[table["cell"] == row[0]]
        finished, stable, runs = (own[name].sum() for name in ("n_finished", "n_stable", "n_runs"))
        width = str(own["network.n_features"].iloc[0])
        assert row[1:] == [width, str(len(own)), f"{finished} of {runs}", f"{stable} of {runs}"]
    head, *rows = texts_of(page, "Every model in every cell")
    assert len(rows) == 12
    places = {name: head.index(name) for name in ("TAE RDF (Å)", "R² on F", "ns/day", "network: number of features")}
    order = [(row[0], row[1]) for row in rows]
    assert order[:3] == [("T", "narrow"), ("T", "middle"), ("T", "wide")]
    assert order[3:6] == [("T4", "narrow"), ("T2", "middle"), ("T4", "wide")], "model by model"
    for row in rows:
        own = table[(table["label"] == row[0]) & (table["cell"] == row[1])].iloc[0]
        shown = row[places["TAE RDF (Å)"]].split()[0]
        assert shown == "–" if np.isnan(own["tae_rdf_A"]) else float(shown) == pytest.approx(own["tae_rdf_A"], rel=5e-3)
        assert float(row[places["R² on F"]]) == pytest.approx(own["r2_F"], rel=5e-3)
        assert float(row[places["ns/day"]]) == own["ns_per_day"]
        assert row[-1] == str(own["network.n_features"])


def test_the_page_says_what_is_shared_and_how_to_make_a_cell_again(page):
    assert "snakemake --cores 2 results/study/&lt;cell&gt;/report.html" in page
    text = page[page.index("as far as it is shared") :]
    shared = yaml.safe_load(html.unescape(text[text.index("<pre>") + 5 : text.index("</pre>")]))
    assert "run" not in shared and "n_features" not in shared["network"] and shared["network"]["n_sensitivities"] == 8
    assert "cutoff 7.5 Å" in page and "its 95 % interval" in page
    assert "do not compare" not in page, "features change no measure"


def test_shared_settings_are_those_of_the_cells_where_the_base_has_others():
    cells = cells_of({"network.cutoff_A": 12.0, "seed": 1}, {"network.cutoff_A": 12.0, "seed": 2})
    base = {"run": "base", "seed": 1, "network": {"cutoff_A": 7.5, "n_features": 4}}
    assert shared_config(base, cells) == {"network": {"cutoff_A": 12.0, "n_features": 4}}
    assert base["network"]["cutoff_A"] == 7.5


@pytest.mark.parametrize(
    ("key", "values", "warned"),
    [
        ("structure.rdf.r_max_A", (8.0, 9.0), "sums over other curves"),
        ("split.method", ("random", "blocks"), "other test frames"),
        ("split.max_train_frames", (50, None), ""),
        ("seed", (1, 2), "other test frames"),
        ("statistics.confidence", (0.9, 0.95), "do not compare"),
    ],
)
def test_what_does_not_compare_is_said(cells, written, key, values, warned):
    """Where the yardstick differs between cells."""
    changed = [replace(cell, settings={key: value}) for cell, value in zip(cells, values, strict=False)]
    page = render(
        folder=written, study="study", table=study_table(changed), settings={key: key}, reports={},
        shared=shared_config(read_config(), changed), figure=(written / "study.svg",), command="",
    )  # fmt: skip
    notes = re.findall(r'<p class="note">(.*?)</p>', page)
    assert [key in note and warned in note for note in notes] == ([True] if warned else [])
    assert ("its 95 % interval" in page) == (key != "statistics.confidence")


def test_what_users_write_is_escaped(tmp_path):
    """Names of cells, labels, settings, the study's name and the command; folders hold blanks and a #."""
    evil = Made("S8-evil", EVIL, "ensemble", ("ensemble",), 2, 1.0)
    cell = make_cell(tmp_path / "a #1 folder", "one", {"students.table": EVIL}, (*FIRST, evil))
    other = make_cell(tmp_path, "two", {"students.table": "$x_1$"}, (*FIRST, evil), report=False)
    cells = [replace(cell, name=f"{EVIL} $\\frac$"), other]
    write_study(EVIL, cells, read_config(), tmp_path / "out", EVIL)
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    parsed = Page()
    parsed.feed(page)
    assert parsed.scripts == 1 and not parsed.handlers and not parsed.errors
    assert "alert(" not in page.replace("&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt;", "")
    links = {link for link in parsed.references if not link.startswith(("#", "data:"))}
    assert len(links) == 1, "the other cell has no report, and no link"
    assert not any(mark in link for link in links for mark in "# "), "a # would end the address"
    assert Path(os.path.normpath(tmp_path / "out" / unquote(links.pop()))) == cell.report
    assert "<script" not in (tmp_path / "out" / "study.svg").read_text(encoding="utf-8")


def test_a_study_without_settings_and_with_one_cell_can_be_written(tmp_path):
    cell = make_cell(tmp_path, "one", {})
    write_study("study", [cell], read_config(), tmp_path, COMMAND)
    assert "1 run of the whole workflow." in (tmp_path / "index.html").read_text(encoding="utf-8")
    assert (tmp_path / "study.png").stat().st_size > 1000
