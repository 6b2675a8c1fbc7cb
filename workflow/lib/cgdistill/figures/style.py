"""One look for all figures: colours and order of the models, sizes, and how figures are written.

A model has the same colour in every figure of every run: the variants of Olowookere et al.
(arXiv 2510.26650) have fixed ones, others take the next free colour of their family (`config.models`).
"""

from __future__ import annotations

import colorsys
import re
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from io import StringIO
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from ..config.models import GROUP_TITLES, Model, in_groups
from ..core.vocabulary import ModelKind
from ..runtime.atomic_files import whole_file

P = ParamSpec("P")
R = TypeVar("R")

REFERENCE_COLOUR = "#000000"
FAILED_COLOUR = "#c1121f"
NEUTRAL_COLOUR = "#5c6670"

#: Colours and line styles of the paper's models, by label.
_FIXED: dict[str, tuple[str, Any]] = {
    "T": ("#8795a8", "-"),
    "T8": ("#1f5fd0", "-"),
    "S1Fε": ("#e4572e", "-"),
    "S1fε": ("#8f1020", "--"),
    "S1Ffε": ("#f29a92", "-."),
    "S8Ff": ("#b5c918", "-"),
    "S8Fε": ("#00a676", "--"),
    "S8fε": ("#6fbf73", "-."),
    "S8Ffε": ("#14532d", "-"),
    "S8FfE": ("#2f8f2f", ":"),
    "S8FfEε": ("#0f8b8d", (0, (5, 1, 1, 1))),
}
#: Hue (degrees) around which further colours of a family are made.
_HUES = {"T": 215.0, "T8": 220.0, "S1": 5.0, "S8": 145.0}
_LINES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1)))

FONT_SIZE = 9.0
SMALL = 7.5
#: seaborn's theme for papers, and what is ours.
RC: Any = {
    **sns.plotting_context("paper"),
    **sns.axes_style("whitegrid"),
    "font.family": "DejaVu Sans",
    "font.size": FONT_SIZE,
    "axes.titlesize": FONT_SIZE,
    "axes.titleweight": "bold",
    "axes.labelsize": FONT_SIZE,
    "axes.edgecolor": "#333333",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "grid.color": "#e3e6ea",
    "grid.linewidth": 0.6,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "errorbar.capsize": 2.5,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.fonttype": "path",
    "svg.hashsalt": "cgdistill",
    "path.simplify_threshold": 0.2,
}
_PNG_DPI = 160
_PATH = re.compile(r' d="[^"]*"')
_DIGITS = re.compile(r"(\.\d\d)\d+")


class Palette:
    """Colour and line style of each model of a run."""

    def __init__(self, models: Iterable[Model]) -> None:
        self.models = list(models)
        self._looks: dict[str, tuple[str, Any]] = {}
        extra: dict[str, int] = {}
        for model in self.models:
            look = _FIXED.get(model.family if not ModelKind(model.kind).is_student else model.label)
            if look is None or look in self._looks.values():
                number = extra[model.family] = extra.get(model.family, -1) + 1
                look = _further_look(model.family, number)
            self._looks[model.name] = look

    def colour(self, name: str) -> str:
        """Colour of a variant."""
        return self._looks[name][0]

    def line(self, name: str) -> Any:
        """Line style of a variant."""
        return self._looks[name][1]

    def label(self, name: str) -> str:
        """Label of a variant, as plain text for matplotlib."""
        return next(plain(model.label) for model in self.models if model.name == name)

    def families(self) -> list[tuple[str, list[Model]]]:
        """Columns of models in figures of curves: T and T8 together, S1, S8; empty ones are left out."""
        return [(GROUP_TITLES[name], members) for name, members in in_groups(self.models).items()]


def _further_look(family: str, number: int) -> tuple[str, Any]:
    """Look number ``number`` beyond the fixed ones: hue and lightness step around the family's hue."""
    hue = (_HUES[family] + (-22.0, 22.0, 0.0)[number % 3] + 3.0 * (number // 3)) % 360.0
    lightness = 0.30 + 0.11 * ((2 * number + number // 3) % 5)
    return to_hex(colorsys.hls_to_rgb(hue / 360.0, lightness, 0.62)), _LINES[number % len(_LINES)]


def member_looks(names: Sequence[str]) -> dict[str, tuple[str, Any]]:
    """Colour and line style of each teacher, and of the students of one teacher, by the teachers' order."""
    palette = "colorblind" if len(names) <= 10 else "husl"
    colours = sns.color_palette(palette, max(1, len(names)))
    return {
        name: (to_hex(colour), _LINES[place % 4])
        for place, (name, colour) in enumerate(zip(names, colours, strict=False))
    }


def plain(text: str) -> str:
    """Text that matplotlib takes literally (no mathtext)."""
    return text.replace("$", r"\$")


def styled(function: Callable[P, R]) -> Callable[P, R]:
    """Run a drawing function under the common settings."""

    @wraps(function)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> R:
        with mpl.rc_context(RC):
            return function(*args, **kwargs)

    return drawn


def new_figure(
    rows: int, columns: int, width: float, height: float, **subplots: Any
) -> tuple[Figure, list[list[Axes]]]:
    """A figure of ``rows`` x ``columns`` panels, inches; panels as a list of rows."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, squeeze=False, **subplots)
    return figure, [list(row) for row in panels]


def panel_grid(
    widths: Sequence[float],
    gaps: Sequence[float],
    n_rows: int,
    height: float,
    gap: float,
    bottom: float,
    top: float,
) -> tuple[Figure, list[list[Axes]]]:
    """A figure of panels at fixed places, all in inches: finding a layout of many panels costs more than drawing them.

    Parameters
    ----------
    widths: of the columns; ``gaps``: free space left of each.
    height: of each row; ``gap``: free space between rows; ``bottom``, ``top``: below the last and above the first.
    """
    total_width = sum(widths) + sum(gaps) + 0.12
    total_height = n_rows * height + (n_rows - 1) * gap + bottom + top
    figure = Figure(figsize=(total_width, total_height))
    FigureCanvasAgg(figure)
    panels: list[list[Axes]] = []
    for row in range(n_rows):
        y = bottom + (n_rows - 1 - row) * (height + gap)
        panels.append([])
        x = 0.0
        for width, space in zip(widths, gaps, strict=True):
            x += space
            place = (x / total_width, y / total_height, width / total_width, height / total_height)
            panels[-1].append(figure.add_axes(place))
            x += width
    return figure, panels


def text_width(texts: Iterable[str], size: float) -> float:
    """Width in inches that texts of ``size`` points do not exceed, but for runs of the widest letters."""
    return max((len(text) for text in texts), default=0) * 0.68 * size / 72


def save(figure: Figure, stem: str | Path) -> tuple[Path, Path]:
    """Write ``<stem>.svg`` and ``<stem>.png``; the same figure gives the same bytes.

    Returns
    -------
    The two paths, SVG first.
    """
    for axes in figure.axes:  # what lies inside the panels need not be measured for the layout
        for artist in [*axes.lines, *axes.collections, *axes.patches, *axes.texts]:
            artist.set_in_layout(False)
    stem = Path(stem)
    svg, png = stem.with_name(stem.name + ".svg"), stem.with_name(stem.name + ".png")
    with mpl.rc_context(RC):
        figure.set_dpi(_PNG_DPI)
        engine = figure.get_layout_engine()
        if engine is not None:
            engine.execute(figure)
            figure.set_layout_engine("none")  # found once; savefig would find it, and draw, once more per file
        text = StringIO()
        svg_canvas: Any = FigureCanvasSVG(figure)
        svg_canvas.print_svg(text, metadata={"Date": None, "Creator": "cgdistill"})
        with whole_file(svg) as partial:
            partial.write_text(_shorter_paths(text.getvalue()), encoding="utf-8")
        figure.set_dpi(_PNG_DPI)  # print_svg leaves that of SVG
        png_canvas: Any = FigureCanvasAgg(figure)
        with whole_file(png) as partial:
            png_canvas.print_png(str(partial), metadata={"Software": "cgdistill"}, pil_kwargs={"format": "png"})
    return svg, png


def _shorter_paths(svg: str) -> str:
    """SVG with coordinates of paths cut to hundredths of a point: half the size, and no difference to see."""
    return _PATH.sub(lambda match: _DIGITS.sub(r"\1", match[0]), svg)
