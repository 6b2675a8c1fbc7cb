"""How curves are normalised, see docs/structure.md: our own way, and that of the program TRAVIS for comparison."""

from __future__ import annotations

CGDISTILL, TRAVIS = CONVENTIONS = ("cgdistill", "travis")
