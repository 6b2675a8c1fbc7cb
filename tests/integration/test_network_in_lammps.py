"""A trained network in LAMMPS: the same forces as its graph gives, and a conserved energy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cgdistill.data.atoms import read_topology
from cgdistill.data.beads import BeadFile
from cgdistill.data.mapping import FrameSelection, Mapper, map_trajectory
from cgdistill.data.mapping_rules import MappingRules
from cgdistill.data.pair_frames import PairFrames
from cgdistill.forcefield.forcefield import ForceField
from cgdistill.forcefield.hipnn.model import BeadModel, NetworkSpec
from cgdistill.forcefield.hipnn.network_potential import NetworkPotential
from cgdistill.forcefield.prior.terms import fit_prior, prior_from_table
from cgdistill.io.text import read_yaml
from cgdistill.md.lammps_engine import Engine
from cgdistill.md.protocol import SimulationSpec
from cgdistill.md.system import BeadSystem
from cgdistill.training.loss import Objective
from cgdistill.training.schedule import TrainingSpec
from cgdistill.training.trainer import Trainer, TrainingData
from cgdistill.training.training_loop import train

NETWORK = NetworkSpec(2, 1, 2, 6, 16, 7.5, 2.5, 7.0)
TRAINING = TrainingSpec(4e-3, 4, 8, 4, "learning-rate", 0.5, 10, 1e-5, 8, 10)
SPEC = SimulationSpec(ensemble="nve", temperature_K=298.15, timestep_fs=2.0, skin_A=1.0)


@pytest.fixture(scope="module")
def trained(root, tmp_path_factory):
    """A model trained for four epochs on 16 frames of the demo data, and one frame to start from."""
    rules = MappingRules.from_dict(read_yaml(root / "config/mappings/des.yaml"), "des.yaml")
    demo = root / "resources/demo"
    path = tmp_path_factory.mktemp("beads") / "beads.h5"
    mapper = Mapper(rules, read_topology(demo / "des128.gro", demo / "des128.top"))
    map_trajectory(path, mapper, [demo / "des128.trr"], {}, FrameSelection(max_frames=20))
    with BeadFile(path) as beads:
        settings = {"delta_A": 0.15, "fraction": 0.05, "outlier_iqr": 1.5}
        table = fit_prior([beads.frames(slice(0, 16))], beads.topology, settings)
        prior, model = prior_from_table(table, rules.types, "fit"), BeadModel(NETWORK, rules.types, seed=3)
        frames = PairFrames.from_beads(beads, np.arange(20), NETWORK.cutoff_A)
        frames = frames.with_prior(prior.forces_in_file(beads, np.arange(20)))
        data = TrainingData(frames, np.arange(16), np.arange(16, 20), seed=3)
        train([Trainer(model, data, Objective.constant({"F": 1.0}), TRAINING)])
        return ForceField(prior, (model.eval(),)), beads.frames([0]), beads.topology


def engine_of(trained, dtype, evaluation="auto"):
    """LAMMPS with the force field, its network in the given precision, ready to run."""
    force_field, frame, topology = trained
    system = BeadSystem.from_frame(frame.positions_A[0], frame.cells_A[0], topology)
    network = NetworkPotential(force_field.networks, SPEC.skin_A, dtype, evaluation=evaluation)
    engine = Engine(network, system, SPEC, force_field.prior.lammps_styles())
    engine.start(11)
    engine.integrate()
    engine.setup()
    return engine, system


def test_forces_are_those_of_the_graph(trained):
    """LAMMPS moves beads by the forces of network and prior, in float32, at another place of the trajectory."""
    force_field, _, topology = trained
    engine, system = engine_of(trained, torch.float32)
    engine.run(25)
    forces, positions = engine.forces_kcal_mol_A(), engine.positions_A()
    engine.close()
    exact = force_field.potential(0.0, dtype=torch.float64).evaluate(positions, system.cell_A, topology.bead_types)
    scale = np.sqrt((exact.forces_kcal_mol_A**2).mean())
    assert scale > 1.0
    np.testing.assert_allclose(forces, exact.forces_kcal_mol_A, atol=2e-4 * scale)


def energies(engine, n_times, n_steps):
    """Total and potential energy, kcal/mol, every so many steps; closes LAMMPS."""
    values = []
    for _ in range(n_times):
        engine.run(n_steps)
        thermo = engine.thermo()
        values.append((thermo["total_energy_kcal_mol"], thermo["potential_energy_kcal_mol"]))
    engine.close()
    return np.array(values).T


def test_energy_is_conserved(trained):
    """2 ps of NVE: the total energy stays within 1% of the kinetic energy, which itself changes by far more.

    A force that is not the gradient of the energy, or a pair lost by the neighbour list, shows as drift.
    """
    engine, _ = engine_of(trained, torch.float64)
    total, potential = energies(engine, 20, 50)
    assert np.ptp(total) < 0.01 * np.mean(total - potential)
    assert np.ptp(potential) > 10 * np.ptp(total)


def test_energy_is_conserved_as_well_as_through_the_graph_of_hippynn(trained):
    """1 ps of NVE from one start in float32, in which simulations run; what is left is the error of the time step.

    Measured: both total energies range over 0.0166 kcal/mol, of 104 kinetic, and differ by at most 3e-5 kcal/mol.
    """
    (fused, _), (stock, _) = (
        energies(engine_of(trained, torch.float32, evaluation)[0], 20, 25) for evaluation in ("auto", "stock")
    )
    assert np.ptp(fused) < 1.05 * np.ptp(stock)
    np.testing.assert_allclose(fused, stock, rtol=0, atol=0.05 * np.ptp(stock))
