"""What prediction and training ask of a model: energies and forces of batches, and its weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, Protocol, Self, TypeVar

if TYPE_CHECKING:  # jobs that only read predictions do without torch, whose import takes seconds
    import torch

    from ..data.pair_frames import Batch

#: torch.Tensor during training, numpy.ndarray afterwards.
Array = TypeVar("Array")


class ModelOutput(NamedTuple, Generic[Array]):
    """What a model computes for some frames.

    Attributes
    ----------
    forces_kcal_mol_A: (n_frames, n_beads, 3). Those of a batch are the model's own, without the prior;
        `training.evaluation` adds the prior.
    epsilon_kcal_mol: (n_frames, n_beads) per-bead energies, without the prior.
    """

    forces_kcal_mol_A: Array
    epsilon_kcal_mol: Array


class Model(Protocol):
    """A model of any architecture with its weights, the prior left out.

    Attributes
    ----------
    architecture: name of its architecture in the register.
    """

    architecture: ClassVar[str]

    @property
    def spec(self) -> Any:
        """Settings, a dataclass with ``cutoff_A``; models of equal settings can be evaluated together."""
        ...

    @property
    def type_names(self) -> tuple[str, ...]:
        """Names of the bead types in the order of their index."""
        ...

    @property
    def n_parameters(self) -> int:
        """Number of parameters that are fitted to data."""
        ...

    @classmethod
    def evaluate_together(
        cls, models: Sequence[Any], batches: Sequence[Batch], differentiable: bool = False
    ) -> list[ModelOutput[torch.Tensor]]:
        """Output of each model for its own batch.

        Parameters
        ----------
        models: of this class and of equal settings, on one device.
        differentiable: whether gradients of the results run to the weights (to nothing else).
        """
        ...

    def weights(self) -> dict[str, torch.Tensor]:
        """Copies of the weights by name, on the CPU."""
        ...

    def to(self, device: torch.device | str) -> Self:
        """The model itself, moved to a device."""
        ...


class TrainableModel(Model, Protocol):
    """A model whose weights are found by following the gradient of a loss, epoch by epoch."""

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """Trainable parameters, in a fixed order."""
        ...

    def load_weights(self, weights: Mapping[str, torch.Tensor], source: str | Path = "weights") -> None:
        """Take over weights; `InputError` where a name or a shape differs or a value is not finite."""
        ...

    def train(self, mode: bool = True) -> Self:
        """The model itself, in the mode for training."""
        ...

    def eval(self) -> Self:
        """The model itself, in the mode for evaluation."""
        ...
