"""Figures of the page: order, captions, and that what is embedded is the figure."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from cgdistill.config.models import Model
from cgdistill.core.errors import InputError
from cgdistill.figures.catalogue import catalogue
from cgdistill.report.figures import SVG_LIMIT_BYTES, Captions, compressed, embedded, place_figures
from cgdistill.structure.spec import StructureSpec
from fabricate_report import SVG, fabricate_report, read_config
from PIL import Image

STRUCTURE = read_config()["structure"]
ENTRIES = catalogue(
    [Model("T", "T", "teacher"), Model("T8", "T8", "teacher_ensemble"), Model("S8", "S8", "ensemble")], [],
    StructureSpec.from_config(STRUCTURE | {"adf": STRUCTURE["adf"] | {"r_max_A": [6.0, 7.5, 10.0]}}),
)  # fmt: skip


def test_figures_come_in_the_order_of_the_catalogue(tmp_path):
    """10 after 7.5, as numbers; of several radii the widest is open; SVG and PNG are one figure."""
    stems = ["prior", "adf_10A", "tae_overall", "adf_7.5A", "stability", "model_T8"]
    paths = [tmp_path / f"{stem}.{kind}" for stem in stems for kind in ("png", "svg")]
    (tmp_path / "curves.rst").write_text("of {{ metric }}", encoding="utf-8")
    placed = place_figures(paths, ENTRIES, Captions([tmp_path / "curves.rst"]))
    assert [f.stem for f in placed] == ["tae_overall", "adf_7.5A", "adf_10A", "stability", "prior", "model_T8"]
    assert [f.folded for f in placed[:3]] == [False, True, False]
    assert [f.caption for f in placed[:3]] == ["", "of adf", "of adf"]
    assert [f.variant for f in placed] == [""] * 5 + ["T8"]
    assert all(len(f.files) == 2 for f in placed)


def test_a_figure_that_the_catalogue_does_not_know_is_bad_input():
    with pytest.raises(InputError, match="odd"):
        place_figures([Path("odd.svg")], ENTRIES, Captions([]))


def _plot(path, size=(800, 600)):
    """Like a plot: lines of a few colours on white."""
    pixels = np.full((size[1], size[0], 3), 255, dtype=np.uint8)
    for place, colour in enumerate(((31, 95, 208), (228, 87, 46), (0, 0, 0))):
        x = np.arange(size[0])
        pixels[(size[1] / 2 + 150 * np.sin(x / 40 + place)).astype(int), x] = colour
    Image.fromarray(pixels).save(path)
    return pixels


def test_small_drawings_stay_drawings_and_large_ones_become_images(tmp_path):
    svg, png = tmp_path / "a.svg", tmp_path / "a.png"
    svg.write_text(SVG, encoding="utf-8")
    _plot(png)
    assert embedded([svg, png]) == ("svg+xml", svg.read_bytes())
    assert embedded([svg]) == ("svg+xml", svg.read_bytes())
    svg.write_text(SVG + " " * SVG_LIMIT_BYTES, encoding="utf-8")
    kind, content = embedded([svg, png])
    assert kind == "png"
    assert len(content) < SVG_LIMIT_BYTES
    assert embedded([svg])[0] == "svg+xml", "nothing else is there"


def test_plots_keep_their_colours_in_256_of_them(tmp_path):
    pixels = _plot(tmp_path / "a.png")
    kind, content = compressed(tmp_path / "a.png")
    assert kind == "png"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(content)).convert("RGB")), pixels)


def test_pictures_of_many_colours_are_not_forced_into_256(tmp_path):
    """A field of all colours would lose more than a plot may."""
    y, x = np.mgrid[0:256, 0:256]
    pixels = np.stack([x, y, (x * y) % 256], axis=-1).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    kind, content = compressed(tmp_path / "a.png")
    assert kind == "webp"
    assert Image.open(io.BytesIO(content)).size == (256, 256)


def test_the_place_of_a_figure_has_its_shape(tmp_path):
    data = fabricate_report(tmp_path / "run")
    assert {figure.size() for figure in data.figures} == {(400, 300)}
    alone = place_figures([tmp_path / "tae_overall.svg"], ENTRIES, Captions([]))[0]
    (tmp_path / "tae_overall.svg").write_text(SVG, encoding="utf-8")
    assert alone.size() == (400, 300)


def test_captions_hold_values_and_a_missing_one_is_bad_input(tmp_path):
    path = tmp_path / "prior.rst"
    path.write_text("Bins of {{ snakemake.config['bin'] }} Å,\nblack: AA.", encoding="utf-8")
    entry = next(entry for entry in ENTRIES if entry.stem == "prior")
    captions = Captions([path], snakemake=SimpleNamespace(config={"bin": 0.1}))
    assert captions.of(entry) == "Bins of 0.1 Å, black: AA."
    assert captions.of(ENTRIES[0]) == ""
    with pytest.raises(InputError, match=r"prior\.rst"):
        Captions([path], snakemake=SimpleNamespace(config={})).of(entry)
