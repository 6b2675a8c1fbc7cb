"""A Lennard-Jones mixture for tests of the simulation: analytic `Potential`, LAMMPS's own form of it, short runs."""

from __future__ import annotations

import numpy as np
from cgdistill.data.beads import BeadTopology
from cgdistill.forcefield.potential import Evaluation
from cgdistill.geometry.neighbours import NeighbourList
from cgdistill.md.lammps_engine import Engine
from cgdistill.md.lockstep import SeparatePotentials
from cgdistill.md.protocol import SimulationSpec
from cgdistill.md.simulation import RunPlan, run_simulation, run_simulations

TYPES = ("A", "B")
MASSES = np.array([35.0, 60.0])
EPSILON_kcal_mol = np.array([[0.40, 0.35], [0.35, 0.30]])
SIGMA_A = np.array([[3.8, 4.0], [4.0, 4.3]])
CUTOFF_A = 9.0
CUBIC = np.diag([22.5, 22.5, 22.5])
TRICLINIC = np.array([[22.5, 0.0, 0.0], [-5.0, 22.0, 0.0], [4.0, 6.0, 23.0]])
SPEC = SimulationSpec.from_config(
    {
        "temperature_K": 150.0,
        "equilibration_ps": 0.3,
        "production_ps": 0.5,
        "frame_every_ps": 0.1,
        "thermo_every_ps": 0.05,
        "checkpoint_every_steps": 60,
        "minimise": {"max_iterations": 20},
        "limits": {"check_every_steps": 40},
    }
)
IDENTITY = {"variant": "S1-aa-bead", "member": "seed-1", "replica": 2, "start_frame": 7}
PROVENANCE = {"program": "cgdistill", "config_sha256": "0"}


class LennardJones:
    """Shifted-force Lennard-Jones: u(r) - u(rc) - (r - rc) u'(rc), energy and force zero at the cutoff."""

    cutoff_A = CUTOFF_A
    type_names = TYPES

    def __init__(self, skin_A=1.5):
        self.neighbours = NeighbourList(CUTOFF_A, skin_A)
        self.n_calls = 0

    def forget(self):
        """The order of the pairs does not depend on when the list was built."""

    def evaluate(self, positions_A, cell_A, bead_types):
        """Sum over directed pairs, each counted half."""
        self.n_calls += 1
        first, second, vectors = self.neighbours.pairs(positions_A, cell_A)
        r = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
        epsilon = EPSILON_kcal_mol[bead_types[first], bead_types[second]]
        sigma = SIGMA_A[bead_types[first], bead_types[second]]

        def bare(distance):
            sixth = (sigma / distance) ** 6
            return 4 * epsilon * (sixth**2 - sixth), -24 * epsilon * (2 * sixth**2 - sixth) / distance

        energy, slope = bare(r)
        energy_cut, slope_cut = bare(CUTOFF_A)
        energy = 0.5 * (energy - energy_cut - (r - CUTOFF_A) * slope_cut)
        on_first = ((slope - slope_cut) / r)[:, None] * vectors
        n = len(positions_A)
        forces = np.stack([np.bincount(first, on_first[:, k], n) for k in range(3)], axis=1)
        products = -0.5 * np.einsum("ij,ik->jk", vectors, on_first)
        beads = np.bincount(first, energy, n)
        virial = products[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]]
        return Evaluation(float(beads.sum()), forces, virial, beads)


class NativeEngine(Engine):
    """The same driver with LAMMPS's own pair style in place of the callback."""

    def _couple(self, interaction, styles):
        commands = [f"pair_style lj/smooth/linear {CUTOFF_A}"]
        for i in range(2):
            for j in range(i, 2):
                commands.append(f"pair_coeff {i + 1} {j + 1} {EPSILON_kcal_mol[i, j]} {SIGMA_A[i, j]}")
        self._commands(*commands)


def lattice(cell_A, per_edge=5, noise_A=0.25, seed=1):
    """Positions (per_edge^3, 3) on a distorted lattice, also outside the cell, and their topology."""
    rng = np.random.default_rng(seed)
    steps = np.arange(per_edge)
    sites = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3) / per_edge
    positions = (sites + rng.integers(-1, 2, (per_edge**3, 1))) @ cell_A
    positions += rng.normal(0, noise_A, positions.shape)
    kinds = rng.permutation(np.arange(per_edge**3) % 2)
    n = len(kinds)
    topology = BeadTopology(TYPES, kinds, ("X",) * n, MASSES[kinds], np.arange(n), np.empty(0, dtype=int))
    return positions, topology


def simulate(folder, potential=None, spec=SPEC, seed=11, out="out", cell=CUBIC):
    """A short run in ``folder``; returns the record and the output folder."""
    positions, topology = lattice(cell)
    record = run_simulation(
        potential or LennardJones(),
        positions,
        cell,
        topology,
        spec,
        velocity_seed=seed,
        out_dir=folder / out,
        checkpoint_dir=folder / "checkpoint",
        identity=IDENTITY,
        provenance=PROVENANCE,
    )
    return record, folder / out


def simulate_several(folder, potentials, together=True, spec=SPEC, **options):
    """Short runs from starts of their own, in lockstep or one after the other; returns records and output folders.

    Run k has the same start, seed and folders, ``k/out`` and ``k/checkpoint``, whatever runs beside it; a
    potential None leaves it out.
    """
    plans, topology = [], lattice(CUBIC)[1]
    for k in range(len(potentials)):
        positions = lattice(CUBIC, seed=k)[0]
        identity, own = IDENTITY | {"replica": k}, folder / str(k)
        plans.append(RunPlan(positions, CUBIC, 20 + k, own / "out", own / "checkpoint", identity, PROVENANCE))
    chosen = [k for k, potential in enumerate(potentials) if potential is not None]
    plans, potentials = [plans[k] for k in chosen], [potentials[k] for k in chosen]
    interaction = SeparatePotentials(potentials, topology.bead_types) if together else potentials
    records = run_simulations(interaction, plans, topology, spec, **options)
    return records, [plan.out_dir for plan in plans]


class At(LennardJones):
    """Does something at one call."""

    def __init__(self, call, action):
        super().__init__()
        self.call, self.action = call, action

    def evaluate(self, positions_A, cell_A, bead_types):
        result = super().evaluate(positions_A, cell_A, bead_types)
        return (self.action(result) or result) if self.n_calls == self.call else result


class Crash(Exception):
    """A fault of the evaluator."""


def crash(_result):
    """Fail as a broken evaluator does."""
    raise Crash("out of memory")
