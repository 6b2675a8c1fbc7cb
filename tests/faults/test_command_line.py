"""Faults through real commands: exit status, one line, nothing half made.

Snakemake runs in a folder of its own, on rules and library of this tree. Full and read-only disks need the right to
mount one; without it their tests are skipped.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from atom_cases import make_frames, write_gro, write_top, write_trr
from cases import CELL, RULES, mapping_file

#: Seconds; a command that takes longer hangs.
LONGEST_S = 120


def run(folder: Path, *command: str) -> tuple[int, str]:
    """Exit status and all output of a command."""
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, capture_output=True, text=True, timeout=LONGEST_S, encoding="utf-8"
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def workplace(root: Path, tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a config, for a small system in a folder of an awkward name, and gives its path."""
    data = tmp_path / "my data Ä"
    data.mkdir()
    frames = make_frames(CELL, 12)
    write_gro(data / "system.gro", frames[0]["positions"], CELL)
    write_top(data / "system.top")
    write_trr(data / "run.trr", frames, CELL)
    mapping_file(data)

    def write(text: Callable[[str], str] = str, **changes) -> Path:
        config = yaml.safe_load((root / "tests" / "configs" / "complete" / "demo.yaml").read_text(encoding="utf-8"))
        config["run"] = "faulty"
        config["aa"]["files"] = {
            "topology": str(data / "system.gro"),
            "masses": str(data / "system.top"),
            "trajectory": [str(data / "run.trr")],
            "units": None,
        }
        config["mapping"]["file"] = str(data / "mapping.yaml")
        config["students"]["table"] = str(root / "config" / "students.tsv")
        config["structure"]["adf"] |= {"triplets": [RULES["types"][:3]], "r_max_A": [5.0]}
        config["structure"]["rdf"]["r_max_A"] = 5.0
        config["network"] |= {"cutoff_A": 5.0, "soft_max_A": 4.5}
        for section, values in changes.items():
            config[section] |= values
        path = tmp_path / "config.yaml"
        path.write_text(text(yaml.safe_dump(config, allow_unicode=True)), encoding="utf-8")
        return path

    return write


def snakemake(root: Path, config: Path, *arguments: str) -> tuple[int, str]:
    """Snakemake in the folder of the config."""
    fixed = ("-m", "snakemake", "-s", str(root / "Snakefile"), "--directory", str(config.parent), "--nolock")
    return run(config.parent, *fixed, "--configfile", str(config), *arguments)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda text: text + "seed: 4\n", "found the key 'seed' again"),
        (lambda text: text.replace("learning_rate: 0.005", "learning_rate: 5e-3"), "found '5e-3' (str)"),
        (lambda text: text.replace("run: faulty", "run: no"), "run: found False (bool)"),
    ],
    ids=["key twice", "number as text", "name as truth value"],
)
def test_config_ends_before_anything_is_planned(root, workplace, change, line):
    """The reader is Snakemake's own; it takes the last of two keys without a word."""
    status, said = snakemake(root, workplace(change), "-n")
    assert status == 1
    assert len([found for found in said.splitlines() if line in found]) == 1, said[-2000:]
    assert "Traceback" not in said and "Building DAG" not in said


def test_config_with_tabs(root, workplace):
    """Refused by Snakemake itself."""
    status, said = snakemake(root, workplace(lambda text: text.replace("\n  start_ps", "\n\tstart_ps")), "-n")
    assert status == 1
    assert "not valid JSON or YAML" in said and "Traceback" not in said


def test_a_trajectory_cut_off_ends_its_job(root, workplace):
    """One line in log and terminal, status 1, no bead file; whole again, the job and those behind it run."""
    config = workplace(split={"train": 0.6, "valid": 0.2, "test": 0.2})
    trajectory = config.parent / "my data Ä" / "run.trr"
    whole = trajectory.read_bytes()
    trajectory.write_bytes(whole[:-100])
    target = "results/faulty/prior/prior.csv"
    status, said = snakemake(root, config, "--cores", "1", target)
    assert status == 1
    log = (config.parent / "logs" / "faulty" / "mapped" / "map_trajectory.log").read_text(encoding="utf-8")
    (line,) = [found for found in log.splitlines() if "ERROR" in found]
    assert "run.trr: frame 11: found end of file after" in line
    assert "Traceback" not in log
    assert not list((config.parent / "results").rglob("*beads*"))
    trajectory.write_bytes(whole)
    status, said = snakemake(root, config, "--cores", "1", target)
    assert status == 0, said[-3000:]
    assert (config.parent / target).is_file()


def test_analysis_of_a_damaged_file(tmp_path):
    (tmp_path / "beads.lammpstrj").write_text("ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n", encoding="utf-8")
    status, said = run(tmp_path, "-m", "cgdistill", "rdf", "beads.lammpstrj")
    assert status == 1
    assert said.splitlines()[-1].startswith("cgdistill: beads.lammpstrj: frame 0")
    assert "Traceback" not in said


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 6 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(place)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("no right to mount a disk")
    yield place
    subprocess.run(["umount", str(place)], check=True)


#: Writes bead frames until the disk is full, as a job does.
WRITER = """
import sys
sys.path.insert(0, {unit!r})
from bead_cases import bead_topology, make_frames
from cgdistill.data.beads import BeadWriter
from cgdistill.runtime.job import job
from cgdistill.runtime.atomic_files import whole_file
with job(None):
    frames, types = make_frames(200)
    with whole_file({path!r}) as partial, BeadWriter(partial, bead_topology(types), {{}}) as writer:
        for _ in range(200):
            writer.append(frames)
"""


def test_full_disk(root, disk):
    """HDF5 left alone with a full disk ends in a segmentation fault and hundreds of lines."""
    script = WRITER.format(unit=str(root / "tests" / "unit"), path=str(disk / "beads.h5"))
    status, said = run(disk.parent, "-c", script)
    assert status == 1
    assert "writing: found No space left on device" in said
    assert "Traceback" not in said and len(said.splitlines()) == 1, said
    assert list(disk.iterdir()) == []


def test_read_only_disk(root, disk):
    """What was made before stays."""
    (disk / "beads.h5").write_text("from before", encoding="utf-8")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    script = WRITER.format(unit=str(root / "tests" / "unit"), path=str(disk / "beads.h5"))
    status, said = run(disk.parent, "-c", script)
    assert status == 1
    assert "writing: found" in said and "Traceback" not in said and len(said.splitlines()) == 1, said
    assert (disk / "beads.h5").read_text(encoding="utf-8") == "from before"
