"""Uniform grids of the structure curves: one per metric, the same for the reference and all models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..core.errors import InputError

#: How far the number of bins may be from a whole number before the grid is refused.
_WHOLE = 1e-6


@dataclass(frozen=True)
class Grid:
    """Bins ``[start, start + width), ...`` up to ``stop``.

    Attributes
    ----------
    start, stop, width: in ``unit``.
    unit: ``A`` or ``deg``.
    """

    start: float
    stop: float
    width: float
    unit: str

    @classmethod
    def from_config(cls, key: str, start: float, stop: float, width: float, unit: str, source: str = "config") -> Grid:
        """Grid of the config key ``key`` (that of the width).

        Raises
        ------
        InputError
            A width that is not positive, a stop not above the start, or bins that do not fill the range.
        """
        if not width > 0:
            raise InputError(source, key, width, f"a bin width above 0 {unit}")
        if not stop > start:
            raise InputError(source, key, f"a range from {start:g} to {stop:g}", "a range that is not empty")
        bins = (stop - start) / width
        if abs(bins - round(bins)) > _WHOLE * bins or round(bins) < 1:
            raise InputError(
                source, key, f"{width:g} ({bins:.4g} bins)", f"a width that divides {stop - start:g} {unit}"
            )
        return cls(float(start), float(stop), float(width), unit)

    @classmethod
    def of_centres(cls, x: np.ndarray, unit: str) -> Grid:
        """Grid from 0 whose bins have the centres ``x``, in any order and any number of times."""
        centres = np.unique(x)
        # Bins are from 0, so the outermost centres add up to their end.
        stop = float(round(centres[0] + centres[-1], 6))
        return cls(0.0, stop, stop / len(centres), unit)

    @property
    def n_bins(self) -> int:
        """Number of bins."""
        return round((self.stop - self.start) / self.width)

    @property
    def edges(self) -> np.ndarray:
        """(n_bins + 1,) edges of the bins."""
        return np.linspace(self.start, self.stop, self.n_bins + 1)

    @property
    def centres(self) -> np.ndarray:
        """(n_bins,) centres of the bins."""
        edges = self.edges
        return np.asarray(0.5 * (edges[1:] + edges[:-1]))
