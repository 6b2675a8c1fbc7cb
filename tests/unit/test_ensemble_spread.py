"""Disagreement of teachers: known forces, another way to find neighbours, and whole files; on unphysical beads."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from bead_cases import CELLS, PRIOR, REPULSION, TYPES, bead_topology, configuration, make_model
from cgdistill.analysis.ensemble_spread import (
    COLUMNS,
    Disagreement,
    compute_spread,
    nearest_distances,
    read_last_frames,
    spread_table,
)
from cgdistill.config.models import Model
from cgdistill.core.errors import InputError
from cgdistill.data.beads import BeadFile
from cgdistill.data.pair_frames import PairFrames
from cgdistill.data.split import Split, write_split
from cgdistill.figures.spread import spread_figure
from cgdistill.figures.style import Palette
from cgdistill.forcefield.forcefield import load_force_field
from cgdistill.forcefield.model_files import save_model
from cgdistill.training.prediction_job import predict_teachers
from cgdistill.training.predictions import centre_per_type

TEST = np.array([9, 10, 11])
MEASURES = ["force_rms_kcal_mol_A", "force_spread_kcal_mol_A", "epsilon_spread_kcal_mol"]


def write_dump(path, positions, cell, bead_types, first_step=0):
    """A LAMMPS dump of an orthorhombic cell, beads in reverse order, a frame every 10 steps of 0.1 ps."""
    with open(path, "w") as stream:
        for number, frame in enumerate(positions):
            step = first_step + 10 * number
            stream.write(f"ITEM: UNITS\nreal\nITEM: TIME\n{100.0 * number}\nITEM: TIMESTEP\n{step}\n")
            stream.write(f"ITEM: NUMBER OF ATOMS\n{len(frame)}\nITEM: BOX BOUNDS pp pp pp\n")
            stream.writelines(f"0 {edge:.6f}\n" for edge in np.diag(cell))
            stream.write("ITEM: ATOMS id type xu yu zu\n")
            for bead in reversed(range(len(frame))):
                stream.write(f"{bead + 1} {bead_types[bead] + 1} " + " ".join(f"{x:.6f}" for x in frame[bead]) + "\n")
    return path


@pytest.fixture
def files(tmp_path, beads_path):
    """Three teachers with predictions, a split, and a dump that repeats the test frames of the bead file."""
    folders = [tmp_path / f"seed-{seed}" for seed in (1, 2, 3)]
    for seed, folder in enumerate(folders, start=1):
        save_model(folder, make_model(seed), PRIOR, {})
    write_split(tmp_path / "split.json", Split(np.arange(6), np.arange(6, 9), TEST), {})
    predict_teachers(folders, beads_path, tmp_path / "split.json", 5, 7, "cpu")
    with BeadFile(beads_path) as beads:
        frames, types = beads.frames(TEST), beads.topology.bead_types
    dump = write_dump(tmp_path / "same.lammpstrj", frames.positions_A, frames.cells_A[0], types)
    return {"split": tmp_path / "split.json", "folders": folders, "dump": dump}


def test_known_members_give_known_measures():
    """Forces 1, 2 and 3 along x alone: mean 2, variance 1, a third of each per component."""
    forces = np.zeros((3, 1, 2, 3))
    forces[..., 0] = np.array([1.0, 2.0, 3.0])[:, None, None]
    epsilon = np.array([[[0.0, 5.0]], [[2.0, 5.0]], [[4.0, 5.0]]])
    nearest = np.array([[[np.inf, 3.1], [3.1, 7.9]]])
    table = spread_table(Disagreement.of(forces, epsilon), nearest, np.array([0, 1]), ("A", "B"), 0.5)
    rows = table.set_index(["bead_type", "neighbour_type", table["r_low_A"].fillna(-1.0)])
    every = rows.loc[("all", "any", -1.0)]
    assert every["n"] == 2
    assert every[MEASURES].tolist() == pytest.approx([np.sqrt(4 / 3), np.sqrt(1 / 3), np.sqrt(2.0)])
    assert rows.loc[("A", "any", -1.0), "epsilon_spread_kcal_mol"] == pytest.approx(2.0)
    assert rows.loc[("B", "any", -1.0), "epsilon_spread_kcal_mol"] == pytest.approx(0.0)
    assert rows.loc[("all", "any", 3.0), "n"] == 2 and rows.loc[("all", "any", 3.0), "r_high_A"] == 3.5
    assert rows.loc[("B", "B", 7.5), "n"] == 1
    assert ("A", "A", 3.0) not in rows.index, "no other bead of its type within the cutoff"


def test_one_teacher_has_no_spread():
    seen = Disagreement.of(np.ones((1, 2, 3, 3)), np.ones((1, 2, 3)))
    assert np.isnan(seen.force_variance).all() and np.isnan(seen.epsilon_variance).all()
    assert (seen.force_squared == 1).all()


@pytest.mark.parametrize("cell", CELLS)
def test_nearest_distances_by_brute_force(cell, tmp_path):
    positions, types = configuration(CELLS[cell], seed=4)
    images = np.stack(np.meshgrid(*[[-2, -1, 0, 1, 2]] * 3, indexing="ij"), -1).reshape(-1, 3) @ CELLS[cell]
    wrapped = positions - np.floor(positions @ np.linalg.inv(CELLS[cell])) @ CELLS[cell]
    distances = np.linalg.norm(wrapped[None, :, None] + images - wrapped[:, None, None], axis=-1)
    distances[distances < 1e-9] = np.inf
    expected = np.stack([distances[:, types == kind].min(axis=(1, 2)) for kind in (0, 1)], axis=1)
    expected[expected > 5.0] = np.inf
    from cgdistill.data.beads import BeadFrames, BeadWriter

    with BeadWriter(tmp_path / "one.h5", bead_topology(types), {}, forces=False) as writer:
        writer.append(BeadFrames(positions[None], None, CELLS[cell][None], np.zeros(1)))
    with BeadFile(tmp_path / "one.h5") as beads:
        found = nearest_distances(PairFrames.from_beads(beads, [0], 5.0), 2)
    np.testing.assert_allclose(found[0], expected, rtol=1e-5)


def test_frames_of_a_simulation_are_treated_as_those_of_the_reference(files, beads_path):
    """The dump holds the test frames: the reference's stored predictions and constants give the same rows again."""
    trajectories = {"T": files["dump"]}
    table = compute_spread(beads_path, files["split"], files["folders"], trajectories, 3, "cpu", labels={"T": "one"})
    assert tuple(table.columns) == COLUMNS
    parts = {name: part.reset_index(drop=True) for name, part in table.groupby("source")}
    assert set(parts) == {"AA", "T"} and set(parts["T"]["label"]) == {"one"}
    own = [column for column in COLUMNS if column not in ("source", "label")]
    assert parts["T"]["n"].iloc[0] == 3 * 27
    pd.testing.assert_frame_equal(parts["AA"][own], parts["T"][own], rtol=1e-3)


def test_measures_against_the_potential_of_the_simulations(files, beads_path):
    """Each teacher as a force field with constants from all frames, energies without the prior."""
    table = compute_spread(beads_path, files["split"], files["folders"], {}, 3, "cpu")
    forces, epsilon = [], []
    with BeadFile(beads_path) as beads:
        frames, types = beads.frames(), beads.topology.bead_types
    for folder in files["folders"]:
        force_field = load_force_field([folder])
        found = [
            force_field.potential().evaluate(positions, cell, types)
            for positions, cell in zip(frames.positions_A, frames.cells_A, strict=True)
        ]
        forces.append([own.forces_kcal_mol_A for own in found])
        energies = np.array([own.bead_energies_kcal_mol for own in found])
        epsilon.append(centre_per_type(energies - _prior_energies(frames, types), types))
    forces, epsilon = np.array(forces)[:, TEST], np.array(epsilon)[:, TEST]
    expected = [
        np.sqrt((forces.mean(axis=0) ** 2).mean()),
        np.sqrt(forces.var(axis=0, ddof=1).mean()),
        np.sqrt(epsilon.var(axis=0, ddof=1).mean()),
    ]
    assert table.loc[0, MEASURES].tolist() == pytest.approx(expected, rel=2e-3)


def _prior_energies(frames, types):
    """(n_frames, n_beads) half of each pair's prior energy, over all images up to two cells away."""
    result = np.zeros(frames.positions_A.shape[:2])
    images = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    for row, positions, cell in zip(result, frames.positions_A, frames.cells_A, strict=True):
        delta = positions[None, :, None] - positions[:, None, None] + images @ cell
        r = np.linalg.norm(delta, axis=-1)
        pair = types[:, None, None], types[None, :, None]
        energy = REPULSION.E0_kcal_mol[pair] * np.exp(-REPULSION.a_per_A[pair] * r)
        row += 0.5 * np.where(r > 0, energy, 0.0).sum(axis=(1, 2))
    return result


def test_only_the_last_frames_count_and_an_empty_trajectory_is_left_out(files, beads_path, tmp_path):
    with BeadFile(beads_path) as beads:
        topology, frames = beads.topology, beads.frames()
    dump = write_dump(tmp_path / "all.lammpstrj", frames.positions_A, frames.cells_A[0], topology.bead_types)
    last, steps = read_last_frames(dump, topology, 2, 5.0, PRIOR)
    assert steps == [100, 110] and len(last) == 2
    empty = tmp_path / "empty.lammpstrj"
    empty.touch()
    trajectories = {"T": empty, "T8": dump}
    table = compute_spread(beads_path, files["split"], files["folders"], trajectories, 1, "cpu")
    assert table["source"].drop_duplicates().tolist() == ["AA", "T8"]
    assert table[table["source"] == "T8"]["n"].iloc[0] == 27


def test_frames_without_finite_predictions_are_left_out(files, beads_path, tmp_path):
    """Beads on top of each other with a prior beyond the range of 32 bits."""
    with BeadFile(beads_path) as beads:
        frames, types = beads.frames(TEST), beads.topology.bead_types
    positions = frames.positions_A.copy()
    positions[1, 2] = positions[1, 0] + 1e-4  # both of the first type
    for folder in files["folders"]:
        text = (folder / "network.json").read_text().replace("300.0", "3e+39")
        (folder / "network.json").write_text(text)
    dump = write_dump(tmp_path / "bad.lammpstrj", positions, frames.cells_A[0], types)
    one = write_dump(tmp_path / "worse.lammpstrj", positions[1:2], frames.cells_A[0], types)
    trajectories = {"T": dump, "T8": one}
    table = compute_spread(beads_path, files["split"], files["folders"], trajectories, 3, "cpu")
    assert "T8" not in set(table["source"])
    found = table[table["source"] == "T"][MEASURES]
    assert np.isfinite(found.to_numpy()).all()
    assert table[table["source"] == "T"]["n"].iloc[0] == 2 * 27


def test_strange_beads_networks_and_cutoffs_are_refused(files, beads_path, tmp_path):
    with BeadFile(beads_path) as beads:
        frames, types = beads.frames(TEST), beads.topology.bead_types
    other = write_dump(tmp_path / "other.lammpstrj", frames.positions_A, frames.cells_A[0], 1 - types)
    arguments = (beads_path, files["split"], files["folders"])
    with pytest.raises(InputError, match="other beads"):
        compute_spread(*arguments, {"T": other}, 3, "cpu")
    save_model(files["folders"][1], make_model(8), PRIOR, {})
    with pytest.raises(InputError, match="predictions of another network") as caught:
        compute_spread(*arguments, {}, 3, "cpu")
    assert "seed-2" in caught.value.source
    save_model(files["folders"][1], make_model(2, cutoff_A=4.0), PRIOR, {})
    with pytest.raises(InputError, match="one cutoff"):
        compute_spread(*arguments, {}, 3, "cpu")


def test_figure_has_a_line_per_model_and_bead_type():
    palette = Palette(
        [Model("T", "T", "teacher"), Model("T8", "T8", "teacher_ensemble"), Model("S8", "S8F", "ensemble")]
    )
    rows = [
        {
            "source": source, "label": source, "bead_type": kind, "neighbour_type": "any",
            "r_low_A": low, "r_high_A": low + 0.5, "n": n,
            "force_rms_kcal_mol_A": 4.0, "force_spread_kcal_mol_A": spread, "epsilon_spread_kcal_mol": 1.0,
        }
        for source, spread in (("AA", 1.0), ("T8", 2.0), ("S8", 3.0))
        for kind in (*TYPES, "all")
        for low, n in ((3.0, 50), (3.5, 50), (4.0, 3))
    ]  # fmt: skip
    figure = spread_figure(pd.DataFrame(rows), palette)
    panels = [axes for axes in figure.axes if axes.lines]
    assert len(panels) == 2 * len(TYPES), "a column for the teachers and one for S8, T without a run"
    found = {line.get_gid(): line.get_xydata().tolist() for axes in panels for line in axes.lines}
    assert found == {
        "spread-AA": [[3.25, 0.25], [3.75, 0.25]],
        "spread-T8": [[3.25, 0.5], [3.75, 0.5]],
        "spread-S8": [[3.25, 0.75], [3.75, 0.75]],
    }
