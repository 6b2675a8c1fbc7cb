"""Speed on a GPU: ``python -m benchmarks.gpu``. MD and training, fused against hippynn's graph.

1,024 beads of the demo's fluid, the network of the paper's table 1 with random weights. In MD the beads move on
straight lines at 298 K, which rebuilds pair lists about as often as MD does; integration is left out. hippynn's graph
evaluates one system after another and is given fewer replicas and steps, its rate being the same.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from cgdistill.data.pair_frames import PairFrames
from cgdistill.forcefield.hipnn import environment_gpu
from cgdistill.forcefield.hipnn.evaluation import energies_and_forces
from cgdistill.forcefield.hipnn.model import BeadModel
from cgdistill.forcefield.hipnn.network_potential import JointNetworkPotential
from cgdistill.forcefield.trainable import ModelOutput
from cgdistill.training.loss import Objective

from .context import Context
from .systems import Beads

REPLICAS = (1, 8, 64)
SEEDS = (1, 8)
TIMESTEP_FS = 2.0
#: Speed of a bead along an axis at 298 K and 60 g/mol.
SPEED_A_FS = 2.0e-3


def rate(work: Callable[[], object], units: int, seconds: float) -> tuple[float, float]:
    """Units of work per second: median over calls, and the relative spread of their middle half."""
    work()
    torch.cuda.synchronize()
    rates: list[float] = []
    end = time.perf_counter() + seconds
    while len(rates) < 5 or time.perf_counter() < end:
        start = time.perf_counter()
        work()
        torch.cuda.synchronize()
        rates.append(units / (time.perf_counter() - start))
    low, middle, high = np.percentile(rates, [25.0, 50.0, 75.0])
    return float(middle), float((high - low) / middle)


def md_steps(beads: Beads, model: BeadModel, n_replicas: int, evaluation: str, n_steps: int) -> Callable[[], None]:
    """Steps of all replicas, each from a frame of its own."""
    potential = JointNetworkPotential(
        [[model]] * n_replicas, beads.topology.bead_types, device="cuda", evaluation=evaluation
    )
    rng = np.random.default_rng(1)
    frames = beads.positions_A[np.arange(n_replicas) % len(beads.positions_A)]
    moves = rng.normal(scale=SPEED_A_FS * TIMESTEP_FS, size=frames.shape)

    def run() -> None:
        for step in range(n_steps):
            positions = frames + step * moves
            potential.evaluate_all({number: (place, beads.cell_A) for number, place in enumerate(positions)})

    return run


def training_steps(frames: PairFrames, models: list[BeadModel], evaluation: str) -> Callable[[], None]:
    """One step of each model on one frame, loss on forces."""
    objective, device = Objective.constant({"F": 1.0}), "cuda"
    optimiser = torch.optim.Adam([weight for model in models for weight in model.parameters()], lr=1.0e-4)

    def run() -> None:
        batch = frames.batch([0], device)
        optimiser.zero_grad()
        found = energies_and_forces(models, [batch] * len(models), True, evaluation)
        outputs = [ModelOutput(forces, epsilon) for epsilon, forces in found]
        loss, _ = objective.evaluate(outputs, [batch.targets] * len(models), [1] * len(models))
        loss.sum().backward()
        optimiser.step()

    return run


def pair_frames(beads: Beads, path: Path, cutoff_A: float) -> PairFrames:
    """The first frame with its pairs and forces."""
    from cgdistill.data.beads import BeadFile, BeadFrames, BeadWriter

    with BeadWriter(path, beads.topology, {}) as writer:
        arrays = beads.positions_A[:1], beads.forces_kcal_mol_A[:1], beads.cell_A[None], np.zeros(1)
        writer.append(BeadFrames(*arrays))
    with BeadFile(path) as file:
        return PairFrames.from_beads(file, [0], cutoff_A)


def main() -> None:
    """Measure and print."""
    if not torch.cuda.is_available():
        sys.exit("benchmarks.gpu: no CUDA device, nothing to measure")
    if not environment_gpu.available("cuda"):
        sys.exit("benchmarks.gpu: triton is not installed, nothing to measure")
    with tempfile.TemporaryDirectory() as folder:
        context = Context(Path(folder), threads=1, device="cuda")
        beads, model = context.thousand, context.demo.model(1)
        print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {beads.n_beads:,} beads, median (spread)")
        for n in REPLICAS:
            print_ratio(
                f"MD, replicas together: {n}, steps of all per second",
                rate(md_steps(beads, model, n, "auto", 100), 100, 10.0),
                rate(md_steps(beads, model, min(n, 2), "stock", 5), 5 * min(n, 2) / n, 5.0),
            )
        frames = pair_frames(beads, Path(folder) / "frame.h5", context.demo.network.cutoff_A)
        for n in SEEDS:
            models = [context.demo.model(seed).to("cuda").train() for seed in range(n)]
            print_ratio(
                f"training, seeds together: {n}, frames of all seeds per second",
                *(rate(training_steps(frames, models, evaluation), n, 5.0) for evaluation in ("auto", "stock")),
            )


def print_ratio(title: str, fused: tuple[float, float], stock: tuple[float, float]) -> None:
    """One line."""
    shown = (f"{name} {value:.4g} ({spread:.0%})" for name, (value, spread) in (("fused", fused), ("stock", stock)))
    print(f"{title}: {', '.join(shown)}, ratio {fused[0] / stock[0]:.1f}", flush=True)


if __name__ == "__main__":
    main()
