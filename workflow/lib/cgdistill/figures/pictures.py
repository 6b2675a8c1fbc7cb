"""Pictures of beads in their box: OVITO's ray tracer, or discs drawn with matplotlib where OVITO does not run.

Both look along the same direction, parallel projection, beads wrapped into the cell. Bead types have colours of their
own that no model has, and that colour-blind readers can tell apart (Okabe and Ito; Paul Tol).
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import EllipseCollection, LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from ..core.errors import InputError
from ..data.beads import BeadFile
from ..geometry.cells import wrap
from ..io.lammps_dump import DumpFrame, read_dump
from ..runtime.job import log
from ..structure.metrics.rdf import RDF
from . import ovito_render

#: Of bead types, in the order of their index; more types go round again.
TYPE_COLOURS = ("#e69f00", "#56b4e9", "#882255", "#f0e442", "#44aa99", "#cc79a7", "#bbbbbb", "#000000")
RENDERERS = ("auto", "ovito", "matplotlib")
DEFAULT_RADIUS_A = 1.8
#: Where g(r) of like beads first reaches this, they count as touching.
_TOUCHING = 0.1
#: Direction of view: down onto the box, a little from the side.
_DIRECTION = np.array([-0.62, 0.72, -0.42])
_CORNERS = np.array(list(product((0.0, 1.0), repeat=3)))
#: Time limit per scene: large boxes on one busy core take seconds.
_EXPECTED_S_PER_SCENE = 60.0


@dataclass(frozen=True)
class Scene:
    """Beads in a box: positions (n, 3) and cell (3, 3), rows, A; bead types (n,)."""

    positions_A: np.ndarray
    cell_A: np.ndarray
    bead_types: np.ndarray

    def wrapped(self) -> np.ndarray:
        """(n, 3) positions within the cell, A."""
        return wrap(self.positions_A, self.cell_A)[0]


@dataclass(frozen=True)
class Picture:
    """One rendered frame: whose, ``first`` or ``last``, its time, and (h, w, 3) pixels."""

    model: str
    label: str
    when: str
    time_ps: float
    image: np.ndarray


def type_colours(type_names: Sequence[str]) -> dict[str, str]:
    """Colour of each bead type."""
    return {name: TYPE_COLOURS[number % len(TYPE_COLOURS)] for number, name in enumerate(type_names)}


def touching_radii_A(reference: pd.DataFrame, type_names: Sequence[str]) -> np.ndarray:
    """(n_types,) half the distance below which like beads practically never come (g < 0.1), A.

    Parameters
    ----------
    reference: curves of the reference (`structure.curves`); types without an RDF of their own get a default.
    """
    radii = np.full(len(type_names), DEFAULT_RADIUS_A)
    curves = reference[reference["metric"] == RDF.metric]
    for index, name in enumerate(type_names):
        own = curves[curves["item"] == f"{name}-{name}"].sort_values("x")
        near = own.loc[own["value"] >= _TOUCHING, "x"]
        if len(near):
            radii[index] = float(near.iloc[0]) / 2
    return radii


def render_all(
    scenes: Sequence[Scene],
    type_names: Sequence[str],
    size_px: int = 480,
    radii_A: np.ndarray | None = None,
    renderer: str = "auto",
) -> list[np.ndarray]:
    """Pictures (size_px, size_px, 3), uint8, of scenes; one line in the log says which renderer made them.

    Parameters
    ----------
    renderer: of `RENDERERS`; ``auto`` falls back to matplotlib, ``ovito`` raises where OVITO does not run.

    Raises
    ------
    InputError
        A bead type without a name, or an unknown renderer.
    RuntimeError
        OVITO was asked for and does not run.
    """
    if renderer not in RENDERERS:
        raise InputError("pictures", "renderer", renderer, " | ".join(RENDERERS))
    for scene in scenes:
        if len(scene.bead_types) and int(scene.bead_types.max()) >= len(type_names):
            raise InputError("pictures", "bead types", int(scene.bead_types.max()), f"below {len(type_names)}")
    if not scenes:
        return []
    radii = np.full(len(type_names), DEFAULT_RADIUS_A) if radii_A is None else np.asarray(radii_A, dtype=np.float64)
    colours = np.array([to_rgb(colour) for colour in type_colours(type_names).values()])
    if renderer != "matplotlib":
        try:
            images = _with_ovito(scenes, size_px, colours, radii)
            log.info("pictures: %d by OVITO", len(images))
            return images
        except RuntimeError as error:
            if renderer == "ovito":
                raise
            log.info("pictures: %d by matplotlib; OVITO: %s", len(scenes), error)
    return [_with_matplotlib(scene, size_px, colours, radii) for scene in scenes]


def render(
    positions_A: np.ndarray,
    cell_A: np.ndarray,
    bead_types: np.ndarray,
    type_names: Sequence[str],
    size_px: int = 480,
    radii_A: np.ndarray | None = None,
    renderer: str = "auto",
) -> np.ndarray:
    """One picture; see `render_all`, which is faster for several."""
    return render_all([Scene(positions_A, cell_A, bead_types)], type_names, size_px, radii_A, renderer)[0]


def _with_ovito(scenes: Sequence[Scene], size_px: int, colours: np.ndarray, radii: np.ndarray) -> list[np.ndarray]:
    """In a process of its own; RuntimeError where it fails."""
    arrays = {"size_px": np.array(size_px), "colours": colours, "radii_A": radii, "direction": _DIRECTION}
    for number, scene in enumerate(scenes):
        arrays[f"positions_{number}"] = scene.wrapped()
        arrays[f"cell_{number}"] = np.asarray(scene.cell_A, dtype=np.float64)
        arrays[f"half_{number}"] = np.array(_frame_of_view(scene.cell_A, radii)[1])
        arrays[f"types_{number}"] = np.asarray(scene.bead_types, dtype=np.int64)
    with tempfile.TemporaryDirectory(prefix="cgdistill-pictures-") as folder:
        source, target = Path(folder) / "scenes.npz", Path(folder) / "images.npz"
        np.savez(source, **arrays)  # type: ignore[arg-type]
        # -P: the package's folder must not come before the standard library.
        command = [sys.executable, "-P", ovito_render.__file__, str(source), str(target)]
        try:
            limit_s = 120.0 + _EXPECTED_S_PER_SCENE * len(scenes)
            done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise RuntimeError(str(error)) from None
        if done.returncode or not target.is_file():
            last = (done.stderr.strip() or "no message").splitlines()[-1]
            raise RuntimeError(f"exit status {done.returncode}, {last}")
        with np.load(target, allow_pickle=False) as file:
            return [file[f"image_{number}"] for number in range(len(scenes))]


def _axes_of_view() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Right, up and towards the viewer."""
    towards = -_DIRECTION / np.linalg.norm(_DIRECTION)
    right = np.cross([0.0, 0.0, 1.0], towards)
    right /= np.linalg.norm(right)
    return right, np.cross(towards, right), towards


def _frame_of_view(cell_A: np.ndarray, radii: np.ndarray) -> tuple[np.ndarray, float]:
    """Centre (2,) of the box as seen and half the edge of the square that holds it with its beads, A."""
    right, up, _ = _axes_of_view()
    flat = _CORNERS @ cell_A @ np.stack([right, up], axis=1)
    return 0.5 * (flat.min(axis=0) + flat.max(axis=0)), 0.5 * float(np.ptp(flat, axis=0).max()) + float(radii.max())


def _with_matplotlib(scene: Scene, size_px: int, colours: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Discs, far ones first and paler; edges of the box behind them or in front."""
    right, up, towards = _axes_of_view()
    positions, types = scene.wrapped(), np.asarray(scene.bead_types, dtype=np.int64)
    order = np.argsort(positions @ towards, kind="stable")
    positions, types = positions[order], types[order]
    points = _CORNERS @ scene.cell_A
    flat = np.stack([points @ right, points @ up], axis=1)
    pairs = [(a, b) for a in range(8) for b in range(a + 1, 8) if np.abs(_CORNERS[a] - _CORNERS[b]).sum() == 1]
    depth = points @ towards
    hidden = int(depth.argmin())
    near, far = float(depth.max()), float(depth.min())
    centre, half = _frame_of_view(scene.cell_A, radii)

    figure = Figure(figsize=(size_px / 100, size_px / 100), dpi=100)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    axes.set_xlim(centre[0] - half, centre[0] + half)
    axes.set_ylim(centre[1] - half, centre[1] + half)
    lines = {"colors": "#404040", "linewidths": size_px / 400}
    behind = [flat[[a, b]] for a, b in pairs if hidden in (a, b)]
    front = [flat[[a, b]] for a, b in pairs if hidden not in (a, b)]
    axes.add_collection(LineCollection(behind, zorder=1, **lines))
    if len(positions):
        share = np.clip((near - positions @ towards) / max(near - far, 1e-12), 0.0, 1.0)[:, None]
        diameters = 2.0 * radii[types]
        discs = EllipseCollection(
            diameters,
            diameters,
            np.zeros(len(types)),
            units="xy",
            offsets=np.stack([positions @ right, positions @ up], axis=1),
            transOffset=axes.transData,
            facecolors=colours[types] * (1.0 - 0.45 * share) + 0.45 * share,
            edgecolors="#333333",
            linewidths=size_px / 1200,
            zorder=2,
        )
        axes.add_collection(discs)
    axes.add_collection(LineCollection(front, zorder=3, **lines))
    canvas.draw()  # type: ignore[no-untyped-call]
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()  # type: ignore[no-untyped-call]


def take_pictures(
    beads: str | Path,
    trajectories: Mapping[str, Sequence[str | Path]],
    reference: pd.DataFrame,
    *,
    labels: Mapping[str, str] | None = None,
    size_px: int = 480,
    renderer: str = "auto",
) -> tuple[list[Picture], tuple[str, ...]]:
    """First and last frame of the reference and of one run per model.

    Parameters
    ----------
    beads: bead trajectory of the reference.
    trajectories: by variant, the dumps of one run in the order of time (equilibration, production); empty ones pass.
    reference: curves of the reference, for the radii.
    labels: of the variants.

    Returns
    -------
    Pictures, reference first (model ``AA``), and the names of the bead types.
    """
    with BeadFile(beads) as file:
        topology = file.topology
        ends = file.frames(np.unique([0, len(file) - 1]))
    found: list[tuple[str, str, float, Scene]] = []
    for when, at in (("first", 0), ("last", -1)):
        scene = Scene(ends.positions_A[at], ends.cells_A[at], topology.bead_types)
        found.append(("AA", when, float(ends.times_ps[at] - ends.times_ps[0]), scene))
    for variant, paths in trajectories.items():
        frames = _ends_of(paths)
        if frames is None:
            log.info("pictures: %s has no frame", variant)
            continue
        for when, frame in zip(("first", "last"), frames, strict=True):
            if frame.types is None:
                raise InputError(paths[0], f"step {frame.step}", "no column 'type'", "bead types")
            time_ps = np.nan if frame.time_ps is None else frame.time_ps
            scene = Scene(frame.positions_A - frame.origin_A, frame.cell_A, frame.types - 1)
            found.append((variant, when, time_ps, scene))
    radii = touching_radii_A(reference, topology.type_names)
    images = render_all([scene for *_, scene in found], topology.type_names, size_px, radii, renderer)
    pictures = [
        Picture(model, (labels or {}).get(model, model), when, time_ps, image)
        for (model, when, time_ps, _), image in zip(found, images, strict=True)
    ]
    return pictures, topology.type_names


def _ends_of(paths: Sequence[str | Path]) -> tuple[DumpFrame, DumpFrame] | None:
    """First and last frame over dumps that follow each other."""
    first = last = None
    for path in paths:
        if Path(path).stat().st_size == 0:
            continue
        for frame in read_dump(path):
            first = frame if first is None else first
            last = frame
    return None if first is None or last is None else (first, last)
