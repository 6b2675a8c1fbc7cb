"""The same analysis by the program TRAVIS: answers to its questions, and the time that it takes.

TRAVIS (Brehm et al., J. Chem. Phys. 2020, 152, 164105) asks for what it is to do; ``travis-*.txt`` are the answers,
one per line, with the question behind the exclamation mark. Beads pose as noble gases, between which it looks for no
bonds. It has one thread, so its processor time is its wall time on a machine that has nothing else to do.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .timing import Times

if TYPE_CHECKING:
    from cgdistill.structure.spec import StructureSpec

    from .context import Context
    from .systems import Beads

HERE = Path(__file__).parent
#: By bead type; TRAVIS numbers them by decreasing mass.
GASES = ("Ar", "Ne", "He")
PM_PER_A = 100.0
NOTES = {
    "all": "the sum of the three lines below for TRAVIS, one pass over the frames here",
    "rdf": "three runs of TRAVIS, one per kind of reference bead, for the six pairs",
    "adf": "four runs of TRAVIS, one per triplet, on one frame and at the largest radius, scaled to all frames and "
    "radii: it looks at all triples of beads whatever the radius",
    "cdf": "three runs of TRAVIS, one per kind of bead; it also writes sizes and counts of clusters",
}


def available() -> bool:
    """Whether the program is installed."""
    return shutil.which("travis") is not None


def answers(name: str, **values: object) -> str:
    """The answers of ``travis-<name>.txt`` with ``{placeholders}`` filled in."""
    lines = (HERE / f"travis-{name}.txt").read_text(encoding="utf-8").splitlines()
    given = [line.split("!")[0].strip().format(**values) for line in lines if not line.startswith("!")]
    return "\n".join(given) + "\n"


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


def write_xyz(path: Path, positions_A: np.ndarray, bead_types: np.ndarray) -> None:
    """Frames (n, n_beads, 3) as noble gases."""
    names = [GASES[kind] for kind in bead_types]
    with open(path, "w", encoding="ascii") as file:
        for frame in positions_A:
            rows = (f"{name} {x:.5f} {y:.5f} {z:.5f}\n" for name, (x, y, z) in zip(names, frame.tolist(), strict=True))
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
    cell = {"cell_pm": f"{edge_A * PM_PER_A:.3f}"}

    def total(xyz: Path, jobs: list[tuple[str, dict[str, object]]]) -> float:
        return sum(
            run(folder / f"{name}-{number}", xyz, answers(name, **cell, **values))
            for number, (name, values) in enumerate(jobs)
        )

    def reach(r_max_A: float, n_bins: int) -> dict[str, object]:
        return {"r_max_pm": f"{r_max_A * PM_PER_A:g}", "n_bins": n_bins}

    rdf = [(f"rdf-{number}", reach(spec.rdf.stop, spec.rdf.n_bins)) for number in (1, 2, 3)]
    cdf = [("cdf", {"bead": number, **reach(spec.cdf.stop, spec.cdf.n_bins)}) for number in (1, 2, 3)]
    adf: list[tuple[str, dict[str, object]]] = []
    for left, centre, right in spec.triplet_indices(beads.topology.type_names):
        ends = GASES[left], GASES[right]
        kinds = {"centre": centre + 1, "left": ends[0], "right": ends[1], "atoms": ",".join(dict.fromkeys(ends))}
        adf.append(("adf", {**kinds, **reach(spec.adf_r_max_A[-1], spec.adf.n_bins)}))
    n_frames = len(wrapped)
    found = {}
    for metric, xyz, jobs, scale in (
        ("rdf", whole, rdf, 1.0 / n_frames),
        ("cdf", whole, cdf, 1.0 / n_frames),
        ("adf", part, adf, len(spec.adf_r_max_A) / adf_frames),
    ):
        context.say(f"structure: TRAVIS, {metric.upper()}")
        found[metric] = Times("TRAVIS", (scale * total(xyz, jobs),))
    return found
