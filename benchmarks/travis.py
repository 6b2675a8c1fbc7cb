"""The same analysis by the program TRAVIS: answers to its questions, the curves that it prints, and the time it takes.

TRAVIS (Brehm et al., J. Chem. Phys. 2020, 152, 164105) asks for what it is to do; ``travis-*.txt`` are the answers,
one per line, with the question behind the exclamation mark. Beads pose as noble gases, between which it looks for no
bonds. It has one thread, so its processor time is its wall time on a machine that has nothing else to do.

`travis_compare` holds its curves against ours.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from cgdistill.structure.metrics.adf import triplet_indices

from .timing import Times

if TYPE_CHECKING:
    from cgdistill.structure.spec import StructureSpec

    from .context import Context
    from .systems import Beads

HERE = Path(__file__).parent
#: By bead type; TRAVIS numbers them by decreasing mass.
GASES = ("Ar", "Ne", "He")
PM_PER_A = 100.0
#: Where the angles of ``travis-adf.txt`` start: a bead with itself has 0.
SMALLEST_ANGLE_DEG = 1e-5
NOTES = {
    "all": "the sum of the three lines below for TRAVIS, one pass over the frames here",
    "rdf": "three runs of TRAVIS, one per kind of reference bead, for the six pairs",
    "adf": "four runs of TRAVIS, one per triplet, on one frame and at the largest radius, scaled to all frames and "
    "radii: it looks at all triples of beads whatever the radius",
    "cdf": "three runs of TRAVIS, one per kind of bead; it also writes sizes and counts of clusters",
}

#: Metric, item and radius (None where there is none) of a curve.
Key = tuple[str, str, float | None]


@dataclass(frozen=True)
class Job:
    """One run of TRAVIS: folder of its files, answers, and the file (a pattern) of each curve that is wanted."""

    name: str
    text: str
    files: dict[Key, str]


def available() -> bool:
    """Whether the program is installed."""
    return shutil.which("travis") is not None


def version(folder: Path) -> str:
    """What the program calls itself in the log of a run."""
    found = re.search(r"Version: ([^,]*)", (folder / "travis.log").read_text(encoding="utf-8", errors="replace"))
    return found.group(1) if found else "unknown"


def answers(name: str, **values: object) -> str:
    """The answers of ``travis-<name>.txt`` with ``{placeholders}`` filled in."""
    lines = (HERE / f"travis-{name}.txt").read_text(encoding="utf-8").splitlines()
    given = [line.split("!")[0].strip().format(**values) for line in lines if not line.startswith("!")]
    return "\n".join(given) + "\n"


def jobs(spec: StructureSpec, type_names: Sequence[str], cell_pm: str, radii: Sequence[float]) -> dict[str, list[Job]]:
    """What TRAVIS has to do for the curves of ``spec``, by metric; the ADF at the ``radii`` given."""

    distances, mergers = spec.settings["rdf"].grid, spec.settings["cdf"].grid

    def reach(r_max_A: float, n_bins: int) -> dict[str, object]:
        return {"r_max_pm": f"{r_max_A * PM_PER_A:g}", "n_bins": n_bins, "cell_pm": cell_pm}

    rdf, cdf, adf = [], [], []
    for a in range(3):
        pairs: dict[Key, str] = {
            ("rdf", f"{type_names[a]}-{type_names[b]}", None): f"rdf_{GASES[a]}_{GASES[b]}_*.csv" for b in range(a, 3)
        }
        rdf.append(
            Job(
                f"rdf-{a + 1}-{a}",
                answers(f"rdf-{a + 1}", **reach(distances.stop, distances.n_bins)),
                pairs,
            )
        )
        text = answers("cdf", bead=a + 1, **reach(mergers.stop, mergers.n_bins))
        cdf.append(Job(f"cdf-{a}", text, {("cdf", type_names[a], None): "cluster_distance_df.csv"}))
    for left, centre, right in triplet_indices(spec.settings["adf"], type_names, "config"):
        item = "-".join(type_names[index] for index in (left, centre, right))
        ends = GASES[left], GASES[right]
        kinds = {"centre": centre + 1, "left": ends[0], "right": ends[1], "atoms": ",".join(dict.fromkeys(ends))}
        for radius in radii:
            text = answers("adf", **kinds, **reach(radius, spec.settings["adf"].grid.n_bins))
            adf.append(Job(f"adf-{len(adf)}", text, {("adf", item, radius): "adf_*.csv"}))
    return {"rdf": rdf, "adf": adf, "cdf": cdf}


def run(folder: Path, xyz: Path, text: str) -> float:
    """Run TRAVIS on a trajectory; returns its processor time, s.

    Raises
    ------
    RuntimeError
        It did not come to its end, or did not understand an answer.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "answers.txt").write_text(text, encoding="ascii")
    before = os.times()
    done = subprocess.run(
        ["travis", "-nocolor", "-p", str(xyz), "-i", "answers.txt"],
        cwd=folder,
        env=os.environ | {"HOME": str(folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    after = os.times()
    log = done.stdout + done.stderr
    if "*** The End ***" not in log or "Invalid input" in log or "End of input file reached" in log:
        raise RuntimeError(f"TRAVIS failed:\n{log[-2000:]}")
    return (after.children_user - before.children_user) + (after.children_system - before.children_system)


def write_xyz(path: Path, positions_A: np.ndarray, bead_types: np.ndarray, digits: int = 5) -> None:
    """Frames (n, n_beads, 3) as noble gases."""
    names = [GASES[kind] for kind in bead_types]
    with open(path, "w", encoding="ascii") as file:
        for frame in positions_A:
            rows = (
                f"{name} {x:.{digits}f} {y:.{digits}f} {z:.{digits}f}\n"
                for name, (x, y, z) in zip(names, frame.tolist(), strict=True)
            )
            file.writelines([f"{len(names)}\n\n", *rows])


def seconds_per_frame(context: Context, beads: Beads, spec: StructureSpec, adf_frames: int) -> dict[str, Times]:
    """Time per frame of rdf, adf and cdf with the bins, triplets and radii of ``spec``.

    The ADF is measured on ``adf_frames`` frames at the largest radius and multiplied by the number of radii.
    """
    edge_A = float(beads.cell_A[0, 0])
    folder, wrapped, types = context.folder / "travis", beads.positions_A % edge_A, beads.topology.bead_types
    folder.mkdir()
    whole, part = folder / "all.xyz", folder / "part.xyz"
    write_xyz(whole, wrapped, types)
    write_xyz(part, wrapped[:adf_frames], types)
    todo = jobs(spec, beads.topology.type_names, f"{edge_A * PM_PER_A:.3f}", spec.settings["adf"].r_max_A[-1:])
    n_frames = len(wrapped)
    found = {}
    for metric, xyz, scale in (
        ("rdf", whole, 1.0 / n_frames),
        ("cdf", whole, 1.0 / n_frames),
        ("adf", part, len(spec.settings["adf"].r_max_A) / adf_frames),
    ):
        context.say(f"structure: TRAVIS, {metric.upper()}")
        seconds = sum(run(folder / job.name, xyz, job.text) for job in todo[metric])
        found[metric] = Times("TRAVIS", (scale * seconds,))
    return found


def curves(
    folder: Path,
    positions_A: np.ndarray,
    cell_A: np.ndarray,
    type_names: Sequence[str],
    bead_types: np.ndarray,
    spec: StructureSpec,
) -> dict[Key, np.ndarray]:
    """All curves of ``spec`` as TRAVIS prints them.

    Parameters
    ----------
    folder: for its files; need not exist.
    positions_A: (n_frames, n_beads, 3), wrapped or not.
    cell_A: (3, 3) cubic, the same for all frames.
    type_names, bead_types: three types.

    Returns
    -------
    (n_bins, 2) each: x in pm or degrees, and the value.
    """
    edge_A = float(cell_A[0, 0])
    if len(type_names) != len(GASES) or not np.allclose(cell_A, edge_A * np.eye(3)):
        raise ValueError("the answers are for three types of beads in a cubic cell")
    folder.mkdir(parents=True, exist_ok=True)
    xyz = (folder / "beads.xyz").resolve()
    # As many digits as TRAVIS reads: five would show in the comparison.
    write_xyz(xyz, positions_A % edge_A, bead_types, digits=10)
    found = {}
    for todo in jobs(spec, type_names, f"{edge_A * PM_PER_A:.12g}", spec.settings["adf"].r_max_A).values():
        for job in todo:
            run(folder / job.name, xyz, job.text)
            for key, pattern in job.files.items():
                (file,) = (folder / job.name).glob(pattern)
                found[key] = np.loadtxt(file, delimiter=";", comments="#")[:, :2]
    return found
