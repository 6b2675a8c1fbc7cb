"""Geometry of periodic cells."""

from __future__ import annotations

import numpy as np

from ..core.errors import InputError


def perpendicular_widths_A(cells_A: np.ndarray) -> np.ndarray:
    """Distances between opposite faces of cells, A.

    Half of the smallest one is the largest distance up to which each pair has one image at most.

    Parameters
    ----------
    cells_A: (..., 3, 3) rows are the cell vectors.

    Returns
    -------
    (..., 3): volume over the area of the face spanned by the other two vectors.
    """
    cells = np.asarray(cells_A, dtype=np.float64)
    a, b, c = cells[..., 0, :], cells[..., 1, :], cells[..., 2, :]
    normals = np.stack([np.cross(b, c), np.cross(c, a), np.cross(a, b)], axis=-2)
    volumes = np.abs(np.linalg.det(cells))
    areas = np.linalg.norm(normals, axis=-1)
    return np.asarray(volumes[..., None] / np.maximum(areas, 1e-300))


def lower_triangular(cell_A: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """A cell turned so that a lies along x and b in the plane of x and y, as LAMMPS and MDAnalysis want it.

    Parameters
    ----------
    cell_A: (3, 3) rows are the cell vectors, right-handed.

    Returns
    -------
    cell, rotation: (3, 3) each; positions and forces (n, 3) follow as ``values @ rotation``. No rotation (None) where
        the cell lies so already.
    """
    cell = np.asarray(cell_A, dtype=np.float64)
    if np.abs(cell[[0, 0, 1], [1, 2, 2]]).max() <= 1e-6 * np.abs(cell).max() and (np.diag(cell) > 0).all():
        return cell, None
    rotation, upper = np.linalg.qr(cell.T)
    signs = np.sign(np.diag(upper))
    return np.tril((upper * signs[:, None]).T), rotation * signs


def restricted_cell(cell_A: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Turn a cell as LAMMPS wants it: a along x, b in the xy plane.

    Parameters
    ----------
    cell_A: (3, 3) cell vectors as rows, right-handed.

    Returns
    -------
    cell_A: (3, 3) lower triangular with a positive diagonal.
    rotation: (3, 3); row vectors turn by ``vectors @ rotation``. The identity where nothing is to be turned.

    Raises
    ------
    InputError
        A cell without volume or left-handed.
    """
    cell = np.asarray(cell_A, dtype=np.float64)
    if cell.shape != (3, 3) or not np.isfinite(cell).all() or not np.linalg.det(cell) > 0:
        raise InputError("start frame", "cell_A", cell.tolist(), "three right-handed cell vectors")
    if not np.triu(cell, 1).any() and (np.diag(cell) > 0).all():
        return cell, np.eye(3)
    rotation, upper = np.linalg.qr(cell.T)
    signs = np.sign(np.diag(upper))
    return np.tril((upper * signs[:, None]).T), rotation * signs


def wrap(positions_A: np.ndarray, cell_A: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions (n, 3) within the cell at the origin, and the (n, 3) int64 counts of the cells left behind."""
    fractions = np.asarray(positions_A, dtype=np.float64) @ np.linalg.inv(cell_A)
    images = np.floor(fractions).astype(np.int64)
    rest = fractions - images
    images, rest = images + (rest >= 1.0), np.where(rest >= 1.0, 0.0, rest)
    return rest @ cell_A, images
