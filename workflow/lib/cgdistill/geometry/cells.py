"""Geometry of periodic cells."""

from __future__ import annotations

import numpy as np

from ..core.errors import InputError


def perpendicular_widths_A(cells_A: np.ndarray) -> np.ndarray:
    """(..., 3) distances between opposite faces of cells, A.

    Up to half of the smallest one, each pair of beads has at most one periodic image.

    Parameters
    ----------
    cells_A: (..., 3, 3) rows are the cell vectors.

    Returns
    -------
    (..., 3) volume divided by the area of the face spanned by the other two vectors.
    """
    cells = np.asarray(cells_A, dtype=np.float64)
    a, b, c = cells[..., 0, :], cells[..., 1, :], cells[..., 2, :]
    normals = np.stack([np.cross(b, c), np.cross(c, a), np.cross(a, b)], axis=-2)
    volumes = np.abs(np.linalg.det(cells))
    areas = np.linalg.norm(normals, axis=-1)
    return np.asarray(volumes[..., None] / np.maximum(areas, 1e-300))


def is_restricted(cell_A: np.ndarray) -> bool:
    """Whether a lies along x and b in the xy plane: the orientation that LAMMPS and MDAnalysis require.

    Components up to 1e-6 of the largest are rounding errors of a file.

    Parameters
    ----------
    cell_A: (3, 3) rows are the cell vectors.
    """
    cell = np.asarray(cell_A, dtype=np.float64)
    return bool(np.abs(np.triu(cell, 1)).max() <= 1e-6 * np.abs(cell).max() and (np.diag(cell) > 0).all())


def restricted_cell(cell_A: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cell in the orientation of `is_restricted`, and the rotation that leads to it.

    Parameters
    ----------
    cell_A: (3, 3) rows are the cell vectors, right-handed.

    Returns
    -------
    cell_A: (3, 3) lower triangular with a positive diagonal.
    rotation: (3, 3); row vectors (n, 3) are rotated by ``vectors @ rotation``. The identity for a restricted cell.

    Raises
    ------
    InputError
        A cell without volume, or left-handed.
    """
    cell = np.asarray(cell_A, dtype=np.float64)
    if cell.shape != (3, 3) or not np.isfinite(cell).all() or not np.linalg.det(cell) > 0:
        raise InputError("frame", "cell_A", cell.tolist(), "three right-handed cell vectors")
    if is_restricted(cell):
        return np.tril(cell), np.eye(3)
    rotation, upper = np.linalg.qr(cell.T)
    signs = np.sign(np.diag(upper))
    return np.tril((upper * signs[:, None]).T), rotation * signs


def wrapped_fractions(positions_A: np.ndarray, cell_A: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n, 3) fractional coordinates in [0, 1) of positions (n, 3), and (n, 3) int64 image counts."""
    fractions = np.asarray(positions_A, dtype=np.float64) @ np.linalg.inv(cell_A)
    images = np.floor(fractions).astype(np.int64)
    rest = fractions - images
    # A position just below a face may be rounded to the face itself.
    return np.where(rest >= 1.0, 0.0, rest), images + (rest >= 1.0)


def wrap(positions_A: np.ndarray, cell_A: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n, 3) positions within the cell at the origin, and (n, 3) int64 image counts."""
    fractions, images = wrapped_fractions(positions_A, cell_A)
    return fractions @ cell_A, images
