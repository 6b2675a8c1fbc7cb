"""Status of runs and networks, as written to files."""

from __future__ import annotations

from enum import StrEnum


class RunStatus(StrEnum):
    """Status of a simulation run."""

    #: All its steps were made.
    FINISHED = "finished"
    #: It was stopped at a limit (`md.protocol.Limits`).
    BLOWN_UP = "blown up"
    #: It was not started, since the training of its model failed.
    EXCLUDED = "excluded"


class NetworkStatus(StrEnum):
    """Status of a trained network."""

    USED = "used"
    #: Its training failed, or its teacher is excluded: it enters no average and no table of results.
    EXCLUDED = "excluded"
