"""Draw figures of the catalogue from the files of a run."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from time import perf_counter

from ..runtime.job import log
from .catalogue import Entry
from .run_files import RunFiles
from .style import save


def draw(entries: Iterable[Entry], files: RunFiles, folder: str | Path) -> list[str]:
    """Write figures into a folder, each as SVG and PNG; the time of each goes to the log.

    Parameters
    ----------
    entries: of one job.
    files: those of the job.

    Returns
    -------
    Their stems.
    """
    stems = []
    for entry in entries:
        since = perf_counter()
        module, _, function = entry.drawer.rpartition(".")
        drawer = getattr(import_module(f"{__package__}.{module}"), function)
        save(drawer(files, **entry.arguments), Path(folder) / entry.stem)
        stems.append(entry.stem)
        log.info("%s: %.1f s", entry.stem, perf_counter() - since)
    return stems
