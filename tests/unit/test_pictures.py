"""Pictures of boxes: what lies where, in which colour, by OVITO where it runs and by matplotlib everywhere."""

from __future__ import annotations

import logging
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from bead_cases import CELLS, TYPES, make_frames, write_beads
from cgdistill.core.errors import InputError
from cgdistill.figures import pictures
from cgdistill.figures.boxes import boxes_figure
from cgdistill.figures.pictures import (
    DEFAULT_RADIUS_A,
    Picture,
    render,
    render_all,
    take_pictures,
    touching_radii_A,
    type_colours,
)
from cgdistill.figures.style import _FIXED
from matplotlib.colors import to_rgb
from scipy.ndimage import binary_dilation
from test_ensemble_spread import write_dump

COLOURS = [np.array(to_rgb(colour)) for colour in type_colours(TYPES).values()]


def ovito_runs() -> bool:
    """Whether OVITO can be imported here, asked in a process of its own."""
    return subprocess.run([sys.executable, "-c", "import ovito"], capture_output=True, check=False).returncode == 0


RENDERERS = ["matplotlib", pytest.param("ovito", marks=pytest.mark.skipif(not ovito_runs(), reason="no OVITO here"))]


def share_of(image: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """Mask of the pixels of a colour's hue: nearest of both types' colours and grey levels, at any brightness."""
    pixels = image.reshape(-1, 3) / 255.0
    saturated = np.ptp(pixels, axis=1) > 0.12
    directions = [c - c.mean() for c in COLOURS]
    directions = [d / np.linalg.norm(d) for d in directions]
    relative = pixels - pixels.mean(axis=1, keepdims=True)
    nearest = np.argmax([relative @ d for d in directions], axis=0)
    wanted = int(np.argmin([np.abs(c - colour).sum() for c in COLOURS]))
    return (saturated & (nearest == wanted)).reshape(image.shape[:2])


@pytest.mark.parametrize("renderer", RENDERERS)
def test_beads_have_the_colour_of_their_type_and_the_size_of_their_radius(renderer):
    """One bead amid the box: a disc of its radius at the centre; another type, another colour."""
    cell, size = np.diag([12.0, 12.0, 12.0]), 200
    for kind, radius in ((0, 1.5), (1, 3.0)):
        image = render(np.full((1, 3), 6.0), cell, np.array([kind]), TYPES, size, np.array([1.5, 3.0]), renderer)
        assert image.shape == (size, size, 3) and image.dtype == np.uint8
        mask = share_of(image, COLOURS[kind])
        assert share_of(image, COLOURS[1 - kind]).sum() == 0
        rows, columns = np.nonzero(mask)
        assert (rows.mean(), columns.mean()) == pytest.approx((size / 2, size / 2), abs=2.5)
        half_A = pictures._frame_of_view(cell, np.array([1.5, 3.0]))[1]
        diameter = np.ptp(columns) / size * 2 * half_A
        assert diameter == pytest.approx(2 * radius, rel=0.08)


@pytest.mark.parametrize("renderer", RENDERERS)
def test_beads_outside_are_wrapped_and_the_near_one_hides_the_far_one(renderer):
    cell = CELLS["triclinic"]
    inside = np.array([[0.3, 0.4, 0.6]]) @ cell
    outside = inside + np.array([[2, -1, 3]]) @ cell
    images = [render(p, cell, np.array([0]), TYPES, 160, None, renderer) for p in (inside, outside)]
    assert np.abs(images[0].astype(int) - images[1]).mean() < 0.5
    cube = np.diag([12.0] * 3)
    centre, along = np.full(3, 6.0), pictures._DIRECTION / np.linalg.norm(pictures._DIRECTION)
    pair = np.array([centre + 4 * along, centre - 4 * along])
    for order in ([0, 1], [1, 0]):
        image = render(pair[order], cube, np.array([0, 1])[order], TYPES, 160, np.array([1.5, 1.5]), renderer)
        assert share_of(image, COLOURS[1]).sum() > 50, "the bead towards the viewer"
        assert share_of(image, COLOURS[0]).sum() < 5, "the bead behind it"


@pytest.mark.parametrize("renderer", RENDERERS)
def test_the_box_is_drawn_and_nothing_else(renderer):
    image = render(np.empty((0, 3)), np.diag([10.0, 14.0, 12.0]), np.empty(0, dtype=int), TYPES, 160, None, renderer)
    dark = image.mean(axis=-1) < 150
    assert 0.005 < dark.mean() < 0.2
    assert not share_of(image, COLOURS[0]).any() and not share_of(image, COLOURS[1]).any()
    rows, columns = np.nonzero(dark)
    assert max(np.ptp(rows), np.ptp(columns)) > 0.6 * 160


@pytest.mark.skipif(not ovito_runs(), reason="no OVITO here")
@pytest.mark.parametrize("cell", CELLS)
def test_both_renderers_show_the_same_box_from_the_same_side(cell):
    """Edges lie on edges, also of a tilted cell, whose vectors OVITO has as columns."""
    nothing = np.empty((0, 3)), CELLS[cell], np.empty(0, dtype=int), TYPES, 160, None
    masks = [render(*nothing, renderer).mean(axis=-1) < 200 for renderer in ("ovito", "matplotlib")]
    for one, other in (masks, masks[::-1]):
        assert binary_dilation(one, iterations=3)[other].mean() > 0.95


def test_matplotlib_takes_over_where_ovito_fails_and_the_log_says_so(monkeypatch, caplog):
    monkeypatch.setattr(pictures.sys, "executable", "/nowhere/python")
    positions, cell, kinds = np.full((1, 3), 6.0), np.diag([12.0] * 3), np.array([0])
    logging.getLogger("cgdistill").propagate = True
    with caplog.at_level(logging.INFO, logger="cgdistill"):
        image = render(positions, cell, kinds, TYPES, 100)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 1 and "matplotlib" in lines[0] and "/nowhere/python" in lines[0]
    np.testing.assert_array_equal(image, render(positions, cell, kinds, TYPES, 100, None, "matplotlib"))
    with pytest.raises(RuntimeError):
        render(positions, cell, kinds, TYPES, 100, None, "ovito")


@pytest.mark.skipif(not ovito_runs(), reason="no OVITO here")
def test_nothing_of_ovito_or_qt_is_loaded_in_this_process():
    render(np.full((1, 3), 6.0), np.diag([12.0] * 3), np.array([0]), TYPES, 60, None, "ovito")
    assert not [name for name in sys.modules if name.split(".")[0] in ("ovito", "PySide6")]


def test_bad_input_is_refused():
    with pytest.raises(InputError, match="renderer"):
        render(np.zeros((1, 3)), np.eye(3), np.array([0]), TYPES, 50, None, "povray")
    with pytest.raises(InputError, match="bead types"):
        render(np.zeros((1, 3)), np.eye(3), np.array([2]), TYPES, 50)
    assert render_all([], TYPES) == []


def test_radii_are_half_the_distance_of_contact():
    x = np.arange(0.05, 10, 0.1)
    curves = pd.concat(
        pd.DataFrame({"metric": metric, "item": item, "x": x, "value": np.where(x > contact, 1.0, 0.01)})
        for metric, item, contact in (("rdf", "Cho-Cho", 5.0), ("rdf", "Cho-Cl", 3.0), ("cdf", "Cl", 2.0))
    )
    np.testing.assert_allclose(touching_radii_A(curves, TYPES), [2.525, DEFAULT_RADIUS_A])


def test_colours_are_not_those_of_models_and_differ_also_in_grey():
    assert not {colour.lower() for colour, _ in _FIXED.values()} & {colour.lower() for colour in pictures.TYPE_COLOURS}
    luminance = [np.dot(to_rgb(colour), [0.299, 0.587, 0.114]) for colour in pictures.TYPE_COLOURS[:4]]
    assert np.ptp(luminance) > 0.4
    assert len(type_colours([f"B{number}" for number in range(20)])) == 20


def test_first_and_last_frame_of_reference_and_runs(tmp_path, monkeypatch):
    """Frames are taken from the right place: each has its bead of type Cho elsewhere."""
    beads = write_beads(tmp_path / "beads.h5", 5)
    frames, kinds = make_frames(5)
    cell = frames.cells_A[0]
    first = write_dump(tmp_path / "equilibration.lammpstrj", frames.positions_A[:2], cell, kinds)
    second = write_dump(tmp_path / "trajectory.lammpstrj", frames.positions_A[2:4], cell, kinds)
    empty = tmp_path / "empty.lammpstrj"
    empty.touch()
    seen = {}

    def remember(scenes, type_names, size_px, radii_A, renderer):
        seen["scenes"], seen["radii"] = scenes, radii_A
        return [np.zeros((size_px, size_px, 3), dtype=np.uint8) for _ in scenes]

    monkeypatch.setattr(pictures, "render_all", remember)
    curves = pd.DataFrame({"metric": ["rdf"], "item": ["Cho-Cho"], "x": [4.0], "value": [1.0]})
    runs = {"T": [first, second], "T8": [empty], "S8": [empty, second]}
    found, names = take_pictures(beads, runs, curves, labels={"S8": "S8Fε"}, size_px=20)
    assert names == TYPES and seen["radii"].tolist() == [2.0, DEFAULT_RADIUS_A]
    assert [(own.model, own.label, own.when) for own in found] == [
        ("AA", "AA", "first"), ("AA", "AA", "last"), ("T", "T", "first"), ("T", "T", "last"),
        ("S8", "S8Fε", "first"), ("S8", "S8Fε", "last"),
    ]  # fmt: skip
    assert [own.time_ps for own in found] == pytest.approx([0.0, 4.0, 0.0, 0.1, 0.0, 0.1])
    for scene, number in zip(seen["scenes"], [0, 4, 0, 3, 2, 3], strict=True):
        np.testing.assert_allclose(scene.positions_A, frames.positions_A[number], atol=1e-5)
        np.testing.assert_array_equal(scene.bead_types, kinds)


@pytest.mark.parametrize("n_models", [1, 2, 5])
def test_figure_puts_first_and_last_side_by_side(n_models):
    image = np.full((10, 10, 3), 200, dtype=np.uint8)
    shots = [
        Picture(f"M{number}", f"model {number}", when, time, image)
        for number in range(n_models)
        for when, time in (("first", 0.0), ("last", 40.5))
    ]
    figure = boxes_figure(shots[:-1], TYPES)
    drawn = [axes for axes in figure.axes if axes.images]
    assert [axes.images[0].get_gid() for axes in drawn] == [f"box-{own.model}-{own.when}" for own in shots[:-1]]
    assert drawn[0].get_title(loc="left") == "model 0"
    if n_models > 1:
        assert drawn[1].get_title(loc="right") == "last frame, 40.5 ps"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(TYPES)
