"""The words of tables and files: names of models, key columns, kinds of models, status values."""

from __future__ import annotations

from enum import StrEnum

#: Columns that name a run, and those that name a curve or its error.
RUN_KEY = ["variant", "member", "replica"]
CURVE_KEY = ["metric", "item", "parameter"]
#: Item of the sum over all items of a metric.
OVERALL = "overall"

#: The all-atom reference among models, and its one run.
REFERENCE = "AA"
#: Variant of the teachers one by one.
TEACHERS = "T"
#: Member of a variant that is one model (or one ensemble evaluated together).
ENSEMBLE = "ensemble"


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


class ModelKind(StrEnum):
    """What a model is made of: each teacher by itself, the mean of all teachers at each step, or a student of either.

    ``single``: a student per teacher; ``ensemble``: one student of the mean of all teachers.
    """

    TEACHER = "teacher"
    TEACHER_ENSEMBLE = "teacher_ensemble"
    SINGLE = "single"
    ENSEMBLE = "ensemble"

    @property
    def per_teacher(self) -> bool:
        """Whether there is a member for each teacher."""
        return self in (ModelKind.TEACHER, ModelKind.SINGLE)

    @property
    def is_student(self) -> bool:
        """Whether it is trained on predictions of teachers."""
        return self in (ModelKind.SINGLE, ModelKind.ENSEMBLE)
