"""numba's compiler with the options of the fused evaluation, and compiled code kept as long as its sources stay.

numba keeps the machine code of a function by the file that the function stands in. The kernels are made of functions of
several modules: after a change in one of them the others would go on with the old code. What is kept here therefore
carries a digest of all of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import njit

#: Modules whose functions are compiled into each other.
SOURCES = ("compiled", "simd", "environment_cpu", "pair_kernels", "md_kernels")

_OPTIONS: dict[str, Any] = {"fastmath": {"reassoc", "contract", "arcp", "nsz"}, "error_model": "numpy"}

#: Compiled into what calls it.
inlined: Any = njit(**_OPTIONS, forceinline=True)
#: Called from compiled code.
inner: Any = njit(**_OPTIONS)


def _digest() -> str:
    digest = hashlib.sha256()
    for name in SOURCES:
        digest.update((Path(__file__).parent / f"{name}.py").read_bytes())
    return digest.hexdigest()


_DIGEST = _digest()


def _kept(**options: Any) -> Callable[[Any], Any]:
    def compiled(function: Any) -> Any:
        dispatcher: Any = njit(cache=True, **_OPTIONS, **options)(function)
        # An index of another stamp is not used: numba's own is the time and the size of one file.
        index = dispatcher._cache._cache_file
        index._source_stamp = (index._source_stamp, _DIGEST)
        return dispatcher

    return compiled


#: Called from Python, on one thread; compiled once per machine.
serial: Any = _kept()
#: Called from Python, with loops over `numba.prange` on all threads; compiled once per machine.
parallel: Any = _kept(parallel=True)
