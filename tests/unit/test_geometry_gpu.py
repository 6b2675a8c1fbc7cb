"""Pairs, forces and virial on a GPU against the neighbour list and loops of the CPU, and against plain sums.

Not detected: anything about speed; on a machine without a GPU, errors of triton's compiler.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from bead_cases import CELLS, configuration
from cgdistill.core.errors import InputError
from cgdistill.forcefield.hipnn.geometry_gpu import PairList, find_candidates
from cgdistill.geometry.neighbours import NeighbourList
from gpu_cases import DEVICE, launches, run_in_interpreter, starts_interpreter

N_TYPES = 2


def systems(*names, seed=0):
    """Positions (n, 27, 3), cells (n, 3, 3) and types (n, 27) of different systems; types differ as well."""
    parts = [configuration(CELLS[name], seed + number) for number, name in enumerate(names)]
    types = np.array([np.roll(types, number) for number, (_, types) in enumerate(parts)])
    arrays = np.array([positions for positions, _ in parts]), np.array([CELLS[name] for name in names])
    return [torch.as_tensor(array, device=DEVICE) for array in (*arrays, types)]


def reference_pairs(positions, cells, types, reach_A):
    """Row (of all beads), neighbour (of all beads) and vector of every pair, in the order of the rows."""
    rows, seconds, vectors = [], [], []
    for number, (place, cell, kinds) in enumerate(zip(positions, cells, types, strict=True)):
        neighbours = NeighbourList(reach_A, 0.0, kinds.cpu().numpy(), N_TYPES)
        first, second, vector = neighbours.pairs(place.cpu().numpy(), cell.cpu().numpy())
        rows.append((first + number * len(place)) * N_TYPES + kinds.cpu().numpy()[second])
        seconds.append(second + number * len(place))
        vectors.append(vector.copy())
    return [torch.as_tensor(np.concatenate(parts)) for parts in (rows, seconds, vectors)]


def rows_of(starts, ends):
    return torch.repeat_interleave(torch.arange(len(starts)), (ends - starts).cpu())


def places_of(starts, ends):
    """Numbers of all pairs within the rows."""
    return torch.cat([torch.arange(int(s), int(e)) for s, e in zip(starts, ends, strict=True)])


@pytest.mark.parametrize("reach_A", [2.9, 5.0, 7.5])
@pytest.mark.parametrize("names", [("cubic",), ("triclinic", "flat", "cubic")])
def test_candidates_are_those_of_the_neighbour_list(names, reach_A):
    """Up to a reach at which a bead sees several images of another, and of itself."""
    positions, cells, types = systems(*names)
    found = find_candidates(positions, cells, types, N_TYPES, reach_A)
    rows, second, vectors = reference_pairs(positions, cells, types, reach_A)
    assert torch.equal(rows_of(found.starts, found.ends), rows)
    assert torch.equal(found.second.cpu().long(), second)
    codes = found.images.cpu().long()
    image = torch.stack([codes >> 16, (codes >> 8) & 255, codes & 255], dim=1) - 128
    bead = rows // N_TYPES
    flat = positions.cpu().reshape(-1, 3)
    shifts = (image.double()[:, None, :] @ cells.cpu()[bead // positions.shape[1]])[:, 0]
    # The same image for each pair: order and choice of images agree.
    torch.testing.assert_close(flat[second] - flat[bead] + shifts, vectors, rtol=0, atol=1e-12)
    mirrors = found.mirrors.cpu().long()
    assert torch.equal(bead[mirrors], second) and torch.equal(image[mirrors], -image)
    assert torch.equal(mirrors[mirrors], torch.arange(len(mirrors)))


def test_candidates_found_in_slices_are_the_same(monkeypatch):
    positions, cells, types = systems("triclinic", "flat")
    whole = find_candidates(positions, cells, types, N_TYPES, 7.5)
    monkeypatch.setattr("cgdistill.forcefield.hipnn.geometry_gpu._SLICE", 5 * 3 * types.numel())
    sliced = find_candidates(positions, cells, types, N_TYPES, 7.5)
    for name in ("starts", "ends", "second", "images", "mirrors"):
        assert torch.equal(getattr(whole, name), getattr(sliced, name))


def test_lonely_beads_have_no_candidates():
    positions, cells, types = systems("cubic")
    found = find_candidates(positions, cells, types, N_TYPES, 0.01)
    assert len(found.second) == len(found.mirrors) == 0
    assert (found.starts == 0).all() and (found.ends == 0).all()


def test_beads_very_far_apart_are_refused():
    positions, cells, types = systems("cubic")
    positions[0, 3] += 130 * cells[0, 1]
    with pytest.raises(InputError, match="periodic images: found beads 1.. cells apart, expected less than 128 cells"):
        find_candidates(positions, cells, types, N_TYPES, 5.0)


def pair_list(types, dtype=torch.float64, cutoff_A=5.0, skin_A=1.0, **more):
    return PairList(types, N_TYPES, cutoff_A, skin_A, dtype, DEVICE, **more)


@launches
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_records_are_those_of_the_pairs_within_the_cutoff(dtype):
    positions, cells, types = systems("triclinic", "flat")
    pairs = pair_list(types, dtype, network_cutoff_A=4.5).pairs(positions, cells)
    rows, second, vectors = reference_pairs(positions, cells, types, 5.0)
    assert torch.equal(rows_of(pairs.starts, pairs.ends), rows)
    records = pairs.records.cpu()[places_of(pairs.starts, pairs.ends)].double()
    r = torch.linalg.vector_norm(vectors, dim=1)
    value = torch.where(r <= 4.5, torch.cos(torch.pi * r / 9.0) ** 2, 0.0)
    slope = torch.where(r <= 4.5, -0.5 * torch.pi / 4.5 * torch.sin(torch.pi * r / 4.5), 0.0)
    assert (value == 0).any() and (value > 0).any()
    expected = torch.column_stack([vectors / r[:, None], 1 / r, value, slope, value / r**2])
    torch.testing.assert_close(records[:, :7], expected, rtol=0, atol=1e-12 if dtype == torch.float64 else 5e-7)


@launches
@pytest.mark.parametrize("n_models", [1, 3])
def test_forces_and_virial_are_the_sums_over_all_directed_pairs(n_models):
    positions, cells, types = systems("triclinic", "cubic")
    found = pair_list(types)
    pairs = found.pairs(positions, cells)
    rows, second, vectors = reference_pairs(positions, cells, types, 5.0)
    places = places_of(pairs.starts, pairs.ends)
    gradient = torch.full((len(pairs.records), 3), torch.nan, dtype=torch.float64)
    gradient[places] = torch.randn(len(places), 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    bead = rows // N_TYPES
    total = gradient[places] / n_models
    n = types.numel()
    forces = torch.zeros(n, 3, dtype=torch.float64).index_add_(0, bead, total).index_add_(0, second, -total)
    stress = -vectors[:, :, None] * total[:, None, :]
    virials = torch.zeros(2, 3, 3, dtype=torch.float64).index_add_(0, bead // types.shape[1], stress)
    virials = torch.stack([virials[:, i, j] for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))], dim=1)

    mine = found.forces(pairs, gradient.to(DEVICE), n_models)
    torch.testing.assert_close(mine[0].cpu(), forces.reshape(*types.shape, 3), rtol=0, atol=1e-10)
    torch.testing.assert_close(mine[1].cpu(), virials, rtol=0, atol=1e-9)


@launches
def test_results_do_not_depend_on_when_the_list_was_built():
    """To the last bit, over a walk in which the list is reused, then rebuilt."""
    positions, cells, types = systems("triclinic", "cubic")
    lazy, eager = pair_list(types, torch.float32), pair_list(types, torch.float32, skin_A=0.0)
    rng = torch.Generator().manual_seed(0)
    for _ in range(4):
        positions = positions + 0.1 * torch.randn(positions.shape, generator=rng, dtype=torch.float64).to(DEVICE)
        results = []
        for walker in (lazy, eager):
            pairs = walker.pairs(positions, cells)
            places = places_of(pairs.starts, pairs.ends)
            gradient = (pairs.records[:, :3] * pairs.records[:, 4:5]).contiguous()
            results.append((pairs.records[places.to(DEVICE), :7], *walker.forces(pairs, gradient)))
        for one, other in zip(*results, strict=True):
            assert torch.equal(one, other)
    assert lazy.n_builds < eager.n_builds == 4


@launches
def test_another_cell_is_noticed():
    positions, cells, types = systems("cubic")
    found = pair_list(types)
    found.pairs(positions, cells)
    found.pairs(positions + 0.2, cells)
    assert found.n_builds == 1
    found.pairs(positions, 1.01 * cells)
    assert found.n_builds == 2


@launches
def test_a_lost_bead_shows_in_the_forces():
    positions, cells, types = systems("cubic")
    found = pair_list(types)
    found.pairs(positions, cells)
    positions = positions.clone()
    positions[0, 4, 1] = torch.nan
    pairs = found.pairs(positions, cells)
    forces, *_ = found.forces(pairs, pairs.records[:, :3].contiguous())
    assert found.n_builds == 1 and forces[0, 4].isnan().all()


@starts_interpreter
def test_all_of_this_in_the_interpreter():
    run_in_interpreter(__file__)
