"""Pairwise splines as an architecture: found by least squares, simulated by ``pair_style table`` of LAMMPS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.errors import InputError
from ...io.untrusted import shown
from ..architecture import LammpsModel, LammpsScript, SolvedArchitecture, settings_in
from ..lammps_style import LammpsStyle
from .basis import PairSplineSpec, SplineBasis

if TYPE_CHECKING:
    import torch

    from ...data.pair_frames import PairFrames
    from .mean import PairSplinePotential
    from .model import PairSplineModel

#: Of a model: its normal equations hold the square of this number, 0.5 GB.
_MOST_PARAMETERS = 8000
_TABLE_FILE = "pair.table"
_USAGE = """\
- In LAMMPS, with any build and any number of MPI ranks: `lmp -in in.lammps` in this folder. `pair.table` holds energy
  and force of each pair of bead types{mean}, evenly spaced in r².
"""


class PairSplineArchitecture(SolvedArchitecture):
    """See `architecture.Architecture`."""

    name = "pair-spline"
    title = "pairwise spline model"
    words = {"knot_spacing_A": "knots every {} Å", "degree": "degree {}", "cutoff_A": "cutoff {} Å"}

    def spec(self, values: Any, n_types: int, source: str | Path = "network") -> PairSplineSpec:
        """See `Architecture.spec`."""
        types = {field.name: type(field.default) for field in fields(PairSplineSpec)}
        given = settings_in(values, source)
        if set(given) != set(types):
            raise InputError(source, "network", sorted(map(str, given)), f"settings {', '.join(sorted(types))}")
        for key, kind in types.items():
            value = given[key]
            if not (type(value) is kind or (kind is float and type(value) is int)):
                raise InputError(source, f"network.{key}", shown(value), f"a value of type {kind.__name__}")
        spec = PairSplineSpec(**given)
        if (n := self.n_weights(spec, n_types)) > _MOST_PARAMETERS:
            raise InputError(source, "network", f"{n} parameters", f"up to {_MOST_PARAMETERS}: fewer knots")
        return spec

    def n_weights(self, spec: PairSplineSpec, n_types: int) -> int:
        """See `Architecture.n_weights`: coefficients and shortest distances of pairs, constants of types."""
        return n_types * (n_types + 1) // 2 * (SplineBasis.of(spec).n_functions + 1) + n_types

    def restore(
        self, spec: PairSplineSpec, type_names: Sequence[str], weights: Mapping[str, torch.Tensor], source: str | Path
    ) -> PairSplineModel:
        """See `Architecture.restore`."""
        from .model import PairSplineModel

        names = ("coefficients", "shortest_A", "constants_kcal_mol")
        if set(weights) != set(names):
            raise InputError(source, "weights", sorted(weights)[:4], ", ".join(names))
        try:
            return PairSplineModel(spec, tuple(type_names), *(weights[name].double().numpy() for name in names))
        except InputError as error:
            raise InputError(source, error.item, error.found, error.expected) from None

    def solve(
        self,
        spec: PairSplineSpec,
        type_names: Sequence[str],
        frames: PairFrames,
        training: np.ndarray,
        weights: Mapping[str, float],
        seed: int,
    ) -> PairSplineModel:
        """See `SolvedArchitecture.solve`."""
        from .training import train_pair_spline

        return train_pair_spline(spec, tuple(type_names), frames, training, weights, seed)

    def untrained(self, spec: PairSplineSpec, type_names: Sequence[str]) -> PairSplineModel:
        """See `SolvedArchitecture.untrained`."""
        from .model import PairSplineModel

        n_pairs = len(type_names) * (len(type_names) + 1) // 2
        coefficients = np.zeros((n_pairs, SplineBasis.of(spec).n_functions))
        constants = np.zeros(len(type_names))
        return PairSplineModel(spec, tuple(type_names), coefficients, np.full(n_pairs, np.inf), constants)

    def potential(self, models: Sequence[PairSplineModel], skin_A: float = 1.5, **settings: Any) -> PairSplinePotential:
        """See `Architecture.potential`; in float64 on the CPU whatever the settings."""
        from .mean import PairSplinePotential

        return PairSplinePotential(models, skin_A)

    def for_simulation(
        self,
        ensembles: Sequence[Sequence[PairSplineModel]],
        bead_types: np.ndarray,
        *,
        coupling: str,
        skin_A: float,
        device: torch.device | str,
        folder: Path,
    ) -> list[LammpsModel]:
        """See `Architecture.for_simulation`: tables of each ensemble in LAMMPS, on the CPU."""
        styles: dict[tuple[int, ...], LammpsStyle] = {}
        for ensemble in ensembles:
            key = tuple(map(id, ensemble))
            if key not in styles:
                path = folder / f"{len(styles)}.table"
                styles[key] = _write_table(path, ensemble, str(path))
        return [LammpsModel(ensemble[0].type_names, styles[tuple(map(id, ensemble))]) for ensemble in ensembles]

    def exported_files(self, settings: Mapping[str, Any]) -> tuple[str, ...]:
        """See `Architecture.exported_files`."""
        return (_TABLE_FILE,)

    def export(self, folder: Path, models: Sequence[PairSplineModel]) -> list[LammpsScript]:
        """See `Architecture.export`."""
        style = _write_table(folder / _TABLE_FILE, models, _TABLE_FILE)
        mean = f", the mean of {len(models)} models" if len(models) > 1 else ""
        return [LammpsScript("in.lammps", style, "Any build of LAMMPS will do.", _USAGE.format(mean=mean))]

    def methods(self, settings: Mapping[str, Any]) -> str:
        """See `Architecture.methods`."""
        return (
            f"The force between two beads depends on their distance and types alone: a B-spline of degree "
            f"{settings['degree']} per pair of types, with knots every {settings['knot_spacing_A']:g} Å up to a cutoff "
            f"of {settings['cutoff_A']:g} Å, at which it vanishes"
        )

    def training_methods(self, settings: Mapping[str, Any]) -> str:
        """See `SolvedArchitecture.training_methods`."""
        text = (
            "Force matching by linear least squares (the MS-CG method): the coefficients minimise the sum over targets "
            "of weight times RMSE on the training frames, with a penalty on the curvature of the force that counts as "
            f"much as the data of {settings['smoothing_pairs']:g} pairs."
        )
        if settings["bootstrap"]:
            text += " Each model was fitted to training frames drawn with replacement (bootstrap), by its own seed."
        return text


ARCHITECTURE = PairSplineArchitecture()


def _write_table(path: Path, models: Sequence[PairSplineModel], name: str) -> LammpsStyle:
    """Write the tables of the mean of models; the style of LAMMPS that reads them under ``name``."""
    from .mean import PairSplineMean
    from .table import choose_points, style, write_tables

    mean = PairSplineMean(models)
    tables = choose_points(mean)
    write_tables(path, mean, tables)
    return style(mean, tables, name)
