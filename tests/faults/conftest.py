"""Systems of the unit tests and of the simulation tests serve here too."""

from __future__ import annotations

import sys
from pathlib import Path

for tier in ("unit", "integration"):
    sys.path.append(str(Path(__file__).parents[1] / tier))
