"""Made-up trajectories whose noise is known, for tests and benchmarks/error_rates.py.

Curves of a frame are the truth, plus a few slow modes (autoregressive in time), plus noise of each bin of
its own, as the structure of a liquid has.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from cgdistill.statistics.blocks import Blocks, Layout
from cgdistill.statistics.spec import StatisticsSpec
from cgdistill.statistics.summary import half_width, resample

N_BINS = (60, 40)
X = np.arange(sum(N_BINS))
MODES = np.array([np.sin(X * k / 15 + k) for k in (1, 2, 3)])


def grid(metric: str = "rdf", n_bins: tuple[int, ...] = N_BINS) -> pd.DataFrame:
    """Columns of a curve but for its values: one item for each number of bins, 0.1 A wide."""
    parts = [
        pd.DataFrame({"metric": metric, "item": f"I{number}", "parameter": np.nan, "x": 0.1 * np.arange(n) + 0.05,
                      "x_unit": "A", "value_unit": "1"})
        for number, n in enumerate(n_bins)
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


LAYOUT = Layout.of(grid())


@dataclass(frozen=True)
class World:
    """How trajectories are made.

    Attributes
    ----------
    memory: correlation of the slow modes from frame to frame.
    slow, fast: standard deviations of the slow modes and of the noise of each bin.
    bias: of the model's curves, largest.
    between: standard deviation of what one run has of its own for its whole length (along the modes).
    """

    memory: float = 0.0
    slow: float = 0.0
    fast: float = 1.0
    bias: float = 0.0
    between: float = 0.0

    def frames(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """(n, n_bins) noise of n frames."""
        steps = rng.normal(size=(n, len(MODES))) * np.sqrt(1 - self.memory**2)
        state, states = rng.normal(size=len(MODES)), np.empty((n, len(MODES)))
        for frame in range(n):
            state = states[frame] = self.memory * state + steps[frame]
        return self.slow * states @ MODES + self.fast * rng.normal(size=(n, len(X)))

    def reference(self, rng: np.random.Generator, n: int = 300) -> Blocks:
        """Ten blocks of the reference."""
        return cut(self.frames(n, rng))

    def run(self, rng: np.random.Generator, n: int = 100) -> Blocks:
        """Ten blocks of a run of the model."""
        own = self.between * rng.normal(size=len(MODES)) @ MODES
        return cut(self.frames(n, rng) + self.bias * np.cos(X / 7) + own)


def cut(frames: np.ndarray, n_blocks: int = 10) -> Blocks:
    """Blocks of consecutive frames."""
    parts = np.array_split(frames, n_blocks)
    return Blocks(np.array([part.mean(axis=0) for part in parts]), np.array([float(len(part)) for part in parts]))


def noise_check(world: World, repeats: int, spec: StatisticsSpec, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Predicted over true mean TAE of a perfect model with one run, and how often noise_high is exceeded; per row."""
    rng = np.random.default_rng(seed)
    found, predicted, beyond = [], [], []
    for repeat in range(repeats):
        reference, run = world.reference(rng), world.run(rng)
        draws = resample(LAYOUT, reference, [run], spec, repeat)
        found.append(LAYOUT.errors(run.mean - reference.mean))
        predicted.append(draws.noise)
        beyond.append(found[-1] > draws.noise_high)
    return np.mean(predicted, axis=0) / np.mean(found, axis=0), np.mean(beyond, axis=0)


def coverage(world: World, n_runs: int, repeats: int, spec: StatisticsSpec, seed: int = 3) -> np.ndarray:
    """How often the interval holds the mean TAE of such runs against such a reference; per row."""
    rng = np.random.default_rng(seed)
    means, halves = [], []
    for repeat in range(repeats):
        reference, runs = world.reference(rng), [world.run(rng) for _ in range(n_runs)]
        values = np.array([LAYOUT.errors(run.mean - reference.mean) for run in runs])
        draws = resample(LAYOUT, reference, runs, spec, repeat)
        names = [("V", "m", number) for number in range(n_runs)]
        sizes = [len(run) for run in runs]
        halves.append(half_width(values, names, draws, sizes, len(reference), spec.confidence)[0])
        means.append(values.mean(axis=0))
    truth = np.mean(means, axis=0)
    return np.mean(np.abs(np.array(means) - truth) <= np.array(halves), axis=0)


def block_table(blocks: Blocks, layout: pd.DataFrame, variant: str, member: str, replica: int) -> pd.DataFrame:
    """The blocks as a table of the structure stage."""
    parts = [
        layout.assign(variant=variant, member=member, replica=replica, block=number, n_frames=int(n), first_ps=0.0,
                      last_ps=1.0, statistical_inefficiency=1.5, value=values)
        for number, (values, n) in enumerate(zip(blocks.values, blocks.n_frames, strict=True))
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def curve_table(blocks: Blocks, layout: pd.DataFrame, variant: str, member: str, replica: int) -> pd.DataFrame:
    """The mean over blocks as a table of the structure stage."""
    return layout.assign(variant=variant, member=member, replica=replica, value=blocks.mean)
