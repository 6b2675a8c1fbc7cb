"""Pairs and batches of frames."""

from __future__ import annotations

import numpy as np
import torch
from cgdistill.data.beads import BeadFile
from cgdistill.data.pair_frames import PairFrames
from cgdistill.geometry.neighbours import NeighbourList

CUTOFF_A = 4.5


def test_pairs_and_targets_are_those_of_the_frames_asked_for(beads_path):
    with BeadFile(beads_path) as beads:
        frames = PairFrames.from_beads(beads, [1, 4, 9], CUTOFF_A)
        loaded, topology = beads.frames([1, 4, 9]), beads.topology
    assert len(frames) == 3
    neighbours = NeighbourList(CUTOFF_A, 0.0, topology.bead_types, topology.n_types)
    for number in range(3):
        first, second, vectors = neighbours.pairs(loaded.positions_A[number], loaded.cells_A[number])
        np.testing.assert_array_equal(frames.first[number], first)
        np.testing.assert_array_equal(frames.second[number], second)
        np.testing.assert_allclose(frames.vectors_A[number], vectors, atol=1e-6)
        assert (np.diff(first * topology.n_types + topology.bead_types[second]) >= 0).all()
    np.testing.assert_array_equal(frames.targets["F"], loaded.forces_kcal_mol_A.astype("f4"))


def test_a_batch_is_its_frames_side_by_side(beads_path):
    with BeadFile(beads_path) as beads:
        frames = PairFrames.from_beads(beads, np.arange(4), CUTOFF_A)
    frames = frames.with_targets({"E": torch.arange(4.0)})
    batch = frames.batch([2, 0])
    n_beads = len(frames.bead_types)
    assert batch.species.shape == (2, n_beads)
    np.testing.assert_array_equal(batch.species[1], frames.bead_types + 1)
    n_pairs = len(frames.first[2])
    assert torch.equal(batch.first[:n_pairs], frames.first[2].long())
    assert torch.equal(batch.second[n_pairs:], frames.second[0].long() + n_beads)
    assert torch.equal(batch.vectors_A[n_pairs:], frames.vectors_A[0])
    assert batch.targets["E"].tolist() == [2.0, 0.0]
    assert torch.equal(batch.targets["F"][0], frames.targets["F"][2])


def test_batches_keep_the_order_and_the_rest(beads_path):
    with BeadFile(beads_path) as beads:
        frames = PairFrames.from_beads(beads, np.arange(5), CUTOFF_A)
    frames = frames.with_targets({"E": torch.arange(5.0)})
    batches = list(frames.batches(np.array([4, 1, 0, 3, 2]), 2))
    assert [batch.targets["E"].tolist() for batch in batches] == [[4.0, 1.0], [0.0, 3.0], [2.0]]


def test_other_targets_share_the_pairs(beads_path):
    with BeadFile(beads_path) as beads:
        frames = PairFrames.from_beads(beads, np.arange(2), CUTOFF_A)
    other = frames.with_targets({"E": torch.arange(2.0)})
    assert other.vectors_A is frames.vectors_A
    assert set(other.targets) == {"F", "E"}
    assert set(frames.targets) == {"F"}
