"""Analysis and figures of a sweep as large as the published protocol: the table of docs/report.md.

``python -m benchmarks.sweep_analysis``: one pass over frames of 1,000 beads, then the figures of 256 made-up runs
with the grids of config/paper.yaml. Each part runs in a process of its own, for its memory.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("pass over frames", "structure", "models", "networks", "stability")
_FRAMES, _BEADS = 200, 1000


def pass_over_frames(threads: int) -> str:
    """Time per frame of everything that is taken from a trajectory."""
    import numpy as np
    from cgdistill.structure.trajectory import analyse_trajectory

    from .systems import structure_spec

    rng = np.random.default_rng(0)
    cell = 44.84 * np.eye(3)
    types = np.repeat([0, 1, 2], [_BEADS // 4, _BEADS // 4, _BEADS // 2])
    # A random fluid without overlaps costs the same as a real one: as many neighbours, as many angles.
    frames = [(float(k), rng.random((_BEADS, 3)) * 44.84, cell) for k in range(_FRAMES)]
    cutoffs = {"Cho": 6.0, "Cl": 6.0, "Urea": 5.0}

    def run(some: list) -> float:
        begin = time.perf_counter()
        analyse_trajectory(
            some, tuple(cutoffs), types, structure_spec(), n_blocks=10, threads=threads, cluster_cutoffs_A=cutoffs
        )
        return time.perf_counter() - begin

    run(frames[:4])  # compiles
    return f"{run(frames) / _FRAMES * 1e3:.1f} ms per frame of {_BEADS:,} beads, threads: {threads}"


def draw(job: str, results: Path) -> str:
    """Time of one of the jobs that draw."""
    import fabricate
    from cgdistill.figures.catalogue import catalogue, drawn_by
    from cgdistill.figures.draw import draw as draw_entries
    from cgdistill.figures.style import Palette
    from cgdistill.structure.spec import StructureSpec

    variants = fabricate.paper_variants()
    models = fabricate.models_of(variants)
    structure = StructureSpec.from_config(fabricate.read_config("paper")["structure"])
    files_of = {"stability": fabricate.stability_files, "networks": fabricate.network_files}
    files = files_of.get(job, fabricate.structure_files)(results, Palette(models))
    begin = time.perf_counter()
    entries = drawn_by(catalogue(models, fabricate.student_variants(variants), structure), job)
    stems = draw_entries(entries, files, results / "figures")
    return f"{len(stems)} figures in {time.perf_counter() - begin:.0f} s"


def main() -> None:
    """Run all parts, or the one named on the command line."""
    sys.path.insert(0, str(ROOT / "tests" / "unit"))
    if len(sys.argv) > 2:
        import resource

        part, results = sys.argv[1], Path(sys.argv[2])
        if part == PARTS[0]:
            print(f"{part}: {pass_over_frames(1)}")
            print(f"{part}: {pass_over_frames(2)}")
        else:
            print(f"{part}: {draw(part, results)}", end="")
            print(f", {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.1f} GB at most")
        return
    import fabricate

    with tempfile.TemporaryDirectory() as folder:
        fabricate.fabricate(Path(folder), fabricate.paper_variants(), fabricate.read_config("paper"))
        for part in PARTS:
            subprocess.run([sys.executable, "-m", "benchmarks.sweep_analysis", part, folder], check=True, cwd=ROOT)


if __name__ == "__main__":
    main()
