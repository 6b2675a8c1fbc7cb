"""What is to be computed: the config section ``structure``, parsed and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..core.errors import InputError
from ..geometry.cells import perpendicular_widths_A
from .conventions import CGDISTILL
from .metrics import METRICS
from .metrics.base import Beads


@dataclass(frozen=True)
class StructureSpec:
    """Settings of the structure analysis.

    Attributes
    ----------
    settings: by name of the metric, in the order of the register; metrics that are not wanted are left out.
    source: name of the config in messages.
    convention: how curves are normalised, ``cgdistill`` or, for comparison with that program, ``travis``.
    """

    settings: Mapping[str, Any]
    source: str = "config"
    convention: str = CGDISTILL

    @classmethod
    def from_config(cls, section: Mapping[str, Any], source: str = "config") -> StructureSpec:
        """Parse the config section ``structure``: a section for each metric.

        Raises
        ------
        InputError
            A metric that is unknown, a required one that is missing, or what `Metric.settings` refuses.
        """
        needed = [name for name, metric in METRICS.items() if metric.required]
        if not isinstance(section, Mapping):
            raise InputError(source, "structure", section, f"the keys {', '.join(needed)}")
        # Configs written before there was one convention name it.
        convention = section.get("convention", CGDISTILL)
        if convention != CGDISTILL:
            expected = f"{CGDISTILL}; curves of other conventions are made by the commands of 'cgdistill'"
            raise InputError(source, "structure.convention", convention, expected)
        chosen = [name for name in section if name != "convention"]
        if set(chosen) - set(METRICS) or set(needed) - set(chosen):
            raise InputError(source, "structure", f"the keys {', '.join(map(str, chosen))}", ", ".join(METRICS))
        settings = {name: METRICS[name].settings(section[name], source) for name in METRICS if name in section}
        return cls(settings, source)

    def only(self, *names: str) -> StructureSpec:
        """The same settings of some of the metrics."""
        return replace(self, settings={name: own for name, own in self.settings.items() if name in names})

    @property
    def reach_A(self) -> float:
        """Largest distance, A, that has to fit into half of the cell."""
        return max((METRICS[name].reach_A(own) for name, own in self.settings.items()), default=0.0)

    def parameters(self, name: str) -> tuple[float, ...]:
        """Values of the parameter of the curves of a metric (NaN: no parameter); empty where it has no curves."""
        return METRICS[name].parameters(self.settings[name]) if name in self.settings else ()


def check_grids(spec: StructureSpec, type_names: Sequence[str], bead_types: np.ndarray, cells_A: np.ndarray) -> None:
    """Check the spec against a system, before any work.

    Parameters
    ----------
    bead_types: (n_beads,) index into ``type_names``.
    cells_A: (n_frames, 3, 3) or (3, 3) rows are the cell vectors.

    Raises
    ------
    InputError
        A radius beyond half of the smallest width of the cell, a cell without volume, an unknown type, or an item
        that the beads of the system cannot form.
    """
    widths = perpendicular_widths_A(cells_A)
    if not (np.isfinite(widths).all() and (widths > 0).all()):
        raise InputError(spec.source, "cell", np.asarray(cells_A).tolist(), "three vectors that span a volume")
    half = 0.5 * float(widths.min())
    beads = Beads.of(type_names, bead_types)
    for name, settings in spec.settings.items():
        reach = METRICS[name].reach_A(settings)
        if reach > half:
            expected = f"at most {half:.3f} A, half of the smallest width of the cell"
            raise InputError(spec.source, f"structure.{name}.r_max_A", f"{reach:g} A", expected)
        METRICS[name].check(settings, beads, spec.source)
