"""Networks: MD steps, training steps, large systems, replicas together."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from cgdistill.core.units import ns_per_day
from cgdistill.data.beads import BeadFile, BeadFrames, BeadWriter
from cgdistill.data.pair_frames import PairFrames
from cgdistill.forcefield.hipnn.evaluation import energies_and_forces
from cgdistill.forcefield.hipnn.model import BeadModel
from cgdistill.forcefield.hipnn.network_potential import JointNetworkPotential, NetworkPotential
from cgdistill.forcefield.trainable import ModelOutput
from cgdistill.md.lammps_engine import Engine
from cgdistill.md.protocol import Minimisation, SimulationSpec
from cgdistill.md.system import BeadSystem
from cgdistill.training.adam import Adam
from cgdistill.training.loss import Objective
from hippynn.custom_kernels import set_custom_kernels

from .context import Context
from .report import PAPER_NS_PER_DAY
from .systems import HUNDRED_THOUSAND, Beads
from .timing import Goal, Row, Side, Times, interleave, ratio_row

#: The paper's protocol, from a frame of the data at once.
MD = SimulationSpec(minimise=Minimisation(max_iterations=0))


def use_stock_kernels() -> str:
    """hippynn's own choice of kernels, which the library leaves aside; returns its name."""
    return str(set_custom_kernels(True))


def _potential(context: Context, models: list[BeadModel], evaluation: str = "auto") -> NetworkPotential:
    return NetworkPotential(models, MD.skin_A, torch.float32, context.device, evaluation)


def _engine(context: Context, potential: NetworkPotential, beads: Beads, seed: int = 1) -> Engine:
    """LAMMPS with velocities drawn at the paper's temperature, ready to run."""
    system = BeadSystem.from_frame(beads.positions_A[0], beads.cell_A, beads.topology)
    engine = Engine(potential, system, MD, context.demo.prior.lammps_styles())
    engine.start(seed)
    engine.integrate()
    engine.setup()
    return engine


def _speed(case: str, times: Times, label: str, title: str, note: str = "") -> Row:
    """ns/day of a step."""
    summary = times.summary()
    value, high, low = (ns_per_day(1, MD.timestep_fs, s) for s in (times.median_s, *summary["quartiles_s"]))
    return Row(case, f"{case}-{times.label}-speed", label, title, value, "ns/day", low, high, None, [summary], note)


def md(context: Context) -> list[Row]:
    """MD step of a student: hippynn's graph against the fused evaluation."""
    beads, goal = context.thousand, Goal(25.0, 45.0, at_least=True)
    kernels = use_stock_kernels()
    stock = _potential(context, [context.demo.model(1)], "stock")
    fused = _potential(context, [context.demo.model(1)])

    def evaluate(potential: NetworkPotential, n: int) -> Callable[[], object]:
        frame = beads.positions_A[0], beads.cell_A, beads.topology.bead_types
        return lambda: [potential.evaluate(*frame) for _ in range(n)]

    sides = [Side("stock", evaluate(stock, 1)), Side("fused", evaluate(fused, 10), 10)]
    alone = interleave(sides, 12.0)
    engines = [_engine(context, potential, beads) for potential in (stock, fused)]
    sides = [Side("stock", lambda: engines[0].run(1)), Side("fused", lambda: engines[1].run(20), 20)]
    steps = interleave(sides, 16.0)
    temperatures = [engine.thermo()["temperature_K"] for engine in engines]
    for engine in engines:
        engine.close()
    if not all(100.0 < temperature < 600.0 for temperature in temperatures):
        raise RuntimeError(f"the MD of the benchmark is not sound: {temperatures} K")
    title = f"MD, {beads.n_beads:,} beads, one student"
    of_steps, of_forces = f"{title}: LAMMPS step, stock / fused", f"{title}: forces alone, stock / fused"
    note = f"hippynn's own kernels: {kernels}"
    return [
        ratio_row("md", "md-step", "MD step, against stock", of_steps, *steps, goal, note),
        ratio_row("md", "md-evaluate", "MD forces alone, against stock", of_forces, *alone, goal),
        _speed("md", steps[0], "one student, stock", f"{title}, stock"),
        _speed("md", steps[1], "one student", f"{title}, fused", f"the paper: {PAPER_NS_PER_DAY} on 48 threads"),
    ]


def teachers(context: Context) -> list[Row]:
    """MD step of all eight teachers against that of one."""
    beads = context.thousand
    eight = _engine(context, _potential(context, [context.demo.model(seed) for seed in range(1, 9)]), beads)
    one = _engine(context, _potential(context, [context.demo.model(1)]), beads)
    steps = interleave([Side("T8", lambda: eight.run(5), 5), Side("T", lambda: one.run(10), 10)], 8.0)
    for engine in (eight, one):
        engine.close()
    title, goal = f"MD, {beads.n_beads:,} beads: LAMMPS step, eight teachers / one", Goal(5.0, 3.0, at_least=False)
    return [
        ratio_row("teachers", "teachers-step", "T8 / T, MD step", title, *steps, goal, "both fused"),
        _speed("teachers", steps[0], "eight teachers", f"MD, {beads.n_beads:,} beads, eight teachers, fused"),
    ]


def training(context: Context) -> list[Row]:
    """Training step on one frame: hippynn's graph with torch's Adam against the fused step of the library."""
    beads, objective = context.thousand, Objective.constant({"F": 1.0, "f": 1.0})
    kernels = use_stock_kernels()
    path = context.folder / "thousand.h5"
    with BeadWriter(path, beads.topology, {}) as writer:
        cells = np.repeat(beads.cell_A[None], 2, axis=0)
        writer.append(BeadFrames(beads.positions_A[:2], beads.forces_kcal_mol_A[:2], cells, np.arange(2.0)))
    frames = _pair_frames(path, context)
    sides = []
    for label, step in (("stock", _stock_step), ("fused", _fused_step)):
        model = context.demo.model(1).to(context.device).train()
        sides.append(Side(label, step(model, frames, objective, context.device)))
    times = interleave(sides, 25.0)
    title = f"training step, one frame of {beads.n_beads:,} beads, loss on F and f, stock / fused"
    note = f"hippynn's own kernels: {kernels}"
    goal = Goal(10.0, 25.0, at_least=True)
    return [ratio_row("training", "training-step", "training step, against stock", title, *times, goal, note)]


def _pair_frames(path: Path, context: Context) -> PairFrames:
    with BeadFile(path) as file:
        frames = PairFrames.from_beads(file, [0, 1], context.demo.network.cutoff_A)
    # The speed of a step does not depend on what a teacher says.
    return frames.with_targets({"f": 0.5 * frames.targets["F"]})


def _stock_step(model: BeadModel, frames: PairFrames, objective: Objective, device: str) -> Callable[[], object]:
    optimiser = torch.optim.Adam(model.parameters(), lr=1.0e-3)
    return _step(model, frames, objective, device, optimiser, "stock")


def _fused_step(model: BeadModel, frames: PairFrames, objective: Objective, device: str) -> Callable[[], object]:
    return _step(model, frames, objective, device, Adam(model.parameters(), 1.0e-3), "auto")


def _step(
    model: BeadModel,
    frames: PairFrames,
    objective: Objective,
    device: str,
    optimiser: Adam | torch.optim.Adam,
    evaluation: str,
) -> Callable[[], object]:
    """A training step on one frame."""

    def step() -> None:
        batch = frames.batch([0], device)
        ((epsilon, forces),) = energies_and_forces([model], [batch], True, evaluation)
        optimiser.zero_grad()
        loss, _ = objective.evaluate([ModelOutput(forces, epsilon)], [batch.targets], [1])
        loss.sum().backward()
        optimiser.step()
        _wait(device)

    return step


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _interval(engine: Engine, potential: NetworkPotential) -> int:
    """Run from behind one build of the neighbour list to behind the next; returns the number of steps."""
    before, steps = potential.n_builds, 0
    while potential.n_builds == before:
        engine.run(1)
        steps += 1
    return steps


def large(context: Context) -> list[Row]:
    """Time per bead of 100,000 beads against that of 1,000, over whole lives of the neighbour list."""
    seconds: dict[int, list[float]] = {}
    lengths: dict[int, list[int]] = {}
    systems = [context.demo.replicated(HUNDRED_THOUSAND, slice(0, 1), seed=2), context.thousand]
    potentials = [_potential(context, [context.demo.model(1)]) for _ in systems]
    engines = [_engine(context, potential, beads) for potential, beads in zip(potentials, systems, strict=True)]
    # Behind their setup all have a new neighbour list.
    for _ in range(2):
        for index, repeats in ((0, 1), (1, 12)):
            start, steps = time.perf_counter(), 0
            for _ in range(repeats):
                lengths.setdefault(index, []).append(_interval(engines[index], potentials[index]))
                steps += lengths[index][-1]
            per_bead = (time.perf_counter() - start) / steps / systems[index].n_beads
            seconds.setdefault(index, []).append(per_bead)
    for engine in engines:
        engine.close()
    big, small = (Times(f"{systems[i].n_beads:,} beads", tuple(seconds[i])) for i in (0, 1))
    note = "LAMMPS steps over whole lives of the neighbour list: on average " + " and ".join(
        f"{np.mean(lengths[i]):.0f} steps ({systems[i].n_beads:,} beads)" for i in (0, 1)
    )
    title = "time per bead and step, 102,400 beads / 1,024"
    goal = Goal(1.3, 1.0, at_least=False)
    step = Times("fused", tuple(value * systems[0].n_beads for value in seconds[0]))
    return [
        ratio_row("large", "large-per-bead", "time per bead, 102,400 / 1,024", title, big, small, goal, note),
        _speed("large", step, "102,400 beads", f"MD, {systems[0].n_beads:,} beads, one student, fused"),
    ]


def replicas(context: Context) -> list[Row]:
    """Replicas evaluated together against one alone, small and large ones."""
    rows = []
    for beads, n in ((context.demo.beads, 8), (context.thousand, 8)):
        types = beads.topology.bead_types
        model = context.demo.model(1)
        frames = {number: (beads.positions_A[number], beads.cell_A) for number in range(n)}
        together = JointNetworkPotential([[model]] * n, types, MD.skin_A, torch.float32, context.device)
        alone = JointNetworkPotential([[model]], types, MD.skin_A, torch.float32, context.device)
        sides = [
            Side("alone", lambda p=alone, f=frames: [p.evaluate_all({0: f[0]}) for _ in range(8)], 8),
            Side(f"{n} together", lambda p=together, f=frames: p.evaluate_all(f), n),
        ]
        times = interleave(sides, 4.0)
        title = f"forces of a replica of {beads.n_beads:,} beads: alone / among {n} evaluated together"
        label, note = f"{n} replicas of {beads.n_beads:,} together", "time per replica"
        rows.append(ratio_row("replicas", f"replicas-{beads.n_beads}", label, title, *times, note=note))
    return rows
