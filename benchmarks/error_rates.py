"""How often intervals and tests are wrong, on made-up data: the tables of docs/statistics.md.

``python -m benchmarks.error_rates [REPEATS]``; 1,000 repeats (the default) take some minutes.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "unit"))

import numpy as np
from cgdistill.statistics import StatisticsSpec
from statistics_cases import World, coverage, noise_check
from test_statistics_comparison import rates

SPEC = StatisticsSpec(resamples=200, confidence=0.95)
NOISE = {
    "independent frames": World(),
    "slow modes over 9 frames, noise of bins": World(memory=0.8, slow=0.5),
    "slow modes over 19 frames, noise of bins": World(memory=0.9, slow=0.5),
    "slow modes over 66 frames, noise of bins": World(memory=0.97, slow=0.5),
    "weak slow modes over 66 frames": World(memory=0.97, slow=0.2),
    "slow modes alone, independent": World(slow=1.0, fast=0.0),
}
INTERVALS = {
    "error above noise": World(memory=0.8, slow=0.3, bias=0.5),
    "error above noise, runs differ": World(memory=0.8, slow=0.3, bias=0.5, between=0.15),
    "error below noise": World(memory=0.8, slow=0.3, bias=0.05),
    "perfect model": World(memory=0.8, slow=0.3),
}


def main() -> None:
    """Print the tables."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    print("| frames | predicted / true noise | above noise_high |\n|---|---|---|")
    for name, world in NOISE.items():
        ratio, rate = noise_check(world, repeats, SPEC)
        print(f"| {name} | {ratio[-1]:.2f} | {rate[-1]:.3f} |", flush=True)
    print("\n| case | 1 run | 2 | 4 | 8 |\n|---|---|---|---|---|")
    for name, world in INTERVALS.items():
        held = [coverage(world, n_runs, repeats, SPEC)[-1] for n_runs in (1, 2, 4, 8)]
        print(f"| {name} | {' | '.join(f'{value:.3f}' for value in held)} |", flush=True)
    print("\n| runs of T8 and S8, their spread | false | found, 1.5 | 3 | 6 |\n|---|---|---|---|---|")
    for n_runs, spread in ((2, 1.0), (4, 0.3), (4, 1.0), (8, 0.3), (8, 1.0)):
        number = max(repeats // 4, 20)
        found = [rates(n_runs, spread, lower * spread, number, seed) for seed, lower in enumerate((0.0, 1.5, 3.0, 6.0))]
        false = np.mean([wrong for wrong, _ in found])
        power = " | ".join(f"{pair:.2f}" for _, pair in found[1:])
        print(f"| {n_runs}, {spread:g} | {false:.3f} | {power} |", flush=True)


if __name__ == "__main__":
    main()
