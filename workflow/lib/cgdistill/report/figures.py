"""Figures of the report page: where they stand, what is said below them, and how they are embedded."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from PIL import Image

from ..core.errors import InputError
from ..figures.catalogue import Entry

#: A figure goes into the page as SVG up to this size; beyond it as an image, if that is smaller.
SVG_LIMIT_BYTES = 150_000
#: Root mean square of the loss, of 255, up to which an image of 256 colours stands for the full one.
_LOSS_LIMIT = 3.0
_WEBP_QUALITY = 90


@dataclass(frozen=True)
class ReportFigure:
    """One figure of the page.

    Attributes
    ----------
    section: of `figures.catalogue.Entry`.
    files: SVG and PNG, or one of them.
    folded: opens on a click.
    variant: of a model's own figure; empty for others.
    """

    stem: str
    section: str
    title: str
    caption: str
    files: tuple[Path, ...]
    folded: bool = False
    variant: str = ""

    def source(self) -> str:
        """The figure as a data URI."""
        media, content = embedded(self.files)
        return f"data:image/{media};base64,{base64.b64encode(content).decode('ascii')}"

    def size(self) -> tuple[int, int] | None:
        """Width and height, whose ratio keeps the place of an image that has not been decoded; None if not known."""
        for path in self.files:
            if path.suffix == ".png":
                with Image.open(path) as image:
                    return image.size
        match = re.search(rb'viewBox="0 0 ([0-9.]+) ([0-9.]+)"', self.files[0].read_bytes()[:4000])
        return (round(float(match[1])), round(float(match[2]))) if match else None


def embedded(files: Sequence[Path]) -> tuple[str, bytes]:
    """Media type and content of a figure for the page: sharp where that is small, small where it is not.

    Parameters
    ----------
    files: SVG, PNG or both, of the same figure.

    Returns
    -------
    ``svg+xml``, ``png`` (of 256 colours) or ``webp`` (of pictures that need more), and the bytes.
    """
    by_suffix = {path.suffix: path for path in files}
    svg, png = by_suffix.get(".svg"), by_suffix.get(".png")
    if svg is not None and (png is None or svg.stat().st_size <= SVG_LIMIT_BYTES):
        return "svg+xml", svg.read_bytes()
    if png is None:
        raise InputError("report", "figure", sorted(map(str, files)), "an SVG or PNG file")
    media, content = compressed(png)
    if svg is not None and svg.stat().st_size <= len(content):
        return "svg+xml", svg.read_bytes()
    return media, content


def compressed(png: Path) -> tuple[str, bytes]:
    """A PNG in 256 colours, or as WebP where those do not do."""
    buffer = io.BytesIO()
    with Image.open(png) as image:
        full = image.convert("RGB")
    few = full.quantize(256, dither=Image.Dither.NONE)
    loss = np.asarray(full, dtype=np.float32) - np.asarray(few.convert("RGB"), dtype=np.float32)
    if float(np.sqrt(np.mean(loss**2))) <= _LOSS_LIMIT:
        few.save(buffer, "PNG", optimize=True)
        return "png", buffer.getvalue()
    full.save(buffer, "WEBP", quality=_WEBP_QUALITY)
    return "webp", buffer.getvalue()


class Captions:
    """Captions of figures: templates that are filled in with values.

    Parameters
    ----------
    paths: the templates; an entry of the catalogue names one by its stem.
    context: values by name. Templates of curves find there the ``metric`` too.
    """

    def __init__(self, paths: Iterable[str | Path], **context: Any) -> None:
        self._paths, self._context = {Path(path).stem: Path(path) for path in paths}, context

    def of(self, entry: Entry) -> str:
        """Caption of a figure; empty without a template.

        Raises
        ------
        InputError
            A template names a value that does not exist.
        """
        path = self._paths.get(entry.caption)
        if path is None:
            return ""
        try:
            template = jinja2.Template(path.read_text(encoding="utf-8"), undefined=jinja2.StrictUndefined)
            return " ".join(template.render(self._context, metric=entry.metric).split())
        except jinja2.UndefinedError as error:
            raise InputError(path, "caption", error, "names of values that exist") from None


def place_figures(paths: Iterable[str | Path], entries: Sequence[Entry], captions: Captions) -> list[ReportFigure]:
    """Figures in the order of the catalogue, each with its section, title and caption.

    Parameters
    ----------
    paths: SVG and PNG files; those of one figure share their stem.
    entries: of `figures.catalogue.catalogue`; those without files are left out.

    Raises
    ------
    InputError
        A file that the catalogue does not know.
    """
    files: dict[str, list[Path]] = {}
    for path in map(Path, paths):
        files.setdefault(path.stem, []).append(path)
    by_stem = {entry.stem: entry for entry in entries}
    for stem, found in files.items():
        if stem not in by_stem:
            raise InputError(found[0], "figure", stem, f"one of {', '.join(by_stem)}")
    return [
        ReportFigure(entry.stem, entry.section, entry.title, captions.of(entry), tuple(files[entry.stem]),
                     entry.folded, entry.variant)
        for entry in entries if entry.stem in files
    ]  # fmt: skip
