"""Detection of wrong units and mismatched forces by relations that hold in equilibrium.

Three relations hold for forces F on the atoms of any molecular system in equilibrium, whatever its force field:

- <F_i^2> / (3 m_i k T) is the square of the Einstein frequency, that of atom i in the cage of its neighbours. It is
  near 1000 cm-1 in molecules and near 100 cm-1 for ions and noble gases; a wrong unit of force multiplies it.
- <sum_g (R_g - R_mol) . F_g> = -3 (n_g - 1) k T over the groups g of a molecule (generalised equipartition; R: centres
  of mass, F_g: sum over a group). With a heavy atom and its hydrogens as a group it holds with and without constraints
  of bonds to hydrogen, and whether or not F holds the forces of constraint. It gives the temperature.
- m_i <v_i^2> is the same for all elements; m_i <F_i^2> is not.
"""

from __future__ import annotations

import numpy as np
from MDAnalysis.lib.distances import minimize_vectors
from MDAnalysis.lib.mdamath import triclinic_box
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from ..core.units import KCAL_MOL_PER_EV, KCAL_MOL_PER_G_MOL_A2_FS2, KJ_PER_KCAL, BOLTZMANN_kcal_mol_K
from ..geometry.cells import perpendicular_widths_A
from .unwrapping import bonds_within_residues, carried, differences, placement

#: Frames of each file that are checked.
N_FRAMES = 64
#: Temperature assumed for the frequencies.
_ASSUMED_K = 298.15
#: Speed of light, cm/fs.
_LIGHT_cm_fs = 2.99792458e-5
#: Einstein frequencies, cm-1: lowest and highest accepted, and a typical one; for atoms of molecules, and single atoms.
_MOLECULAR_per_cm = (150.0, 4500.0, 950.0)
_MONATOMIC_per_cm = (10.0, 1000.0, 120.0)
#: Temperatures from forces and positions, K, outside which a warning is logged.
_PLAUSIBLE_K = (150.0, 750.0)
#: Atoms up to this mass, g/mol, form a group with the atom they are bonded to: hydrogen, also with repartitioned mass.
_HYDROGEN_g_mol = 4.1
#: Longest plausible bond, A, and the fraction of bonds that may exceed it.
_MAX_BOND_A = 3.5
_MAX_LONG_BONDS = 0.01
#: kcal/mol/A per Hartree/Bohr.
_KCAL_MOL_A_PER_HARTREE_BOHR = 1185.8212
#: Unit in which forces were written, unit as which they were read, and the factor by which they are then too large.
_UNIT_ERRORS = {
    ("kJ/mol/nm", "kcal/mol/A"): 10.0 * KJ_PER_KCAL,
    ("kcal/mol/A", "kJ/mol/nm"): 1.0 / (10.0 * KJ_PER_KCAL),
    ("kJ/mol/A", "kcal/mol/A"): KJ_PER_KCAL,
    ("kcal/mol/A", "kJ/mol/A"): 1.0 / KJ_PER_KCAL,
    ("kJ/mol/nm", "kJ/mol/A"): 10.0,
    ("kJ/mol/A", "kJ/mol/nm"): 0.1,
    ("kcal/mol/A", "eV/A"): KCAL_MOL_PER_EV,
    ("eV/A", "kcal/mol/A"): 1.0 / KCAL_MOL_PER_EV,
    ("eV/A", "kJ/mol/nm"): 1.0 / (10.0 * KJ_PER_KCAL * KCAL_MOL_PER_EV),
    ("kcal/mol/A", "Hartree/Bohr"): _KCAL_MOL_A_PER_HARTREE_BOHR,
    ("Hartree/Bohr", "kcal/mol/A"): 1.0 / _KCAL_MOL_A_PER_HARTREE_BOHR,
    ("Hartree/Bohr", "kJ/mol/nm"): 1.0 / (10.0 * KJ_PER_KCAL * _KCAL_MOL_A_PER_HARTREE_BOHR),
}


class ForceSanityCheck:
    """Equilibrium relations of the forces in the first frames of a trajectory.

    Parameters
    ----------
    masses_g_mol, residues: (n_atoms,)
    bonds: (n_bonds, 2), may be empty; then temperature and bond lengths are not checked.
    """

    def __init__(self, masses_g_mol: np.ndarray, residues: np.ndarray, bonds: np.ndarray) -> None:
        n = len(masses_g_mol)
        self._masses = masses_g_mol
        self._placed, self._parents, self._bonded = placement(residues, bonds)
        self._differences = differences(self._placed, self._parents, n)
        bonds = bonds.reshape(-1, 2)
        self._molecules = _components(n, bonds)
        within = bonds_within_residues(residues, bonds)
        light = masses_g_mol <= _HYDROGEN_g_mol
        groups = _components(n, within[light[within].any(axis=1)])
        pieces = _components(n, within)
        n_groups, n_pieces = groups.max() + 1, pieces.max() + 1
        piece_of_group = np.zeros(n_groups, dtype=np.int64)
        piece_of_group[groups] = pieces
        by_group, by_piece = _centres(groups, masses_g_mol), _centres(pieces, masses_g_mol)
        self._relative = csr_matrix(by_group - by_piece[piece_of_group])
        self._carried = carried(self._relative, self._placed, self._parents)
        self._group_sums = csr_matrix((np.ones(n), (groups, np.arange(n))), shape=(n_groups, n))
        self._n_degrees = 3 * int(n_groups - n_pieces)
        in_molecule = np.bincount(self._molecules)[self._molecules] > 1
        if not in_molecule.any():
            in_molecule = np.bincount(residues)[residues] > 1
        self._is_molecular = bool(in_molecule.any())
        self._atoms = in_molecule if self._is_molecular else np.ones(n, dtype=bool)
        sizes = np.bincount(self._molecules)
        self._polyatomic = np.flatnonzero(sizes > 1)
        self.reset()

    def reset(self) -> None:
        """Discard all frames, before the next file."""
        self.n_frames = 0
        self._squares = np.zeros(len(self._masses))
        self._molecule_squares = 0.0
        self._temperatures_K: list[float] = []
        self._bond_fault: tuple[str, str] | None = None

    def add(self, positions_A: np.ndarray, forces_kcal_mol_A: np.ndarray, cell_A: np.ndarray) -> None:
        """Add one frame; arrays (n_atoms, 3) and (3, 3)."""
        self.n_frames += 1
        self._squares += np.einsum("ij,ij->i", forces_kcal_mol_A, forces_kcal_mol_A)
        sums = [np.bincount(self._molecules, forces_kcal_mol_A[:, axis])[self._polyatomic] for axis in range(3)]
        self._molecule_squares += float(np.square(sums).sum())
        if not self._bonded.any():
            return
        vectors = self._differences @ positions_A
        moves = minimize_vectors(vectors, triclinic_box(*cell_A)) - vectors
        if self._bond_fault is None:
            self._check_bonds(np.linalg.norm(vectors + moves, axis=1), float(perpendicular_widths_A(cell_A).min()))
        if self._n_degrees:
            groups = self._relative @ positions_A + self._carried @ moves
            virial = float((groups * (self._group_sums @ forces_kcal_mol_A)).sum())
            self._temperatures_K.append(-virial / (self._n_degrees * BOLTZMANN_kcal_mol_K))

    def _check_bonds(self, lengths_A: np.ndarray, width_A: float) -> None:
        long = self._bonded & (lengths_A > min(_MAX_BOND_A, 0.45 * width_A))
        if long.sum() > _MAX_LONG_BONDS * self._bonded.sum():
            worst = int(np.where(self._bonded, lengths_A, 0.0).argmax())
            atoms = f"{self._parents[worst] + 1}-{self._placed[worst] + 1}"
            self._bond_fault = (
                f"{long.sum()} of {self._bonded.sum()} bonds longer than {_MAX_BOND_A:g} A "
                f"({atoms}: {lengths_A[worst]:.1f} A)",
                "atoms in the order of the topology, and molecules whole up to the periodic boundary",
            )

    @property
    def rms_kcal_mol_A(self) -> float:
        """Root mean square of the force on an atom."""
        return float(np.sqrt(self._squares.mean() / max(self.n_frames, 1)))

    @property
    def frequency_per_cm(self) -> float:
        """Einstein frequency, cm-1, at 298 K: root mean square over the atoms of molecules."""
        squares = self._squares[self._atoms] / (self.n_frames * self._masses[self._atoms])
        curvature = squares.mean() / (3.0 * BOLTZMANN_kcal_mol_K * _ASSUMED_K * KCAL_MOL_PER_G_MOL_A2_FS2)
        return float(np.sqrt(curvature) / (2.0 * np.pi * _LIGHT_cm_fs))

    def temperature_K(self) -> tuple[float, float]:
        """Temperature from forces and positions, and its standard error, K; NaN with too few frames or no bonds.

        The error assumes independent frames.
        """
        n = len(self._temperatures_K)
        if n < 4:
            return float("nan"), float("nan")
        return float(np.mean(self._temperatures_K)), float(np.std(self._temperatures_K, ddof=1) / np.sqrt(n))

    def fault(self) -> tuple[str, str] | None:
        """Found and expected, if these cannot be the forces on these atoms; else None."""
        if self._bond_fault is not None:
            return self._bond_fault
        if not self._squares.any():
            return "forces that are all 0", "the forces on the atoms"
        if self._are_velocities():
            found = "m<x^2> of these 'forces' is the same for light and heavy atoms: they are velocities"
            return found, "the forces on the atoms"
        if len(self._polyatomic) > 1 and self._molecule_squares < 1e-6 * self._squares.sum():
            found = "forces that cancel within every molecule: constraint forces, or intramolecular forces only"
            return found, "the total forces on the atoms"
        low, high, _ = _MOLECULAR_per_cm if self._is_molecular else _MONATOMIC_per_cm
        if not low <= self.frequency_per_cm <= high:
            found = f"forces of {self.rms_kcal_mol_A:.3g} kcal/mol/A (RMS), {self._likely_unit_error()}"
            return found, (
                f"forces with {low:g} to {high:g} cm-1 (Einstein frequency; these: {self.frequency_per_cm:.3g}); "
                "fix the unit, or set mapping.check_forces: false"
            )
        return None

    def doubt(self) -> str | None:
        """Description of an implausible temperature; None if it is plausible."""
        temperature_K, error_K = self.temperature_K()
        low, high = _PLAUSIBLE_K
        if not (temperature_K + 3.0 * error_K < low or temperature_K - 3.0 * error_K > high):
            return None
        text = f"forces and positions imply a temperature of {temperature_K:.3g} ± {error_K:.2g} K"
        if temperature_K > 3.0 * error_K:
            return f"{text}; forces are {self._likely_unit_error()}, unless bonds between heavy atoms are constrained"
        return f"{text}: they do not match, unless bonds between heavy atoms are constrained"

    def summary(self) -> str:
        """RMS force, frequency and temperature in one line."""
        temperature_K, error_K = self.temperature_K()
        text = f"forces: RMS {self.rms_kcal_mol_A:.3g} kcal/mol/A, Einstein frequency {self.frequency_per_cm:.0f} cm-1"
        return text if np.isnan(error_K) else f"{text}, with positions {temperature_K:.3g} ± {error_K:.2g} K"

    def _are_velocities(self) -> bool:
        """Whether m<x^2> is the same for all elements, as equipartition requires of velocities."""
        classes = np.round(2.0 * self._masses).astype(np.int64)
        masses, members = np.unique(classes, return_inverse=True)
        enough = np.bincount(members) * self.n_frames >= 30
        mean = np.bincount(members, self._masses * self._squares) / np.bincount(members)
        masses, mean = masses[enough], mean[enough]
        # Constraints remove up to half of the degrees of freedom of a light atom.
        return bool(len(masses) > 1 and masses.max() > 4 * masses.min() and mean.max() < 2.0 * mean.min())

    def _likely_unit_error(self) -> str:
        """Most likely errors of the unit, as text."""
        temperature_K, error_K = self.temperature_K()
        typical = (_MOLECULAR_per_cm if self._is_molecular else _MONATOMIC_per_cm)[2]
        if temperature_K > 3.0 * error_K:
            ratio, tolerance = temperature_K / _ASSUMED_K, 1.3
        else:
            ratio, tolerance = self.frequency_per_cm / typical, 2.0
        distances = {mix: abs(np.log(max(ratio, 1e-9) / factor)) for mix, factor in _UNIT_ERRORS.items()}
        near = sorted(
            (mix for mix in _UNIT_ERRORS if distances[mix] < min(distances.values()) + np.log(tolerance)),
            key=distances.__getitem__,
        )
        words = []
        for written, read in near[:3]:
            factor = _UNIT_ERRORS[written, read]
            size = f"{factor:.4g} times too large" if factor > 1 else f"{1 / factor:.4g} times too small"
            words.append(f"{written} read as {read} ({size})")
        return f"apparently {' or '.join(words)}"


def _components(n_atoms: int, bonds: np.ndarray) -> np.ndarray:
    """(n_atoms,) index of the connected component of each atom."""
    graph = csr_matrix((np.ones(len(bonds)), (bonds[:, 0], bonds[:, 1])), shape=(n_atoms, n_atoms))
    return np.asarray(connected_components(graph, directed=False)[1])


def _centres(parts: np.ndarray, masses_g_mol: np.ndarray) -> csr_matrix:
    """(n_parts, n_atoms) weights of the atoms in the centre of mass of their part."""
    weights = masses_g_mol / np.bincount(parts, masses_g_mol)[parts]
    return csr_matrix((weights, (parts, np.arange(len(parts)))), shape=(parts.max() + 1, len(parts)))
