"""Bead trajectory file."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from bead_cases import bead_topology, make_frames, write_beads
from cgdistill.core.errors import InputError
from cgdistill.data.beads import BeadFile, BeadFrames, BeadTopology, BeadWriter


def test_round_trip_in_chunks(tmp_path):
    """Positions and forces are stored in 32 bits, cells and times in 64."""
    frames, types = make_frames(5)
    path = tmp_path / "beads.h5"
    with BeadWriter(path, bead_topology(types), {"seed": 3}) as writer:
        for part in (slice(0, 2), slice(2, 5)):
            writer.append(
                BeadFrames(
                    frames.positions_A[part],
                    frames.forces_kcal_mol_A[part],
                    frames.cells_A[part],
                    frames.times_ps[part],
                )
            )
    with BeadFile(path) as file:
        assert len(file) == 5
        assert file.provenance == {"seed": 3}
        assert file.topology.type_names == ("Cho", "Cl")
        np.testing.assert_array_equal(file.topology.bead_types, types)
        loaded = file.frames()
        np.testing.assert_array_equal(loaded.positions_A, frames.positions_A.astype("f4"))
        np.testing.assert_array_equal(loaded.forces_kcal_mol_A, frames.forces_kcal_mol_A.astype("f4"))
        np.testing.assert_array_equal(loaded.cells_A, frames.cells_A)
        np.testing.assert_array_equal(file.times_ps, frames.times_ps)
        some = file.frames([1, 4])
        np.testing.assert_array_equal(some.positions_A, loaded.positions_A[[1, 4]])
        parts = list(file.chunks(2))
        assert [len(part) for part in parts] == [2, 2, 1]
        np.testing.assert_array_equal(np.concatenate([part.times_ps for part in parts]), frames.times_ps)


def test_without_forces(tmp_path):
    with BeadFile(write_beads(tmp_path / "b.h5", 2, forces=False)) as file:
        assert not file.has_forces
        assert file.frames().forces_kcal_mol_A is None


def test_frames_without_declared_forces_are_refused(tmp_path):
    frames, types = make_frames(1)
    with BeadWriter(tmp_path / "b.h5", bead_topology(types), {}) as writer, pytest.raises(ValueError, match="forces"):
        writer.append(BeadFrames(frames.positions_A, None, frames.cells_A, frames.times_ps))


@pytest.mark.parametrize("fault", ["unit", "no unit", "dataset", "format"])
def test_damage_is_named(tmp_path, fault):
    path = write_beads(tmp_path / "b.h5", 2)
    with h5py.File(path, "r+") as file:
        if fault == "unit":
            file["positions"].attrs["unit"] = "nm"
        elif fault == "no unit":
            del file["forces"].attrs["unit"]
        elif fault == "dataset":
            del file["cell"]
        else:
            file.attrs["format"] = "other"
    item = {"unit": "positions", "no unit": "forces", "dataset": "cell", "format": "format"}[fault]
    with pytest.raises(InputError, match=item) as caught:
        BeadFile(path)
    assert caught.value.source == str(path)


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "b.h5"
    path.write_text("text", encoding="utf-8")
    with pytest.raises(InputError, match="HDF5"):
        BeadFile(path)


def test_masses_by_type():
    topology = BeadTopology(
        ("a", "b", "c"), np.array([2, 0, 2]), ("x",) * 3, np.array([3.0, 1.0, 3.0]), np.arange(3), np.empty(0)
    )
    np.testing.assert_array_equal(topology.type_masses_g_mol(), [1.0, np.nan, 3.0])
