"""From files to figures: every job writes the figures that the list names, of a run with all that can go wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from cgdistill.core.errors import InputError
from cgdistill.figures import boxes, draw, model
from cgdistill.figures.catalogue import catalogue, drawn_by
from cgdistill.figures.pictures import Picture
from cgdistill.figures.run_files import BoxFiles
from cgdistill.figures.style import Palette
from cgdistill.structure.files import read_curves, write_curves
from cgdistill.structure.spec import StructureSpec
from fabricate import (
    DEFAULT,
    STAMP,
    fabricate,
    models_of,
    network_files,
    read_config,
    stability_files,
    structure_files,
    student_variants,
)

LABELS = {variant.name: variant.label for variant in DEFAULT}
MODELS, STUDENTS = models_of(DEFAULT), student_variants(DEFAULT)
CONFIG = read_config()
CONFIG["structure"]["adf"] |= {"triplets": [["Cho", "Cl", "Urea"]], "r_max_A": [6.5]}
STRUCTURE = StructureSpec.from_config(CONFIG["structure"])
ENTRIES = catalogue(MODELS, STUDENTS, STRUCTURE)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return fabricate(tmp_path_factory.mktemp("run") / "results", config=CONFIG)


@pytest.fixture(scope="module")
def palette():
    return Palette(MODELS)


@pytest.fixture
def quick(monkeypatch):
    """Figures are laid out and drawn once, without pixels: how files are written is tested elsewhere."""

    def save(figure, stem):
        figure.draw_without_rendering()
        for kind in ("svg", "png"):
            stem.with_name(f"{stem.name}.{kind}").write_bytes(bytes(3000))

    monkeypatch.setattr(draw, "save", save)


def _check(job, files, folder, entries=ENTRIES):
    """All figures of the job, as the list names them, in two formats, and nothing else."""
    drawn = draw.draw(drawn_by(entries, job), files, folder)
    assert drawn == [entry.stem for entry in drawn_by(entries, job)]
    assert {path.name for path in folder.iterdir()} == {f"{stem}.{kind}" for stem in drawn for kind in ("svg", "png")}
    assert all(path.stat().st_size > 2000 for path in folder.iterdir())


def test_structure(results, palette, tmp_path, quick):
    _check("structure", structure_files(results, palette), tmp_path)


def test_models(results, palette, tmp_path, quick):
    """Also of the model without a finished run."""
    _check("models", structure_files(results, palette), tmp_path)


def test_stability(results, palette, tmp_path, quick):
    _check("stability", stability_files(results, palette), tmp_path)


def test_networks(results, palette, tmp_path):
    _check("networks", network_files(results, palette), tmp_path)


def test_networks_without_students(results, tmp_path, quick):
    models = [model for model in MODELS if model.kind.startswith("teacher")]
    files = replace(network_files(results, Palette(models)), students=[], predictions={})
    _check("networks", files, tmp_path, catalogue(models, [], STRUCTURE))


def test_networks_where_no_student_is_used(results, palette, tmp_path, quick):
    """The figure says so: the workflow waits for its file."""
    _check("networks", replace(network_files(results, palette), predictions={}), tmp_path)


def test_boxes(results, palette, tmp_path, monkeypatch):
    """The pictures themselves are tested elsewhere."""
    seen = {}

    def pictures(beads, trajectories, reference, labels):
        seen.update(trajectories=trajectories, items=set(reference["item"]), labels=labels)
        return [Picture("T", "T", "first", 0.0, np.zeros((4, 4, 3), np.uint8))], ("Cho", "Cl", "Urea")

    monkeypatch.setattr(boxes, "take_pictures", pictures)
    reference = results / "structure" / "reference.parquet"
    files = BoxFiles(palette, results / "mapped" / "beads.h5", reference, {"T": ["a", "b"]})
    _check("boxes", files, tmp_path)
    assert seen["trajectories"] == {"T": ["a", "b"]}
    assert seen["labels"] == LABELS and "Cho-Cho" in seen["items"]


def test_curves_of_runs_that_blew_up_are_left_out(results, palette, tmp_path, monkeypatch):
    """Should a table hold any: what is drawn is the mean over the finished runs."""
    reference = read_curves(results / "structure" / "reference.parquet")
    finished = reference.assign(variant="S1-aa-kd-bead", member="seed-1", replica=2, value=1.0)
    failed = finished.assign(replica=1, value=99.0)
    path = tmp_path / "S1-aa-kd-bead" / "curves.parquet"
    write_curves(path, pd.concat([finished, failed]), STAMP)
    drawn = []
    monkeypatch.setattr(model, "model_figure", lambda name, target, means, errors, palette: drawn.append(means))
    model.draw(replace(structure_files(results, palette), curves=[path]), "S1-aa-kd-bead")
    assert set(drawn[0]["mean"]) == {1.0} and set(drawn[0]["n"]) == {1}


def test_a_table_that_is_none_stops_with_one_line(results, palette, tmp_path):
    files = structure_files(results, palette)
    with pytest.raises(InputError, match="expected a column 'metric'"):
        draw.draw(drawn_by(ENTRIES, "models"), replace(files, summary=files.runs), tmp_path)
