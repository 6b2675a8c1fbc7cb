"""Ways of evaluating a case: each gives what it offers of energy, forces, virial and per-bead energies."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cgdistill.data.beads import BeadTopology
from cgdistill.data.pair_frames import Batch
from cgdistill.forcefield.hipnn.fused import stacked_energies_and_forces
from cgdistill.forcefield.hipnn.model import BeadModel
from cgdistill.forcefield.hipnn.network_potential import JointNetworkPotential, NetworkPotential
from cgdistill.forcefield.hipnn.plugin_model import write_plugin_model
from cgdistill.forcefield.lammps_style import LammpsStyle, lammps_commands
from cgdistill.geometry.neighbours import NeighbourList
from cgdistill.md.lammps_engine import Engine
from cgdistill.md.protocol import SimulationSpec
from cgdistill.md.system import BeadSystem
from cgdistill.runtime.lammps_library import load_lammps
from force_field_cases import Case

#: kcal/mol per A^3 in atm, of LAMMPS's units real.
ATM = 68568.415
SKIN_A = 1.0
PRESSURES = ("pxx", "pyy", "pzz", "pxy", "pxz", "pyz")


@dataclass(frozen=True)
class Found:
    """What a way of evaluating gives; None for what it does not offer. Units and shapes as of `Evaluation`."""

    energy: float
    forces: np.ndarray
    virial: np.ndarray | None = None
    bead_energies: np.ndarray | None = None


@contextlib.contextmanager
def in_precision(models: tuple[BeadModel, ...], dtype: torch.dtype) -> Iterator[tuple[BeadModel, ...]]:
    """Networks in a precision; afterwards with their weights in float64 as they were."""
    before = [model.weights() for model in models]
    try:
        yield tuple(model.to(dtype) for model in models)
    finally:
        for model, weights in zip(models, before, strict=True):
            model.double().load_weights(weights)


def _of_potential(potential: Any, case: Case) -> Found:
    result = potential.evaluate(case.positions_A, case.cell_A, case.types)
    return Found(
        result.energy_kcal_mol, result.forces_kcal_mol_A, result.virial_kcal_mol, result.bead_energies_kcal_mol
    )


def numba(case: Case, dtype: torch.dtype) -> Found:
    """The kernels of MD on a CPU."""
    with in_precision(case.networks(), dtype) as models:
        return _of_potential(NetworkPotential(models, SKIN_A, dtype), case)


def stock(case: Case, dtype: torch.dtype) -> Found:
    """hippynn's graph on the library's neighbour list."""
    with in_precision(case.networks(), dtype) as models:
        return _of_potential(NetworkPotential(models, SKIN_A, dtype, evaluation="stock"), case)


def triton(case: Case, dtype: torch.dtype) -> Found:
    """The kernels of MD on a GPU, or in triton's interpreter."""
    from cgdistill.forcefield.hipnn.gpu_potential import GpuEvaluator
    from gpu_cases import DEVICE

    with in_precision(case.networks(), dtype) as models:
        potential = JointNetworkPotential([list(models)], case.types, SKIN_A, dtype, DEVICE)
        if DEVICE == "cpu":
            potential._evaluator = GpuEvaluator(
                [list(models)], case.types, potential.cutoff_A, dtype, torch.device(DEVICE)
            )
        result = potential.evaluate_all({0: (case.positions_A, case.cell_A)})[0]
        for model in models:
            model.cpu()
    return Found(
        result.energy_kcal_mol, result.forces_kcal_mol_A, result.virial_kcal_mol, result.bead_energies_kcal_mol
    )


def batch_of(case: Case, dtype: torch.dtype, cutoff_A: float) -> Batch:
    """The case as a batch of one frame."""
    pairs = NeighbourList(cutoff_A, 0.0, case.types, len(case.networks()[0].type_names))
    first, second, vectors = (torch.as_tensor(a.copy()) for a in pairs.pairs(case.positions_A, case.cell_A))
    return Batch(torch.as_tensor(case.types[None] + 1), first, second, vectors.to(dtype), {})


def fused(case: Case, dtype: torch.dtype) -> Found:
    """The evaluation of training, network by network."""
    with in_precision(case.networks(), dtype) as models:
        found = [
            stacked_energies_and_forces([model], [batch_of(case, dtype, model.spec.cutoff_A)])[0] for model in models
        ]
    energies, forces = (
        np.mean([values.detach().double().numpy()[0] for values in part], axis=0) for part in zip(*found, strict=True)
    )
    return Found(float(energies.sum()), forces, None, energies)


#: Of networks without their prior.
NETWORK_BACKENDS: dict[str, Callable[[Case, torch.dtype], Found]] = {
    "hippynn's graph": stock,
    "numba": numba,
    "fused training": fused,
}


def potential_of_users(case: Case, dtype: torch.dtype) -> Found:
    """`ForceField.potential`: networks and prior in Python."""
    with in_precision(case.networks(), dtype):
        return _of_potential(case.force_field().potential(SKIN_A, dtype=dtype), case)


def _topology(case: Case, type_names: tuple[str, ...]) -> BeadTopology:
    n = len(case.types)
    return BeadTopology(type_names, case.types, ("X",) * n, np.full(n, 50.0), np.arange(n), np.empty(0, dtype=np.int64))


def _virial(lmp: Any, cell_A: np.ndarray) -> np.ndarray:
    """(6,) kcal/mol of beads at rest."""
    pressures = [lmp.get_thermo(name) for name in PRESSURES]
    return np.array(pressures) * abs(np.linalg.det(cell_A)) / ATM


def external(case: Case, dtype: torch.dtype) -> Found:
    """LAMMPS with networks by ``fix external`` and the prior in its own style: the simulations of the workflow."""
    force_field = case.force_field()
    system = BeadSystem.from_frame(case.positions_A, case.cell_A, _topology(case, force_field.type_names))
    with in_precision(case.networks(), dtype) as models:
        engine = Engine(
            NetworkPotential(models, SKIN_A, dtype), system, SimulationSpec(), force_field.prior.lammps_styles()
        )
        engine.integrate()
        engine.setup()
        found = Found(
            engine.thermo()["potential_energy_kcal_mol"],
            engine.forces_kcal_mol_A(),
            _virial(engine.lmp, system.cell_A),
        )
        engine.close()
    return found


def pair_style(case: Case, dtype: torch.dtype, plugin: Path, folder: Path, prior: bool) -> Found:
    """LAMMPS with the pair style in C++, alone or overlaid with the styles of the prior."""
    force_field = case.force_field()
    write_plugin_model(folder / "model.cgdistill", case.networks())
    names = " ".join(force_field.type_names)
    precision = {torch.float32: "single", torch.float64: "double"}[dtype]
    network = LammpsStyle(
        "pair", "cgdistill", f"precision {precision}", (("* *", f'"{folder}/model.cgdistill" {names}'),)
    )
    styles = [network, *(force_field.prior.lammps_styles() if prior else [])]
    system = BeadSystem.from_frame(case.positions_A, case.cell_A, _topology(case, force_field.type_names))
    (x, y, z), tilt = np.diag(system.cell_A).tolist(), system.cell_A[[1, 2, 2], [0, 0, 1]].tolist()
    lmp = load_lammps().lammps(cmdargs=["-screen", "none", "-log", "none", "-nocite"])
    try:
        for command in (
            "units real", "atom_style atomic", "atom_modify map array sort 0 0", "boundary p p p", "box tilt large",
            f"region cell prism 0 {x!r} 0 {y!r} 0 {z!r} {tilt[0]!r} {tilt[1]!r} {tilt[2]!r}",
            f"create_box {len(force_field.type_names)} cell", "mass * 50.0", f'plugin load "{plugin}"',
        ):  # fmt: skip
            lmp.command(command)
        n = len(case.types)
        ids, types = np.arange(1, n + 1).tolist(), (case.types + 1).tolist()
        assert lmp.create_atoms(n, ids, types, system.positions_A.ravel().tolist()) == n
        for command in (*lammps_commands(styles), "compute energies all pe/atom", "thermo_modify norm no"):
            lmp.command(command)
        # Per-bead energies are computed at steps at which something asks for them.
        lmp.commands_list(["compute sum all reduce sum c_energies", "thermo_style custom step pe press c_sum", "run 0"])
        order = np.argsort(lmp.numpy.extract_atom("id")[:n])
        forces = np.array(lmp.numpy.extract_atom("f")[:n][order])
        energies = np.array(lmp.numpy.extract_compute("energies", 1, 1)[:n][order])
        return Found(lmp.get_thermo("pe"), forces, _virial(lmp, system.cell_A), energies)
    finally:
        lmp.close()
