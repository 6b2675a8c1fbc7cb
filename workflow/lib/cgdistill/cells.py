"""Geometry of periodic cells."""

from __future__ import annotations

import numpy as np


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
