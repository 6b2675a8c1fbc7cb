"""Unwrapping of residues across the periodic boundary, by sparse products over all atoms.

Making a residue whole moves an atom, and all atoms placed relative to it, by a lattice vector.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import breadth_first_order


def bonds_within_residues(residues: np.ndarray, bonds: np.ndarray) -> np.ndarray:
    """Bonds (n, 2) between atoms of the same residue."""
    within: np.ndarray = bonds[residues[bonds[:, 0]] == residues[bonds[:, 1]]]
    return within


def placement(residues: np.ndarray, bonds: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Atoms placed at their minimum image relative to a parent atom of the same residue.

    The parent is a bonded neighbour if there are bonds, else the first atom of the residue.

    Parameters
    ----------
    residues: (n_atoms,) index of the residue of each atom.
    bonds: (n_bonds, 2)

    Returns
    -------
    placed, parents, bonded: (n_placed,) atoms, their parents, and whether the two are bonded.
    """
    n = len(residues)
    first = np.flatnonzero(np.diff(residues, prepend=-1))
    root = first[np.cumsum(np.diff(residues, prepend=-1) != 0) - 1]
    placed = np.flatnonzero(np.arange(n) != root)
    if len(bonds) == 0:
        return placed, root[placed], np.zeros(len(placed), dtype=bool)
    bonds = bonds_within_residues(residues, bonds)
    graph = csr_matrix((np.ones(len(bonds)), (bonds[:, 0], bonds[:, 1])), shape=(n, n))
    # A virtual atom bonded to the first atom of each residue makes a single search sufficient.
    hub = csr_matrix((np.ones(len(first)), (np.full(len(first), n), first)), shape=(n + 1, n + 1))
    graph.resize((n + 1, n + 1))
    _, parents = breadth_first_order(graph + hub, n, directed=False, return_predecessors=True)
    # Atoms without a path of bonds (polyatomic ions, virtual sites) are placed relative to the first of their residue.
    bonded = parents[placed] >= 0
    return placed, np.where(bonded, parents[placed], root[placed]), bonded


def differences(placed: np.ndarray, parents: np.ndarray, n_atoms: int) -> csr_matrix:
    """(n_placed, n_atoms) matrix of +1 for a placed atom and -1 for its parent, whose product gives their vectors."""
    rows = np.repeat(np.arange(len(placed)), 2)
    values = np.tile([1.0, -1.0], len(placed))
    return csr_matrix((values, (rows, np.stack([placed, parents], axis=1).ravel())), shape=(len(placed), n_atoms))


def carried(centre: csr_matrix, placed: np.ndarray, parents: np.ndarray) -> csr_matrix:
    """(n_centres, n_placed) weight in each centre of a placed atom and of all atoms placed relative to it."""
    n_atoms = centre.shape[1]
    step = csr_matrix((np.ones(len(placed)), (placed, parents)), shape=(n_atoms, n_atoms))
    total = generation = centre
    while generation.nnz:
        generation = generation @ step
        total = total + generation
    return csr_matrix(total[:, placed])
