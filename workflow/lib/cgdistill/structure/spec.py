"""What is to be computed: the config section ``structure``, parsed and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.errors import InputError
from ..geometry.cells import perpendicular_widths_A
from .grids import Grid

METRICS = ("rdf", "adf", "cdf")
#: How curves are normalised, see docs/structure.md.
CGDISTILL, TRAVIS = CONVENTIONS = ("cgdistill", "travis")
#: Windows of the time-resolved CDF where the section does not say, ps.
RESOLVED_EVERY_PS = 10.0
_KEYS = {
    "rdf": ("r_max_A", "bin_width_A"),
    "adf": ("triplets", "r_max_A", "bin_width_deg"),
    "cdf": ("r_max_A", "bin_width_A"),
}
_OPTIONAL = {"structure": ("convention",), "structure.cdf": ("resolved_every_ps",)}


@dataclass(frozen=True)
class StructureSpec:
    """Grids and triplets of the structure analysis.

    Attributes
    ----------
    rdf, adf, cdf: grids, A and degrees.
    triplets: names of bead types, the middle one is the centre; the ends in the order given.
    adf_r_max_A: radii of the ADF, ascending.
    source: name of the config in messages.
    convention: how curves are normalised, ``cgdistill`` or ``travis``.
    cdf_resolved_every_ps: length of the windows over which a time-resolved CDF is averaged.
    """

    rdf: Grid
    adf: Grid
    cdf: Grid
    triplets: tuple[tuple[str, str, str], ...]
    adf_r_max_A: tuple[float, ...]
    source: str = "config"
    convention: str = CGDISTILL
    cdf_resolved_every_ps: float = RESOLVED_EVERY_PS

    @classmethod
    def from_config(cls, section: Mapping[str, Any], source: str = "config") -> StructureSpec:
        """Parse the config section ``structure``; ``convention`` and ``cdf.resolved_every_ps`` may be left out.

        Raises
        ------
        InputError
            A key that is missing or unknown, a value of the wrong kind, bins that do not fill the range.
        """
        _check_keys(section, source)

        def length_grid(metric: str) -> Grid:
            stop = _number(section[metric]["r_max_A"], f"structure.{metric}.r_max_A", source)
            key = f"structure.{metric}.bin_width_A"
            width = _number(section[metric]["bin_width_A"], key, source)
            return Grid.from_config(key, 0.0, stop, width, "A", source)

        convention = section.get("convention", CGDISTILL)
        if convention not in CONVENTIONS:
            raise InputError(source, "structure.convention", convention, " or ".join(CONVENTIONS))
        resolved = section["cdf"].get("resolved_every_ps", RESOLVED_EVERY_PS)
        adf = section["adf"]
        key = "structure.adf.bin_width_deg"
        angles = Grid.from_config(key, 0.0, 180.0, _number(adf["bin_width_deg"], key, source), "deg", source)
        return cls(
            rdf=length_grid("rdf"),
            adf=angles,
            cdf=length_grid("cdf"),
            triplets=_triplets(adf["triplets"], source),
            adf_r_max_A=_radii(adf["r_max_A"], source),
            source=source,
            convention=convention,
            cdf_resolved_every_ps=_number(resolved, "structure.cdf.resolved_every_ps", source),
        )

    def triplet_indices(self, type_names: Sequence[str]) -> np.ndarray:
        """(n_triplets, 3) indices of the types of each triplet.

        Raises
        ------
        InputError
            A triplet names a type that does not exist.
        """
        names = list(type_names)
        for number, triplet in enumerate(self.triplets):
            for name in triplet:
                if name not in names:
                    raise InputError(
                        self.source, f"structure.adf.triplets[{number}]", name, f"one of {', '.join(names)}"
                    )
        indices = [[names.index(name) for name in triplet] for triplet in self.triplets]
        return np.array(indices, dtype=np.int64).reshape(-1, 3)


def check_grids(spec: StructureSpec, type_names: Sequence[str], bead_types: np.ndarray, cells_A: np.ndarray) -> None:
    """Check the spec against a system, before any work.

    Beyond half of the smallest width of the cell a shell meets itself across the boundary; RDF and ADF
    refuse that. The CDF needs no such limit.

    Parameters
    ----------
    bead_types: (n_beads,) index into ``type_names``.
    cells_A: (n_frames, 3, 3) or (3, 3) rows are the cell vectors.

    Raises
    ------
    InputError
        A radius beyond half of the cell, a cell without volume, an unknown type in a triplet, or a triplet
        that the beads of the system cannot form.
    """
    widths = perpendicular_widths_A(cells_A)
    if not (np.isfinite(widths).all() and (widths > 0).all()):
        raise InputError(spec.source, "cell", np.asarray(cells_A).tolist(), "three vectors that span a volume")
    half = 0.5 * float(widths.min())
    for key, radius in (
        ("structure.rdf.r_max_A", spec.rdf.stop),
        ("structure.adf.r_max_A", max(spec.adf_r_max_A, default=0.0)),
    ):
        if radius > half:
            raise InputError(
                spec.source,
                key,
                f"{radius:g} A",
                f"at most {half:.3f} A, half of the smallest width of the cell",
            )
    n_of_type = np.bincount(bead_types, minlength=len(type_names))
    for number, triplet in enumerate(spec.triplet_indices(type_names)):
        needed = np.bincount(triplet, minlength=len(type_names))
        for index in np.flatnonzero(n_of_type < needed).tolist():
            raise InputError(
                spec.source,
                f"structure.adf.triplets[{number}]",
                f"{n_of_type[index]} bead(s) of type {type_names[index]}",
                f"at least {needed[index]}",
            )


def _check_keys(section: Mapping[str, Any], source: str) -> None:
    """Refuse a section with keys missing or unknown."""
    for prefix, part, keys in (
        ("structure", section, METRICS),
        *((f"structure.{metric}", section.get(metric), _KEYS[metric]) for metric in METRICS),
    ):
        if not isinstance(part, Mapping):
            raise InputError(source, prefix, part, f"the keys {', '.join(keys)}")
        if set(part) - set(_OPTIONAL.get(prefix, ())) != set(keys):
            raise InputError(source, prefix, f"the keys {', '.join(map(str, part))}", ", ".join(keys))


def _number(value: Any, key: str, source: str) -> float:
    """A positive finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise InputError(source, key, value, "a number above 0")
    return float(value)


def _radii(value: Any, source: str) -> tuple[float, ...]:
    key = "structure.adf.r_max_A"
    if not isinstance(value, list | tuple) or not value:
        raise InputError(source, key, value, "a list of radii, A")
    radii = sorted(_number(radius, key, source) for radius in value)
    if len(set(radii)) != len(radii):
        raise InputError(source, key, value, "each radius once")
    return tuple(radii)


def _triplets(value: Any, source: str) -> tuple[tuple[str, str, str], ...]:
    key = "structure.adf.triplets"
    if not isinstance(value, list | tuple):
        raise InputError(source, key, value, "a list of triplets of bead types")
    triplets: list[tuple[str, str, str]] = []
    for number, triplet in enumerate(value):
        if not isinstance(triplet, list | tuple) or len(triplet) != 3:
            raise InputError(source, f"{key}[{number}]", triplet, "three bead types, the centre in the middle")
        a, b, c = (str(name) for name in triplet)
        if (a, b, c) in triplets or (c, b, a) in triplets:
            raise InputError(source, f"{key}[{number}]", "-".join((a, b, c)), "each triplet once")
        triplets.append((a, b, c))
    return tuple(triplets)
