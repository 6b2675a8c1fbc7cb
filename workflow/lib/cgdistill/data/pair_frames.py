"""Training frames: pairs within the cutoff, computed once per frame, and targets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from ..config.targets import ALL_ATOM_FORCES, TARGETS
from ..core.errors import InputError
from ..geometry.neighbours import NeighbourList
from ..runtime.job import progress
from ..runtime.memory import available_bytes
from .beads import BeadFile

#: Frames read at a time.
_CHUNK = 32


@dataclass(frozen=True)
class Batch:
    """A batch of frames, as one set of beads.

    Attributes
    ----------
    species: (n_frames, n_beads) bead type + 1.
    first, second: (n_pairs,) indices into the flattened beads.
    vectors_A: (n_pairs, 3)
    targets: what the networks learn, by name: forces less those of the prior; the first axis is that of the frames.
    """

    species: torch.Tensor
    first: torch.Tensor
    second: torch.Tensor
    vectors_A: torch.Tensor
    targets: dict[str, torch.Tensor]


@dataclass
class PairFrames:
    """Frames of one bead system with their directed pairs within the cutoff.

    Attributes
    ----------
    bead_types: (n_beads,)
    first, second, vectors_A: per frame (n_pairs,), (n_pairs,), (n_pairs, 3), sorted by first and by type of second;
        in 32 bits, since a thousand frames of a thousand beads have 60 million pairs.
    targets: by name, forces of the whole force field; the first axis is that of the frames.
    prior_forces: (n_frames, n_beads, 3) forces of the prior, kcal/mol/A, float64; None if there is no prior.
    """

    bead_types: np.ndarray
    first: list[torch.Tensor] = field(default_factory=list)
    second: list[torch.Tensor] = field(default_factory=list)
    vectors_A: list[torch.Tensor] = field(default_factory=list)
    targets: dict[str, torch.Tensor] = field(default_factory=dict)
    prior_forces: torch.Tensor | None = None
    _network_targets: dict[str, torch.Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self._network_targets:
            self._network_targets = self._without_prior(self.targets)

    @classmethod
    def from_beads(
        cls, beads: BeadFile, indices: Sequence[int] | np.ndarray, cutoff_A: float, show: bool = True
    ) -> PairFrames:
        """Pairs of the given frames (increasing indices), and the target `ALL_ATOM_FORCES` if the file has forces.

        Memory per frame: 20 bytes per directed pair within the cutoff, 12 per bead for the forces. ``show`` displays
        the progress.

        Raises
        ------
        InputError
            The pairs will not fit into memory, judged by the first frames.
        """
        frames = cls(beads.topology.bead_types)
        forces = []
        indices = np.asarray(indices)
        topology = beads.topology
        # Sorted by type as well, as the fused evaluation requires.
        neighbours = NeighbourList(cutoff_A, 0.0, topology.bead_types, topology.n_types)
        starts = range(0, len(indices), _CHUNK)
        for start in progress(starts, len(starts), "neighbour lists", "chunks") if show else starts:
            chunk = beads.frames(indices[start : start + _CHUNK])
            for positions, cell in zip(chunk.positions_A, chunk.cells_A, strict=True):
                first, second, vectors = neighbours.pairs(positions, cell)
                frames.first.append(torch.as_tensor(first.astype(np.int32)))
                frames.second.append(torch.as_tensor(second.astype(np.int32)))
                frames.vectors_A.append(torch.as_tensor(vectors.astype(np.float32)))
            if chunk.forces_kcal_mol_A is not None:
                forces.append(chunk.forces_kcal_mol_A.astype(np.float32))
            if start == 0:
                frames._check_fits(len(indices), available_bytes(), beads.path)
        if forces:
            return frames.with_targets({ALL_ATOM_FORCES: torch.as_tensor(np.concatenate(forces))})
        return frames

    def __len__(self) -> int:
        return len(self.first)

    def with_targets(self, targets: Mapping[str, torch.Tensor]) -> PairFrames:
        """The same frames, sharing their pairs, with targets added or replaced."""
        return replace(
            self,
            targets={**self.targets, **targets},
            _network_targets={**self._network_targets, **self._without_prior(targets)},
        )

    def with_prior(self, forces_kcal_mol_A: np.ndarray) -> PairFrames:
        """The same frames with the forces (n_frames, n_beads, 3) of the prior, subtracted from the targets once."""
        return replace(self, prior_forces=torch.as_tensor(forces_kcal_mol_A), _network_targets={})

    def _without_prior(self, targets: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Targets of the networks."""
        if self.prior_forces is None:
            return dict(targets)
        return {
            name: (values.double() - self.prior_forces).to(values.dtype) if not TARGETS[name].is_energy else values
            for name, values in targets.items()
        }

    def _check_fits(self, n_frames: int, available: int | None, source: Path) -> None:
        """Check that the pairs of all frames fit into memory, judged by the frames read so far."""
        per_frame = sum(part.nbytes for parts in (self.first, self.second, self.vectors_A) for part in parts) / len(
            self
        )
        left = n_frames - len(self)
        if available is not None and left * per_frame > available:
            found = (
                f"{n_frames * per_frame / 1e9:.1f} GB of pairs within the cutoff, {per_frame / 1e6:.3g} MB per frame"
            )
            expected = f"at most the {available / 1e9:.1f} GB available: fewer frames (split), or more memory"
            raise InputError(source, f"{n_frames} frames", found, expected)

    def with_pairs_on(self, device: torch.device | str) -> PairFrames:
        """The same frames with their pairs on a GPU, where batches are assembled faster.

        On a CPU, or if they would fill more than half of the GPU's free memory, the pairs stay in place.
        """
        pairs = (self.first, self.second, self.vectors_A)
        size = sum(part.nbytes for parts in pairs for part in parts)
        if torch.device(device).type != "cuda" or size > torch.cuda.mem_get_info(device)[0] / 2:
            return self
        first, second, vectors = ([part.to(device) for part in parts] for parts in pairs)
        return replace(self, first=first, second=second, vectors_A=vectors)

    def batch(self, indices: Sequence[int], device: torch.device | str = "cpu") -> Batch:
        """Frames with the given indices as one batch on a device."""
        n_beads = len(self.bead_types)
        types = torch.as_tensor(self.bead_types + 1, device=device)
        firsts, seconds = [], []
        for number, index in enumerate(indices):
            firsts.append(self.first[index].long() + number * n_beads)
            seconds.append(self.second[index].long() + number * n_beads)
        chosen = torch.as_tensor(np.asarray(indices, dtype=np.int64))
        return Batch(
            species=types.repeat(len(indices), 1),
            first=torch.cat(firsts).to(device),
            second=torch.cat(seconds).to(device),
            vectors_A=torch.cat([self.vectors_A[index] for index in indices]).to(device),
            targets={name: values[chosen].to(device) for name, values in self._network_targets.items()},
        )

    def batches(
        self, order: Sequence[int] | np.ndarray, size: int, device: torch.device | str = "cpu"
    ) -> Iterator[Batch]:
        """Batches of ``size`` frames in the given order; the last may be smaller."""
        for start in range(0, len(order), size):
            yield self.batch(list(order[start : start + size]), device)
