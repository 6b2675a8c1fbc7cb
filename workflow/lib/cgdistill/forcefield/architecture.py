"""What an architecture is: all that the rest of the library asks of one form of models.

A force field is the sum of a prior and of models of one architecture (`forcefield.ForceField`); the models are trained
as the difference to the prior. An architecture is defined by this interface alone: training, prediction, simulation,
export and report know no other form, and `registry` lists those that there are.

Modules that define architectures import numpy at most: the workflow asks them for names of files before any job runs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..core.errors import InputError
from .lammps_style import LammpsStyle

if TYPE_CHECKING:
    import torch

    from ..data.pair_frames import PairFrames
    from .potential import JointPotential, Potential
    from .trainable import Model, TrainableModel


#: Of a model: a thousand times as many as any network of Olowookere et al. has.
MOST_PARAMETERS = 10_000_000


@dataclass(frozen=True)
class LammpsModel:
    """Models that LAMMPS evaluates in a style of its own; the counterpart of a `Potential`, which is evaluated here.

    Attributes
    ----------
    type_names: names of the bead types in the order of the LAMMPS types.
    style: the pair style with its coefficients, without the prior.
    """

    type_names: tuple[str, ...]
    style: LammpsStyle


@dataclass(frozen=True)
class LammpsScript:
    """Input script of an exported model folder, as far as the architecture decides about it.

    Attributes
    ----------
    file: name of the script.
    style: the pair style of the models, without the prior; files are named as seen from the folder.
    about: comment at its head, lines without ``#``: what LAMMPS needs, how it is started.
    variables: commands before all others.
    before_box, after_box: commands before the beads are read, and between that and the pair style.
    any_number_of_ranks: whether velocities are drawn such that they do not depend on the number of MPI ranks.
    usage: a list item for the README of the folder.
    """

    file: str
    style: LammpsStyle
    about: str
    usage: str
    variables: tuple[str, ...] = ()
    before_box: tuple[str, ...] = ()
    after_box: tuple[str, ...] = ()
    any_number_of_ranks: bool = False


class Architecture(ABC):
    """One form of models. Of the two subclasses below, the one that is derived from says how models are trained."""

    #: Name in the config (``network.architecture``), in files, and in the register.
    name: ClassVar[str]
    #: What one model is, for README and report: "HIP-NN-TS network".
    title: ClassVar[str]
    #: Settings that speed and accuracy depend on, in words with a place for the value: "cutoff {} Å".
    words: ClassVar[Mapping[str, str]]

    @abstractmethod
    def spec(self, values: Any, n_types: int, source: str | Path = "network") -> Any:
        """Settings from those of the config section ``network`` or of a model file, checked.

        Parameters
        ----------
        values: by name; they may come from anybody.
        n_types: number of bead types.
        source: named in errors.

        Raises
        ------
        InputError
            A setting that is missing, unknown, or out of its range, or more parameters than can be handled.
        """

    @abstractmethod
    def n_weights(self, spec: Any, n_types: int) -> int:
        """Number of values that the weights of a model have together, without building one."""

    @abstractmethod
    def restore(
        self, spec: Any, type_names: Sequence[str], weights: Mapping[str, torch.Tensor], source: str | Path
    ) -> Model:
        """Model of these weights (`Model.weights`); `InputError` where they do not fit the settings."""

    @abstractmethod
    def potential(self, models: Sequence[Any], skin_A: float = 1.5, **settings: Any) -> Potential:
        """Mean of models as a potential.

        Parameters
        ----------
        skin_A: by which the neighbour list is longer than the cutoff.
        settings: ``dtype``, ``device`` and ``evaluation``, where the architecture has a choice.
        """

    @abstractmethod
    def for_simulation(
        self,
        ensembles: Sequence[Sequence[Any]],
        bead_types: np.ndarray,
        *,
        coupling: str,
        skin_A: float,
        device: torch.device | str,
        folder: Path,
    ) -> JointPotential | list[LammpsModel]:
        """What moves the beads of several runs: one `JointPotential`, or a `LammpsModel` for each run.

        Parameters
        ----------
        ensembles: models of each run, of which the mean counts.
        bead_types: (n_beads,) of each run.
        coupling: ``simulation.coupling`` of the config.
        folder: for files that LAMMPS reads; it must last as long as the runs.
        """

    @abstractmethod
    def exported_files(self, settings: Mapping[str, Any]) -> tuple[str, ...]:
        """Names of the files of an exported model folder that only this architecture has, ``in.lammps`` left out.

        Parameters
        ----------
        settings: section ``network`` of the config, or the settings of a model by name.
        """

    @abstractmethod
    def export(self, folder: Path, models: Sequence[Any]) -> list[LammpsScript]:
        """Write the files with which LAMMPS evaluates the mean of some models, and describe the input scripts.

        The first script is ``in.lammps``; together with the files that are written here they are `exported_files`.
        """

    def add_commands(self, commands: Any) -> None:
        """Add commands of this architecture, if it has any, to the subparsers of the command line ``cgdistill``."""
        return None

    @abstractmethod
    def methods(self, settings: Mapping[str, Any]) -> str:
        """Sentence on the models for the section on methods of a report."""


def settings_in(values: Any, source: str | Path) -> dict[str, Any]:
    """Settings of an architecture by name, from the config section ``network`` or a model file.

    Raises
    ------
    InputError
        Something else than settings by name.
    """
    if not isinstance(values, Mapping):
        raise InputError(source, "network", type(values).__name__, "settings of an architecture by name")
    return {name: value for name, value in values.items() if name != "architecture"}


class GradientArchitecture(Architecture):
    """Models are trained epoch by epoch, by following the gradient of the loss."""

    @abstractmethod
    def build(self, spec: Any, type_names: Sequence[str], seed: int) -> TrainableModel:
        """Model with its initial weights; ``seed``: of these weights."""


class SolvedArchitecture(Architecture):
    """Models are found in one step, without initial weights and epochs."""

    @abstractmethod
    def solve(
        self,
        spec: Any,
        type_names: Sequence[str],
        frames: PairFrames,
        training: np.ndarray,
        weights: Mapping[str, float],
        seed: int,
    ) -> Model:
        """Model that minimises its loss on the training frames.

        Parameters
        ----------
        frames: with a target for every weight.
        training: places of the training frames within ``frames``.
        weights: of the targets in the loss, by target.
        seed: of whatever is drawn at random.
        """

    @abstractmethod
    def untrained(self, spec: Any, type_names: Sequence[str]) -> Model:
        """Model without any interaction, in place of one that is not to be trained."""

    @abstractmethod
    def training_methods(self, settings: Mapping[str, Any]) -> str:
        """Sentences on the training for the section on methods of a report."""
