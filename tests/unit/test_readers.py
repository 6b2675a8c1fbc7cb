"""Readers of trajectories: one format of mdtraj against the arrays that were written.

Files of MDAnalysis are read in test_atoms and test_cli.
"""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from cgdistill.cli.main import main
from cgdistill.core.errors import InputError
from cgdistill.data.cg_trajectory import Origin, open_trajectory

CELL = np.array([[20.0, 0.0, 0.0], [4.0, 19.0, 0.0], [-3.0, 5.0, 18.0]])
N_BEADS, TIMES_PS = 40, [1.0, 3.0, 5.0]
POSITIONS_A = np.random.default_rng(1).uniform(0, 18, (3, N_BEADS, 3)).astype(np.float32)


def write_topology(path, n_beads):
    """A .gro file of beads A and B."""
    rows = [f"{n + 1:5d}BEA  {'AB'[n % 2]:>5s}{n + 1:5d}{0:8.3f}{0:8.3f}{0:8.3f}" for n in range(n_beads)]
    path.write_text("\n".join(["beads", str(n_beads), *rows, "2.0 2.0 2.0"]) + "\n", encoding="utf-8")
    return path


def test_desmond_trajectory(root, tmp_path, capsys):
    """Times, positions and cells as written, and an analysis of them by the command line."""
    path, topology = root / "tests/data/desmond/run.dtr", write_topology(tmp_path / "beads.gro", N_BEADS)
    trajectory = open_trajectory([path], Origin(topology=topology))
    assert trajectory.type_names == ("A", "B")
    frames = list(trajectory.read())
    assert [frame.time_ps for frame in frames] == TIMES_PS
    for frame, expected in zip(frames, POSITIONS_A, strict=True):
        np.testing.assert_array_equal(frame.positions_A, expected)
        np.testing.assert_allclose(frame.cell_A, CELL, atol=1e-4)
    assert main(["rdf", str(path), "--topology", str(topology), "--r-max", "8"]) == 0
    assert "A-B" in capsys.readouterr().out


def test_desmond_trajectories_that_are_refused(root, tmp_path):
    """Another number of atoms, a missing folder and a damaged index are errors that name the file."""
    path = tmp_path / "run.dtr"
    shutil.copytree(root / "tests/data/desmond/run.dtr", path)
    topology, smaller = (write_topology(tmp_path / f"{n}.gro", n) for n in (N_BEADS, N_BEADS - 1))
    with pytest.raises(InputError, match=r"run\.dtr: trajectory: found 40 atoms, expected 39 as in the topology"):
        list(open_trajectory([path], Origin(topology=smaller)).read())
    with pytest.raises(InputError, match=r"none\.dtr: file: found nothing, expected a trajectory"):
        open_trajectory([tmp_path / "none.dtr"], Origin(topology=topology))
    (path / "timekeys").write_bytes(b"x")
    with pytest.raises(InputError, match=r"run\.dtr: trajectory: found OSError.*expected a trajectory of Desmond"):
        list(open_trajectory([path], Origin(topology=topology)).read())
