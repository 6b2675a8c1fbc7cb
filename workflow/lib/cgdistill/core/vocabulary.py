"""What became of networks and runs, in the words that files use."""

from __future__ import annotations

#: Of a run: it came to its end; it was stopped at a limit; it was not made, since its model is not to be used.
FINISHED, BLOWN_UP, EXCLUDED = "finished", "blown up", "excluded"
#: Of a network, or `EXCLUDED`, where its training failed.
USED = "used"
