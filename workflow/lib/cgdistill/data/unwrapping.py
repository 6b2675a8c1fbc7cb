"""Residues in one piece across the periodic boundary, as sparse products over all atoms.

Making a residue whole moves an atom, and all that hang on it, by a lattice vector.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import breadth_first_order


def bonds_within_residues(residues: np.ndarray, bonds: np.ndarray) -> np.ndarray:
    """Those of the bonds (n, 2) that join atoms of one residue."""
    within: np.ndarray = bonds[residues[bonds[:, 0]] == residues[bonds[:, 1]]]
    return within


def placement(residues: np.ndarray, bonds: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Atoms that are placed by their minimum image to another one of their residue.

    The others are bonded neighbours where there are bonds, else the first atom of the residue.

    Parameters
    ----------
    residues: (n_atoms,) index of the residue of each atom.
    bonds: (n_bonds, 2)

    Returns
    -------
    placed, parents, bonded: (n_placed,) atoms, those that they are placed by, and whether these are bonded to them.
    """
    n = len(residues)
    first = np.flatnonzero(np.diff(residues, prepend=-1))
    root = first[np.cumsum(np.diff(residues, prepend=-1) != 0) - 1]
    placed = np.flatnonzero(np.arange(n) != root)
    if len(bonds) == 0:
        return placed, root[placed], np.zeros(len(placed), dtype=bool)
    bonds = bonds_within_residues(residues, bonds)
    graph = csr_matrix((np.ones(len(bonds)), (bonds[:, 0], bonds[:, 1])), shape=(n, n))
    # A virtual atom joined to the first atom of each residue makes one search over all of them.
    hub = csr_matrix((np.ones(len(first)), (np.full(len(first), n), first)), shape=(n + 1, n + 1))
    graph.resize((n + 1, n + 1))
    _, parents = breadth_first_order(graph + hub, n, directed=False, return_predecessors=True)
    # Atoms without a path of bonds (ions of several atoms, virtual sites) follow the first of their residue.
    bonded = parents[placed] >= 0
    return placed, np.where(bonded, parents[placed], root[placed]), bonded


def differences(placed: np.ndarray, parents: np.ndarray, n_atoms: int) -> csr_matrix:
    """(n_placed, n_atoms) +1 for a placed atom and -1 for its parent: the vectors between them in one product."""
    rows = np.repeat(np.arange(len(placed)), 2)
    values = np.tile([1.0, -1.0], len(placed))
    return csr_matrix((values, (rows, np.stack([placed, parents], axis=1).ravel())), shape=(len(placed), n_atoms))


def carried(centre: csr_matrix, placed: np.ndarray, parents: np.ndarray) -> csr_matrix:
    """(n_centres, n_placed) weight in each centre of a placed atom and of all atoms that are placed by way of it."""
    n_atoms = centre.shape[1]
    step = csr_matrix((np.ones(len(placed)), (placed, parents)), shape=(n_atoms, n_atoms))
    total = generation = centre
    while generation.nnz:
        generation = generation @ step
        total = total + generation
    return csr_matrix(total[:, placed])
