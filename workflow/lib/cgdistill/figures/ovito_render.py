"""Render beads in boxes with OVITO: a program of its own, ``python ovito_render.py scenes.npz images.npz``.

It runs as a process apart because importing OVITO starts Qt, which changes the backend that matplotlib would choose,
and because where libraries of OpenGL are missing the import may end the process. It imports nothing of the package.

``scenes.npz`` holds ``size_px``, ``colours`` (n_types, 3) from 0 to 1, ``radii_A`` (n_types,), ``direction`` (3,) of
view, and for each scene k ``positions_k`` (n, 3), ``cell_k`` (3, 3, rows), ``half_k`` of the height shown, all A, and
``types_k`` (n,);
``images.npz`` gets ``image_k`` (size, size, 3), uint8.
"""

from __future__ import annotations

import os
import sys

import numpy as np


def main(source: str, target: str) -> None:
    """Render all scenes of a file."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    os.environ.setdefault("OVITO_GUI_MODE", "0")
    with np.load(source, allow_pickle=False) as file:
        scenes = {name: file[name] for name in file.files}
    n_scenes = sum(name.startswith("positions_") for name in scenes)
    settings = (int(scenes["size_px"]), scenes["colours"], scenes["radii_A"], scenes["direction"])
    images = {
        f"image_{k}": _render(
            scenes[f"positions_{k}"],
            scenes[f"cell_{k}"],
            scenes[f"types_{k}"],
            *settings,
            float(scenes[f"half_{k}"]),
        )
        for k in range(n_scenes)
    }
    np.savez(target, **images)  # type: ignore[arg-type]


def _render(
    positions: np.ndarray,
    cell: np.ndarray,
    types: np.ndarray,
    size_px: int,
    colours: np.ndarray,
    radii: np.ndarray,
    direction: np.ndarray,
    half_A: float,
) -> np.ndarray:
    from ovito.data import DataCollection, ParticleType, SimulationCell
    from ovito.pipeline import Pipeline, StaticSource
    from ovito.vis import TachyonRenderer, Viewport

    data = DataCollection()
    box = SimulationCell(pbc=(True, True, True))
    matrix = np.zeros((3, 4))
    matrix[:, :3] = cell.T  # OVITO has the cell vectors as columns, the origin behind them
    box[...] = matrix
    box.vis.line_width = 0.006 * float(np.linalg.norm(cell.sum(axis=0)))
    box.vis.rendering_color = (0.25, 0.25, 0.25)
    data.objects.append(box)
    particles = data.create_particles(count=len(positions))
    particles.create_property("Position", data=positions)
    kinds = particles.create_property("Particle Type", data=types + 1)
    for kind, (colour, radius) in enumerate(zip(colours, radii, strict=True), start=1):
        kinds.types.append(ParticleType(id=kind, name=str(kind), color=tuple(colour), radius=float(radius)))
    pipeline = Pipeline(source=StaticSource(data=data))
    pipeline.add_to_scene()
    view = Viewport(type=Viewport.Type.Ortho, camera_dir=tuple(direction), camera_up=(0.0, 0.0, 1.0))
    size = (size_px, size_px)
    view.zoom_all(size=size)
    # Half of the height that is seen; the same frame around the box as in pictures by matplotlib.
    view.camera_pos = tuple(cell.sum(axis=0) / 2)
    view.fov = half_A
    renderer = TachyonRenderer(
        antialiasing_samples=8,
        ambient_occlusion=True,
        ambient_occlusion_brightness=0.75,
        ambient_occlusion_samples=6,
        shadows=False,
    )
    image = view.render_image(size=size, background=(1, 1, 1), renderer=renderer)
    pipeline.remove_from_scene()
    image = image.convertToFormat(image.Format.Format_RGBA8888)
    raw = np.frombuffer(image.constBits(), dtype=np.uint8).reshape(image.height(), image.bytesPerLine() // 4, 4)
    pixels: np.ndarray = raw[:, : image.width(), :3].copy()
    return pixels


if __name__ == "__main__":
    main(*sys.argv[1:])
