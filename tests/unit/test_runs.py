"""Runs gathered for a variant: finished ones have curves, those that blew up are described."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from bead_cases import bead_topology, configuration
from cgdistill.analysis.run_analysis import analyse_reference, analyse_runs, read_cluster_cutoffs
from cgdistill.analysis.stability import StabilitySpec
from cgdistill.core.errors import InputError
from cgdistill.data.beads import BeadFile, BeadFrames, BeadWriter
from cgdistill.io.csv_tables import write_table
from cgdistill.md.checkpoint import THERMO_COLUMNS
from cgdistill.structure.curves import compute_curves
from cgdistill.structure.files import write_blocks, write_curves, write_resolved, write_series
from cgdistill.structure.series import cluster_cutoffs
from cgdistill.structure.spec import StructureSpec

CELL = np.diag([12.0, 12.0, 12.0])
SPEC = StructureSpec.from_config(
    {
        "rdf": {"r_max_A": 6.0, "bin_width_A": 0.5},
        "adf": {"triplets": [["Cho", "Cl", "Cho"]], "r_max_A": [5.0], "bin_width_deg": 15.0},
        "cdf": {"r_max_A": 6.0, "bin_width_A": 0.5, "resolved_every_ps": 0.2},
    }
)
N_EARLY, N_FRAMES = 4, 6
EVERY_PS = 0.1
CUTOFFS = {"Cho": 2.0, "Cl": 2.0}


def positions(replica):
    """Frames of both phases."""
    return np.array([configuration(CELL, seed=100 * replica + number)[0] for number in range(N_EARLY + N_FRAMES)])


def write_dump(path, frames, bead_types, first, time=True):
    """Frames every 0.1 ps; ``first`` is the number of the first."""
    lines = ["ITEM: UNITS", "real"] if len(frames) else []
    for number, frame in enumerate(frames, start=first):
        lines += ["ITEM: TIME", f"{100 * number}"] if time else []
        lines += ["ITEM: TIMESTEP", f"{50 * number}", "ITEM: NUMBER OF ATOMS", f"{len(frame)}"]
        lines += ["ITEM: BOX BOUNDS pp pp pp", *["0 12"] * 3, "ITEM: ATOMS id type xu yu zu"]
        for bead, (kind, place) in enumerate(zip(bead_types, frame, strict=True), start=1):
            lines.append(f"{bead} {kind + 1} " + " ".join(f"{value:.8f}" for value in place))
    path.write_text("".join(line + "\n" for line in lines), encoding="ascii")


def thermo(n_production):
    """Equilibration at 400 K, production at 300 K."""
    phases = ["equilibration"] * 20 + ["production"] * n_production
    n = len(phases)
    noise = np.random.default_rng(0).normal(size=n)
    table = {
        "phase": phases,
        "step": np.arange(n) * 10,
        "time_ps": np.arange(n) * 0.02,
        "temperature_K": [400.0] * 20 + [300.0 + i for i in range(n_production)],
        "potential_energy_kcal_mol": -50.0 + noise,
        "total_energy_kcal_mol": -20.0 + noise,
        "pressure_atm": [1.0] * 20 + [9.0] * n_production,
    }
    return pd.DataFrame(table, columns=list(THERMO_COLUMNS))


def write_run(folder, replica, status="finished", n_production=40, types=None, n_frames=N_FRAMES):
    """A run of 0.3 ps of equilibration with frames from 0 on, and production with frames from 0.4 ps on."""
    folder.mkdir(parents=True)
    bead_types = configuration(CELL)[1] if types is None else types
    record = {
        "status": status,
        "reason": None if status == "finished" else "temperature 2000 K above 1500 K",
        "step": 600,
        "equilibration_steps": 150,
        "variant": "T",
        "member": "seed-1",
        "replica": replica,
        "start_frame": 7,
        "n_beads": len(bead_types),
        "timestep_fs": 2.0,
        "threads": 1,
        "device": "cpu",
        "ns_per_day": 12.5,
        "wall_s": 3.0,
    }
    (folder / "run.json").write_text(json.dumps(record), encoding="utf-8")
    write_table(folder / "thermo.csv", thermo(n_production), {})
    frames = positions(replica)
    write_dump(folder / "equilibration.lammpstrj", frames[:N_EARLY], bead_types, 0)
    write_dump(folder / "trajectory.lammpstrj", frames[N_EARLY : N_EARLY + n_frames], bead_types, N_EARLY)
    return folder


def analyse(folders, topology, **changes):
    """With the settings of these tests."""
    settings = {"n_blocks": 3, "stability": StabilitySpec(), "cluster_cutoffs_A": CUTOFFS}
    return analyse_runs(folders, topology, SPEC, **(settings | changes))


@pytest.fixture
def topology():
    return bead_topology(configuration(CELL)[1])


def test_finished_and_blown_up_runs(tmp_path, topology):
    """Curves and blocks of those that finished; all are described and resolved in time."""
    folders = [
        write_run(tmp_path / "1", 1),
        write_run(tmp_path / "2", 2, "blown up", n_production=0, n_frames=2),
        write_run(tmp_path / "3", 3),
    ]
    found = analyse(folders, topology)
    runs = found.runs
    assert sorted(set(found.curves.replica)) == sorted(set(found.blocks.replica)) == [1, 3]
    assert sorted(set(found.resolved.replica)) == sorted(set(found.series.replica)) == [1, 2, 3]
    assert runs.replica.tolist() == [1, 2, 3] and runs.start_frame.tolist() == [7] * 3
    assert runs.status.tolist() == ["finished", "blown up", "finished"]
    assert runs.reason.tolist() == ["", "temperature 2000 K above 1500 K", ""]
    assert runs.n_frames.tolist() == [N_FRAMES, 0, N_FRAMES]
    assert runs.mean_temperature_K[0] == pytest.approx(300 + 39 / 2)
    assert runs.mean_pressure_atm[0] == 9.0
    assert np.isnan(runs.mean_temperature_K[1])
    assert (runs.ns_per_day == 12.5).all()
    assert runs.stability[1] == "blown up" and runs.stability_reason[1] == runs.reason[1]
    assert runs.onset_ps[1] == pytest.approx(1.2)
    assert runs.stability[0] == "drifting" and "temperature moved by +40" in runs.stability_reason[0]
    assert runs.temperature_drift_K[0] == pytest.approx(39.0, abs=2.0) and runs.onset_ps[0] > 0.4
    assert (runs.min_distance_A > 0).all()


def test_tables_are_those_of_the_frames(tmp_path, topology):
    """Production in curves and blocks, all frames in the rest; the RDF, ADF and CDF are tested elsewhere."""
    found = analyse([write_run(tmp_path / "1", 2)], topology)

    def of(start, stop, metrics=("rdf", "adf", "cdf")):
        frames = ((frame, CELL) for frame in positions(2)[start:stop])
        return compute_curves(frames, topology.type_names, topology.bead_types, SPEC.only(*metrics))

    expected = of(N_EARLY, N_EARLY + N_FRAMES)
    np.testing.assert_allclose(found.curves.value, expected.value, atol=1e-6)
    assert found.curves.item.tolist() == expected.item.tolist()
    assert set(found.curves.metric) == {"rdf", "adf", "cdf"}
    for table in (found.curves, found.blocks, found.resolved, found.series):
        assert set(zip(table.variant, table.member, table.replica, strict=True)) == {("T", "seed-1", 2)}
    last = found.blocks[found.blocks.block == 2]
    np.testing.assert_allclose(last.value, of(N_EARLY + 4, N_EARLY + 6).value, atol=1e-6)
    assert (last.first_ps.iloc[0], last.last_ps.iloc[0]) == pytest.approx((0.8, 0.9))
    assert found.resolved.time_ps.unique() == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8])
    window = found.resolved[np.isclose(found.resolved.time_ps, 0.4)]
    np.testing.assert_allclose(window.value, of(5, 7, ["cdf"]).value, atol=1e-6)
    frames = found.series[found.series.quantity == "min_distance"]
    assert frames.time_ps.tolist() == pytest.approx([EVERY_PS * k for k in range(N_EARLY + N_FRAMES)])
    assert frames.phase.tolist() == ["equilibration"] * N_EARLY + ["production"] * N_FRAMES


def test_runs_without_frames_of_equilibration(tmp_path, topology):
    """The file is empty, or there is none: the production is the same."""
    whole = analyse([write_run(tmp_path / "1", 1)], topology)
    for name in ("2", "3"):
        folder = write_run(tmp_path / name, 1)
        (folder / "equilibration.lammpstrj").unlink()
        if name == "2":
            (folder / "equilibration.lammpstrj").touch()
        found = analyse([folder], topology)
        pd.testing.assert_frame_equal(found.curves, whole.curves)
        assert (found.series[found.series.quantity == "min_distance"].phase == "production").all()


def test_when_all_blew_up_the_tables_are_empty_but_have_their_columns(tmp_path, topology):
    """One of them before its first thermo row, without any frame. They can be written."""
    folders = [write_run(tmp_path / "1", 1, "blown up", n_production=0), write_run(tmp_path / "2", 2, "blown up")]
    write_table(folders[0] / "thermo.csv", pd.DataFrame(columns=list(THERMO_COLUMNS)), {})
    for name in ("equilibration.lammpstrj", "trajectory.lammpstrj"):
        (folders[0] / name).write_text("")
    found = analyse(folders, topology)
    finished = analyse([write_run(tmp_path / "3", 3)], topology)
    for name in ("curves", "blocks"):
        assert len(getattr(found, name)) == 0
        assert list(getattr(found, name).columns) == list(getattr(finished, name).columns)
    assert set(found.resolved.replica) == set(found.series.replica) == {2}
    assert len(found.runs) == 2
    assert np.isnan(found.runs.equilibrated_ps[0])
    assert np.isfinite(found.runs.equilibrated_ps[1])
    nothing = analyse(folders[:1], topology)
    for tables in (found, nothing):
        write_curves(tmp_path / "curves.parquet", tables.curves, {})
        write_blocks(tmp_path / "blocks.parquet", tables.blocks, {})
        write_resolved(tmp_path / "resolved.parquet", tables.resolved, {})
        write_series(tmp_path / "series.parquet", tables.series, {})


def test_reference(tmp_path, topology):
    """All frames are of production; the cutoffs that hold for the runs stand among its series."""
    frames = positions(1)
    n = len(frames)
    with BeadWriter(tmp_path / "beads.h5", topology, {}, forces=False) as writer:
        writer.append(BeadFrames(frames, None, np.repeat(CELL[None], n, axis=0), 0.1 * np.arange(n)))
    with BeadFile(tmp_path / "beads.h5") as beads:
        found = analyse_reference(beads, SPEC, n_blocks=5)
    expected = compute_curves([(frames, np.repeat(CELL[None], n, axis=0))], *names(topology), SPEC)
    np.testing.assert_allclose(found.curves.value, expected.value, atol=1e-4)
    assert set(zip(found.curves.variant, found.curves.member, found.curves.replica, strict=True)) == {("AA", "AA", 0)}
    assert found.blocks.block.nunique() == 5 and len(found.runs) == 0
    assert set(found.series.phase) == {"production"}
    cutoffs = read_cluster_cutoffs(found.series)
    assert cutoffs == cluster_cutoffs(((frame, CELL) for frame in frames.astype(np.float32)), *names(topology))
    shares = found.series[found.series.quantity == "largest_cluster"]
    assert shares.item.nunique() == 2 and shares.value.between(1 / 14, 1.0).all()


def names(topology):
    return topology.type_names, topology.bead_types


def test_a_run_of_other_beads_is_refused(tmp_path, topology):
    folder = write_run(tmp_path / "1", 1, types=1 - configuration(CELL)[1])
    with pytest.raises(InputError, match="other bead types"):
        analyse([folder], topology)


def test_frames_without_time_are_refused(tmp_path, topology):
    folder = write_run(tmp_path / "1", 1)
    write_dump(folder / "trajectory.lammpstrj", positions(1)[:2], topology.bead_types, 4, time=False)
    with pytest.raises(InputError, match="step 200: found no time"):
        analyse([folder], topology)


def test_a_finished_run_without_frames_is_refused(tmp_path, topology):
    folder = write_run(tmp_path / "1", 1)
    (folder / "trajectory.lammpstrj").write_text("")
    with pytest.raises(InputError, match="frames: found 0"):
        analyse([folder], topology)


@pytest.mark.parametrize("name", ["run.json", "thermo.csv", "trajectory.lammpstrj", "equilibration.lammpstrj"])
def test_damaged_files_are_named(tmp_path, topology, name):
    folder = write_run(tmp_path / "1", 1)
    (folder / name).write_text("{", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        analyse([folder], topology)
    assert caught.value.source == str(folder / name)
