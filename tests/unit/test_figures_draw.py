"""From files to figures: every job writes the figures that the list names, of a run with all that can go wrong."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from cgdistill.core.errors import InputError
from cgdistill.figures import draw
from cgdistill.figures.catalogue import catalogue, drawn_by
from cgdistill.figures.pictures import Picture
from cgdistill.figures.style import Palette, models_in_order
from cgdistill.structure.files import read_curves, write_curves
from fabricate import DEFAULT, SEEDS, STAMP, fabricate, read_config, student_variants

KINDS = {variant.name: variant.kind for variant in DEFAULT}
LABELS = {variant.name: variant.label for variant in DEFAULT}
STUDENTS = student_variants(DEFAULT)
CONFIG = read_config()
CONFIG["structure"]["adf"] |= {"triplets": [["Cho", "Cl", "Urea"]], "r_max_A": [6.5]}
RADII = CONFIG["structure"]["adf"]["r_max_A"]
ENTRIES = catalogue(list(KINDS), KINDS, LABELS, STUDENTS, RADII)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return fabricate(tmp_path_factory.mktemp("run") / "results", config=CONFIG)


@pytest.fixture(scope="module")
def palette():
    return Palette(models_in_order(list(KINDS), LABELS, KINDS))


@pytest.fixture
def quick(monkeypatch):
    """Figures are laid out and drawn once, without pixels: how files are written is tested elsewhere."""

    def save(figure, stem):
        figure.draw_without_rendering()
        for kind in ("svg", "png"):
            stem.with_name(f"{stem.name}.{kind}").write_bytes(bytes(3000))

    monkeypatch.setattr(draw, "save", save)


def _structure_files(results):
    structure, tables = results / "structure", results / "tables"
    return {
        "summary": tables / "summary.csv",
        "runs": tables / "runs.csv",
        "reference": structure / "reference.parquet",
        "curves": [structure / name / "curves.parquet" for name in KINDS],
    }


def _check(drawn, job, folder):
    """All figures of the job, as the list names them, in two formats, and nothing else."""
    assert sorted(drawn) == sorted(entry.stem for entry in drawn_by(ENTRIES, job))
    assert {path.name for path in folder.iterdir()} == {f"{stem}.{kind}" for stem in drawn for kind in ("svg", "png")}
    assert all(path.stat().st_size > 2000 for path in folder.iterdir())


def test_structure(results, palette, tmp_path, quick):
    tables = results / "tables"
    drawn = draw.draw_structure(**_structure_files(results), tae=tables / "tae.csv", folder=tmp_path, palette=palette,
                                comparisons=tables / "comparisons.csv", students=STUDENTS)  # fmt: skip
    _check(drawn, "structure", tmp_path)


def test_models(results, palette, tmp_path, quick):
    """Also of the model without a finished run."""
    drawn = draw.draw_models(**_structure_files(results), palette=palette, folder=tmp_path)
    _check(drawn, "models", tmp_path)


def test_stability(results, palette, tmp_path, quick):
    structure = results / "structure"
    drawn = draw.draw_stability(
        records=sorted(results.glob("simulations/*/*/*/run.json")), runs=results / "tables" / "runs.csv",
        reference_resolved=structure / "reference_resolved.parquet",
        resolved=[structure / name / "resolved.parquet" for name in KINDS],
        reference_series=structure / "reference_series.parquet",
        series=[structure / name / "series.parquet" for name in KINDS], palette=palette, folder=tmp_path,
    )  # fmt: skip
    _check(drawn, "stability", tmp_path)


def _network_files(results):
    tables, teachers = results / "tables", results / "teachers"
    return {
        "teachers": [teachers / name / "history.csv" for name in SEEDS],
        "students": sorted(results.glob("students/*/*/history.csv")),
        **{name: tables / f"{name}.csv" for name in ("training", "ceiling", "spread")},
        "beads": results / "mapped" / "beads.h5", "split": results / "mapped" / "split.json",
        "teacher": teachers / SEEDS[0] / "predictions.h5", "mean": teachers / "mean.h5",
        "predictions": {name: results / "students" / name / "ensemble" / "test_predictions.h5"
                        for name, kind in KINDS.items() if kind == "ensemble"},
        "prior": results / "prior" / "prior.csv", "reference": results / "structure" / "reference.parquet",
        "temperature_K": 298.15,
    }  # fmt: skip


def test_networks(results, palette, tmp_path):
    drawn = draw.draw_networks(**_network_files(results), palette=palette, folder=tmp_path)
    _check(drawn, "networks", tmp_path)


def test_networks_without_students(results, tmp_path, quick):
    kinds = {name: kind for name, kind in KINDS.items() if kind.startswith("teacher")}
    teachers = Palette(models_in_order(list(kinds), LABELS, kinds))
    files = _network_files(results) | {"students": [], "predictions": {}}
    drawn = draw.draw_networks(**files, palette=teachers, folder=tmp_path)
    expected = drawn_by(catalogue(list(kinds), kinds, LABELS, [], RADII), "networks")
    assert sorted(drawn) == sorted(entry.stem for entry in expected)


def test_boxes(results, palette, tmp_path, monkeypatch):
    """The pictures themselves are tested elsewhere."""
    seen = {}

    def pictures(beads, trajectories, reference, labels):
        seen.update(trajectories=trajectories, items=set(reference["item"]), labels=labels)
        return [Picture("T", "T", "first", 0.0, np.zeros((4, 4, 3), np.uint8))], ("Cho", "Cl", "Urea")

    monkeypatch.setattr(draw, "take_pictures", pictures)
    drawn = draw.draw_boxes(beads=results / "mapped" / "beads.h5", trajectories={"T": ["a", "b"]}, palette=palette,
                            reference=results / "structure" / "reference.parquet", folder=tmp_path)  # fmt: skip
    assert drawn == ["boxes"] and seen["trajectories"] == {"T": ["a", "b"]}
    assert seen["labels"] == LABELS and "Cho-Cho" in seen["items"]


def test_curves_of_runs_that_blew_up_are_left_out(results, palette, tmp_path, monkeypatch):
    """Should a table hold any: what is drawn is the mean over the finished runs."""
    reference = read_curves(results / "structure" / "reference.parquet")
    finished = reference.assign(variant="S1-aa-kd-bead", member="seed-1", replica=2, value=1.0)
    failed = finished.assign(replica=1, value=99.0)
    path = tmp_path / "S1-aa-kd-bead" / "curves.parquet"
    write_curves(path, pd.concat([finished, failed]), STAMP)
    drawn = []
    monkeypatch.setattr(draw, "model_figure", lambda name, target, means, errors, palette: drawn.append(means))
    monkeypatch.setattr(draw, "save", lambda figure, stem: None)
    draw.draw_models(**_structure_files(results) | {"curves": [path]}, palette=palette, folder=tmp_path)
    assert set(drawn[0]["mean"]) == {1.0} and set(drawn[0]["n"]) == {1}


def test_a_table_that_is_none_stops_with_one_line(results, palette, tmp_path):
    files = _structure_files(results)
    with pytest.raises(InputError, match="expected a column 'metric'"):
        draw.draw_models(**files | {"summary": files["runs"]}, palette=palette, folder=tmp_path)
