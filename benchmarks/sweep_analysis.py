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
    from cgdistill.figures import draw as drawing
    from cgdistill.figures.style import Palette, models_in_order

    variants = fabricate.paper_variants()
    names = [variant.name for variant in variants]
    kinds = {variant.name: variant.kind for variant in variants}
    palette = Palette(models_in_order(names, {variant.name: variant.label for variant in variants}, kinds))
    structure, tables = results / "structure", results / "tables"
    common = {"palette": palette, "folder": results / "figures"}
    curves = [structure / name / "curves.parquet" for name in names]
    errors = {"summary": tables / "summary.csv", "runs": tables / "runs.csv", "curves": curves}
    reference = structure / "reference.parquet"
    begin = time.perf_counter()
    if job == "structure":
        stems = drawing.draw_structure(
            **errors, **common, reference=reference, tae=tables / "tae.csv", comparisons=tables / "comparisons.csv",
            students=fabricate.student_rows(variants),
        )  # fmt: skip
    elif job == "models":
        stems = drawing.draw_models(**errors, **common, reference=reference)
    elif job == "stability":
        stems = drawing.draw_stability(
            records=sorted(results.glob("simulations/*/*/*/run.json")), runs=errors["runs"],
            reference_resolved=structure / "reference_resolved.parquet",
            resolved=[structure / name / "resolved.parquet" for name in names],
            reference_series=structure / "reference_series.parquet",
            series=[structure / name / "series.parquet" for name in names], **common,
        )  # fmt: skip
    else:
        ensembles = [name for name in names if kinds[name] == "ensemble"]
        stems = drawing.draw_networks(
            teachers=sorted(results.glob("teachers/*/history.csv")),
            students=sorted(results.glob("students/*/*/history.csv")),
            training=tables / "training.csv", ceiling=tables / "ceiling.csv", spread=tables / "spread.csv",
            beads=results / "mapped/beads.h5", split=results / "mapped/split.json",
            teacher=results / "teachers/seed-1/predictions.h5", mean=results / "teachers/mean.h5",
            predictions={name: results / f"students/{name}/ensemble/test_predictions.h5" for name in ensembles},
            prior=results / "prior/prior.csv", reference=reference, temperature_K=298.15, **common,
        )  # fmt: skip
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
