"""Pairwise splines against ``csg_fmatch`` of VOTCA (Debian: votca) on mapped frames of the demo.

VOTCA's forces are natural cubic splines: their second derivative is zero at both ends and the force at the cutoff is
free. Our sums over frames are solved in that space here, so that both programs minimise one function over one space.
"""

from __future__ import annotations

import shutil
import subprocess

import MDAnalysis as mda
import numpy as np
import pytest
from cgdistill.forcefield.pair_spline.basis import PairSplineSpec, SplineBasis
from cgdistill.forcefield.pair_spline.equations import NormalEquations, add_frames
from cgdistill.forcefield.pair_spline.fit import fit
from demo_beads import demo_beads
from MDAnalysis.coordinates.memory import MemoryReader
from MDAnalysis.lib.mdamath import triclinic_box
from scipy.interpolate import BSpline
from scipy.linalg import null_space

pytestmark = pytest.mark.skipif(
    shutil.which("csg_fmatch") is None, reason="VOTCA is not installed (Debian: apt-get install votca)"
)
SPEC = PairSplineSpec(cutoff_A=10.0, knot_spacing_A=0.5)
N_FRAMES = 40
KJ_PER_KCAL, ANGSTROM_PER_NM = 4.184, 10.0

INTERACTION = """
<non-bonded>
  <name>{pair}</name> <type1>{first}</type1> <type2>{second}</type2>
  <fmatch> <min>{low:.6f}</min> <max>{high:.6f}</max> <step>{step:.6f}</step> <out_step>0.005</out_step> </fmatch>
</non-bonded>"""
SETTINGS = """<cg>
<fmatch> <frames_per_block>{frames}</frames_per_block> <constrainedLS>true</constrainedLS> </fmatch>
{interactions}
</cg>
"""


def write_trajectory(folder, frames, topology):
    """``beads.gro`` and ``beads.trr`` with forces, kJ/mol/nm, which MDAnalysis takes in kJ/mol/A."""
    n = topology.n_beads
    universe = mda.Universe.empty(n, n, atom_resindex=np.arange(n))
    names = [topology.type_names[bead_type] for bead_type in topology.bead_types]
    for key, values in (("names", names), ("resnames", names), ("resids", np.arange(1, n + 1))):
        universe.add_TopologyAttr(key, values)
    universe.load_new(
        frames.positions_A.astype("f4"),
        format=MemoryReader,
        forces=(frames.forces_kcal_mol_A * KJ_PER_KCAL).astype("f4"),
        dimensions=np.array([triclinic_box(*cell) for cell in frames.cells_A]),
    )
    universe.atoms.write(str(folder / "beads.gro"))
    universe.atoms.write(str(folder / "beads.trr"), frames="all")


def run_votca(folder, equations, type_names):
    """Distances, A, and forces, kcal/mol/A, of each pair, by csg_fmatch from the knot below the shortest distance."""
    basis, interactions, pairs = equations.basis, [], []
    for i, first in enumerate(type_names):
        for second in type_names[i:]:
            low = basis.breaks_A[basis.interval_of(equations.shortest_A[len(pairs) : len(pairs) + 1])[0]]
            pairs.append(f"{first}-{second}")
            grid = {"low": low / ANGSTROM_PER_NM, "high": SPEC.cutoff_A / ANGSTROM_PER_NM}
            step = SPEC.knot_spacing_A / ANGSTROM_PER_NM
            interactions.append(INTERACTION.format(pair=pairs[-1], first=first, second=second, step=step, **grid))
    settings = SETTINGS.format(frames=N_FRAMES, interactions="".join(interactions))
    (folder / "settings.xml").write_text(settings)
    command = ["csg_fmatch", "--top", "beads.gro", "--trj", "beads.trr", "--options", "settings.xml", "--no-map"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=300)
    tables = [np.loadtxt(folder / f"{pair}.force", usecols=(0, 1)) for pair in pairs]
    return [table * [ANGSTROM_PER_NM, 1 / (KJ_PER_KCAL * ANGSTROM_PER_NM)] for table in tables]


def natural_splines(equations):
    """(n_pairs, n_functions) coefficients that minimise the error over VOTCA's space."""
    basis, n = equations.basis, equations.basis.n_functions
    curvature = BSpline(basis.knots_A, np.eye(n), basis.degree).derivative(2)
    spaces = []
    for pair in range(equations.n_pairs):
        lowest = basis.interval_of(equations.shortest_A[pair : pair + 1])[0]
        functions = np.arange(lowest, n)
        space = null_space(curvature([basis.breaks_A[lowest], SPEC.cutoff_A])[:, functions])
        spaces.append(np.zeros((equations.n_parameters, space.shape[1])))
        spaces[-1][pair * n + functions] = space
    space = np.hstack(spaces)
    matrix, vector = equations.matrices["force"], equations.labels["F"].vector
    solution = space @ np.linalg.solve(space.T @ matrix @ space, space.T @ vector)
    return solution[: equations.n_pairs * n].reshape(-1, n)


@pytest.fixture(scope="module")
def compared(root, tmp_path_factory):
    """Sums over the frames, names of the types, and the tables of VOTCA."""
    folder = tmp_path_factory.mktemp("votca")
    frames, topology = demo_beads(root, folder, N_FRAMES)
    write_trajectory(folder, frames, topology)
    equations = NormalEquations(SplineBasis.of(SPEC), topology.n_types, ("F",))
    labels = {"F": frames.forces_kcal_mol_A}
    add_frames(equations, zip(frames.positions_A, frames.cells_A, strict=True), topology.bead_types, labels)
    return equations, topology.type_names, run_votca(folder, equations, topology.type_names)


def test_forces_in_one_space_are_those_of_votca(compared):
    """From the shortest distance to the cutoff, to the single precision of the trajectory (measured: 2e-5)."""
    equations, _, tables = compared
    basis = equations.basis
    for pair, coefficients in enumerate(natural_splines(equations)):
        r, force = tables[pair].T
        seen = (r > equations.shortest_A[pair]) & (r < SPEC.cutoff_A)
        ours = BSpline(basis.knots_A, coefficients, basis.degree)(r[seen])
        assert np.sqrt(np.mean(force[seen] ** 2)) > 0.5
        np.testing.assert_allclose(ours, force[seen], rtol=0, atol=1e-4)


def test_fitted_models_are_close_to_votca(compared):
    """What is fitted by default differs by the force of zero at the cutoff and the smoothing: by 2 % (rms)."""
    equations, type_names, tables = compared
    model, _ = fit(equations, SPEC, {"F": 1.0}, type_names)
    errors, sizes = [], []
    for pair, (r, force) in enumerate(table.T for table in tables):
        sampled = (r > equations.shortest_A[pair] + SPEC.knot_spacing_A) & (r < SPEC.cutoff_A - 1.0)
        ours = model.pair_values(np.full(sampled.sum(), pair), r[sampled])[1]
        errors.append(ours - force[sampled])
        sizes.append(force[sampled])
    assert np.sqrt(np.mean(np.concatenate(errors) ** 2)) < 0.04 * np.sqrt(np.mean(np.concatenate(sizes) ** 2))
