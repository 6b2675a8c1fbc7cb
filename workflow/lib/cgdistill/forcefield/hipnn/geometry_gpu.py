"""Pairs, forces and virial of beads on a GPU, for MD of one or of many systems at once.

`PairList` keeps candidates of a list with a skin on the device. Each step it makes the records of the pairs within the
cutoff, in the rows that `environment_gpu` works on; behind the network it turns the gradient of each pair into forces
and virials. The host sees one number per step: whether the list must be built anew.

Every sum has one fixed order, which depends on the positions alone: runs are reproducible to the last bit, also from a
restart. Verified and not verified: see `environment_gpu`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import torch

from ...core.errors import InputError
from .environment_gpu import kernels

#: Numbers of an intermediate array of `find_candidates`; more beads are done in slices.
_SLICE = 1 << 24
#: An image of the cell must be closer than this many cells to be written down.
_BIAS = 128


@dataclass(frozen=True)
class Candidates:
    """Pairs within cutoff and skin, each in both directions, in rows of one bead and one type of neighbour.

    Attributes
    ----------
    starts, ends: (n_beads * n_types,) int64; pairs of bead i with type t stand from ``starts[i * n_types + t]`` on,
        sorted by neighbour and image. Beads of all systems are counted through.
    second: (n_candidates,) int32, the neighbour.
    images: (n_candidates,) int32, the image (a, b, c) of the cell it is in: ``a + 128 << 16 | b + 128 << 8 | c + 128``.
    mirrors: (n_candidates,) int32, number of the same pair in the other direction.
    """

    starts: torch.Tensor
    ends: torch.Tensor
    second: torch.Tensor
    images: torch.Tensor
    mirrors: torch.Tensor


def find_candidates(
    positions_A: torch.Tensor, cells_A: torch.Tensor, bead_types: torch.Tensor, n_types: int, reach_A: float
) -> Candidates:
    """All pairs within a distance, all periodic images counted; time goes as the square of the beads of a system.

    Parameters
    ----------
    positions_A: (n_systems, n_beads, 3) float64, within 100 cells of the first one.
    cells_A: (n_systems, 3, 3) float64, cell vectors as rows.
    bead_types: (n_systems, n_beads) int64.
    n_types: number of types.
    reach_A: cutoff and skin, A.

    Raises
    ------
    InputError
        Beads are too many cells apart.
    """
    n_systems, n_beads = bead_types.shape
    device = positions_A.device
    inverse = torch.linalg.inv(cells_A)
    fractions = positions_A @ inverse
    # In units of the distance between opposite faces no pair is longer than reach / distance along any axis; beyond
    # the nearest image, further ones count where that exceeds a half.
    longest = (reach_A * torch.linalg.vector_norm(inverse, dim=1) + 0.5).amax(dim=0).floor().int().tolist()
    forward = []
    rows = max(1, _SLICE // (n_systems * n_beads * 3))
    for begin in range(0, n_beads, rows):
        # Each pair once, i < j (or i = j with a positive image): its mirror is made from it, not found.
        end = min(begin + rows, n_beads)
        apart = fractions[:, None, begin:] - fractions[:, begin:end, None]
        nearest = torch.round(apart)
        i = torch.arange(begin, end, device=device)[:, None]
        j = torch.arange(begin, n_beads, device=device)[None, :]
        for offset in product(*(range(-n, n + 1) for n in longest)):
            image = apart.new_tensor(offset) - nearest
            shape = apart.shape
            vectors = ((apart + image).reshape(n_systems, -1, 3) @ cells_A).reshape(shape)
            near = (torch.square(vectors).sum(dim=3) <= reach_A**2) & (j >= i if offset > (0, 0, 0) else j > i)
            system, row, column = near.nonzero(as_tuple=True)
            codes = image[system, row, column].long()
            forward.append(torch.stack([system, row + begin, column + begin, *codes.unbind(1)]))
    pairs = torch.cat(forward, dim=1)
    furthest = int(pairs[3:].abs().amax()) if pairs.numel() else 0
    if furthest >= _BIAS:
        raise InputError("positions", "periodic images", f"beads {furthest} cells apart", f"less than {_BIAS} cells")
    system = pairs[0].repeat(2)
    first, second = pairs[1:3].reshape(-1), pairs[1:3].flip(0).reshape(-1)
    a, b, c = torch.cat([pairs[3:], -pairs[3:]], dim=1) + _BIAS
    images = (a << 16) | (b << 8) | c
    row = (system * n_beads + first) * n_types + bead_types[system, second]
    keys, order = torch.sort(((row * n_beads + second) << 24) | images)
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order), device=device)
    ends = torch.bincount(row, minlength=n_systems * n_beads * n_types).cumsum(0)
    return Candidates(
        starts=torch.cat([ends.new_zeros(1), ends[:-1]]),
        ends=ends,
        second=(system * n_beads + second)[order].int(),
        images=images[order].int(),
        mirrors=place[(order + len(order) // 2) % max(1, len(order))].int(),
    )


@dataclass(frozen=True)
class Pairs:
    """Pairs within the cutoff.

    Attributes
    ----------
    records: (n_candidates, RECORD) geometry, for `environment_gpu`.
    starts, ends: (n_beads * n_types,) int64, the rows; between an end and the next start nothing is set.
    slots: (n_candidates,) int32, the record of each candidate, -1 where it is too far.
    sources: (n_candidates,) int32, the candidate of each record.
    mirrors: see `Candidates`.
    """

    records: torch.Tensor
    starts: torch.Tensor
    ends: torch.Tensor
    slots: torch.Tensor
    sources: torch.Tensor
    mirrors: torch.Tensor


class PairList:
    """Pairs of systems with the same number of beads, from a list that is rebuilt only when it must be.

    The rule is that of `neighbours.NeighbourList`: all systems are searched anew when a bead of any has moved by more
    than half the skin, or a cell has changed.

    Parameters
    ----------
    bead_types:
        (n_systems, n_beads)
    n_types:
        Number of bead types.
    cutoff_A:
        Pairs up to this distance are found.
    skin_A:
        0 or more.
    dtype:
        Of the records; positions, forces and virials are float64.
    device:
        Where all of this happens; see `environment_gpu.available`.
    network_cutoff_A:
        Cutoff of the network where it is shorter than that of the list.
    """

    def __init__(
        self,
        bead_types: torch.Tensor,
        n_types: int,
        cutoff_A: float,
        skin_A: float,
        dtype: torch.dtype,
        device: torch.device | str,
        network_cutoff_A: float | None = None,
    ) -> None:
        if not cutoff_A > 0 or not skin_A >= 0:
            raise ValueError(f"cutoff {cutoff_A} A must be positive, skin {skin_A} A not negative")
        self.bead_types = bead_types.to(device=device, dtype=torch.int64)
        self.n_types, self.dtype = n_types, dtype
        self.cutoff_A, self.skin_A = float(cutoff_A), float(skin_A)
        self.network_cutoff_A = float(network_cutoff_A or cutoff_A)
        #: How often the list was built.
        self.n_builds = 0
        self._list: Candidates | None = None
        self._positions = self._cells = torch.empty(0)

    def _is_valid(self, positions: torch.Tensor, cells: torch.Tensor) -> bool:
        if self._list is None:
            return False
        moved = torch.square(positions - self._positions).sum(dim=-1).amax()
        return not bool((moved > (0.5 * self.skin_A) ** 2) | (cells != self._cells).any())

    def pairs(self, positions_A: torch.Tensor, cells_A: torch.Tensor) -> Pairs:
        """Pairs within the cutoff.

        Parameters
        ----------
        positions_A: (n_systems, n_beads, 3) float64 on the device, not necessarily within the cell.
        cells_A: (n_systems, 3, 3) float64 on the device, cell vectors as rows.
        """
        positions, cells = positions_A.contiguous(), cells_A.contiguous()
        if not self._is_valid(positions, cells):
            reach = self.cutoff_A + self.skin_A
            self._list = None  # frees the old list before the new one is built
            self._list = find_candidates(positions, cells, self.bead_types, self.n_types, reach)
            self._positions, self._cells = positions.clone(), cells.clone()
            self.n_builds += 1
        found = self._list
        assert found is not None
        k = kernels()
        n = len(found.second)
        result = Pairs(
            records=positions.new_empty(n, k.RECORD.value, dtype=self.dtype),
            starts=found.starts,
            ends=torch.empty_like(found.ends),
            slots=torch.empty_like(found.second),
            sources=torch.empty_like(found.second),
            mirrors=found.mirrors,
        )
        k.gather[(len(found.starts),)](
            positions, cells, found.starts, found.ends, found.second, found.images,
            result.records, result.ends, result.slots, result.sources, positions.shape[1],
            T=self.n_types, LIST_CUTOFF=self.cutoff_A, CUTOFF=self.network_cutoff_A,
            BLOCK=32, num_warps=1, enable_fp_fusion=True,
        )  # fmt: skip
        return result

    def forces(self, pairs: Pairs, gradient: torch.Tensor, n_models: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
        """Forces and virials.

        Parameters
        ----------
        pairs: of the last `pairs`.
        gradient: (n_candidates, 3) of `environment_gpu.pair_gradient`, the sum over ``n_models`` models.

        Returns
        -------
        forces: (n_systems, n_beads, 3) float64, kcal/mol/A, mean of the models.
        virials: (n_systems, 6) float64, kcal/mol, likewise; -sum v (x) gradient over pairs: xx, yy, zz, xy, xz, yz.
        """
        shape = self.bead_types.shape
        forces, virials = (pairs.records.new_empty(*shape, n, dtype=torch.float64) for n in (3, 6))
        kernels().accumulate[(self.bead_types.numel(),)](
            gradient, pairs.records, pairs.starts, pairs.ends, pairs.slots, pairs.sources, pairs.mirrors,
            forces, virials, N_MODELS=n_models, T=self.n_types, BLOCK=32, num_warps=1, enable_fp_fusion=True,
        )  # fmt: skip
        return forces, virials.sum(dim=1)
