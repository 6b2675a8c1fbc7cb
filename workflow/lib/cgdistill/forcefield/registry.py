"""The architectures that there are, by name; a new one is entered here."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import InputError

if TYPE_CHECKING:
    from .architecture import GradientArchitecture, SolvedArchitecture

#: Each has a package of its name here (``_`` for ``-``), whose module ``architecture`` has it as ``ARCHITECTURE``.
NAMES = ("hipnn", "pair-spline")
#: Where neither config nor model file names one; files of earlier versions do not.
DEFAULT = "hipnn"


@cache
def architecture(name: str) -> GradientArchitecture | SolvedArchitecture:
    """The architecture of one of `NAMES`; no other is imported."""
    found: GradientArchitecture | SolvedArchitecture = import_module(
        f".{name.replace('-', '_')}.architecture", __package__
    ).ARCHITECTURE
    return found


def architecture_of(
    settings: Any, source: str | Path = "config", key: str = "network.architecture"
) -> GradientArchitecture | SolvedArchitecture:
    """The architecture named by ``settings["architecture"]``, `DEFAULT` where there is no such entry.

    Parameters
    ----------
    settings: section ``network`` of the config, or the same of a model file.
    source, key: named in errors.

    Raises
    ------
    InputError
        No such architecture.
    """
    name = settings.get("architecture", DEFAULT)
    if name not in NAMES:
        raise InputError(source, key, repr(name), f"one of {', '.join(NAMES)}")
    return architecture(name)
