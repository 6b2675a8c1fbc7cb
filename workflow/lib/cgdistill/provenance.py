"""Where a product comes from: version, config hash, input checksums, and whole files only."""

from __future__ import annotations

import ast
import errno
import hashlib
import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from . import __version__
from .console import log
from .errors import InputError
from .faults import disk_fault

_PACKAGE = Path(__file__).parent
#: Temporary names of `whole_file`: stem, machine, process, suffix.
_PARTIAL = re.compile(r"\.(.+)\.partial-(.+)-(\d+)(\.[^.]*)?")
#: A temporary file of another machine that nobody has written to for so long is taken for left over, s.
_LEFT_OVER_S = 86400.0
#: What file systems answer that cannot wait for the disk, some of them for folders alone.
_CANNOT_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS)


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def config_hash(config: Mapping[str, Any]) -> str:
    """SHA-256 of a config, independent of the order of its keys."""
    text = json.dumps(config, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def stamp(
    config: Mapping[str, Any] | str,
    inputs: Mapping[str, str | Path] | Iterable[str | Path] = (),
    **facts: Any,
) -> dict[str, Any]:
    """Provenance record of a product.

    Parameters
    ----------
    config:
        The config that determined the product, or its hash.
    inputs:
        Files it was made from, by role or as a plain list.
    facts:
        More to record (seed, program versions).
    """
    digest = config if isinstance(config, str) else config_hash(config)
    named = inputs if isinstance(inputs, Mapping) else {str(path): path for path in inputs}
    return {
        "program": "cgdistill",
        "version": __version__,
        "config_sha256": digest,
        "inputs": {role: sha256_of(path) for role, path in named.items()},
        # A role does not say which file it was.
        **({"files": {role: str(path) for role, path in named.items()}} if isinstance(inputs, Mapping) else {}),
        **facts,
    }


def ahead_of_clock(provenances: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a file that products were made from is dated in the future; the log says so.

    So it is when the clock has been set back meanwhile. Snakemake takes the products for older than their input then,
    and throws them away: checkpoints have to stay.
    """
    files = {str(path) for provenance in provenances for path in provenance.get("files", {}).values()}
    found = False
    for path in sorted(files):
        try:
            ahead_s = os.stat(path).st_mtime - time.time()
        except OSError:
            continue
        if ahead_s > 0:
            found = True
            hint = "Snakemake throws away what is made from it before then; wait, or touch it. Checkpoints stay"
            log.warning("%s: dated %.0f s ahead of the clock: %s", path, ahead_s, hint)
    return found


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Write to a temporary neighbour and move it to ``path`` when the body has succeeded.

    The temporary name keeps the suffix, since many writers choose their format by it. What killed writers of the
    same file have left under such names is removed.

    Raises
    ------
    OSError
        The disk is full or may not be written to, whatever the writer made of that.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_left_over(path)
    partial = path.with_name(f".{path.stem}.partial-{os.uname().nodename}-{os.getpid()}{path.suffix}")
    try:
        yield partial
        # Else the name may be on disk before the contents: after a power cut it would stand for an empty file.
        sync_to_disk(partial)
        os.replace(partial, path)
        # What is written next may rely on this file, and must not be on disk without it.
        sync_to_disk(path.parent)
    except InputError:
        raise
    except Exception as error:
        if (why := disk_fault(partial, error)) is None:
            raise
        raise OSError(why.errno, why.strerror, str(path)) from error
    finally:
        partial.unlink(missing_ok=True)


def sync_to_disk(path: str | Path) -> None:
    """Wait until the contents of a file, or the names in a folder, are on disk (where the file system can do that)."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        os.close(descriptor)


def _remove_left_over(path: Path) -> None:
    """Remove temporary files of ``path`` that nobody writes to any more."""
    for found in path.parent.glob(".*.partial-*"):
        match = _PARTIAL.fullmatch(found.name)
        if match is None or match[1] + (match[4] or "") != path.name:
            continue
        try:
            if match[2] == os.uname().nodename:
                alive = _is_running(int(match[3]))
            else:
                alive = time.time() - found.stat().st_mtime < _LEFT_OVER_S
        except FileNotFoundError:  # it has been moved into place
            continue
        if not alive:
            found.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    """Whether another process of this number runs on this machine."""
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def write_json(path: str | Path, data: Mapping[str, Any]) -> None:
    """Write ``data`` as indented UTF-8 JSON, whole or not at all."""
    with whole_file(path) as partial:
        partial.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _imported_modules(source: Path) -> set[Path]:
    """Files of this package that ``source`` imports (directly), by relative or absolute import."""
    found: set[Path] = set()
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            if node.level:
                base = source.parent
                for _ in range(node.level - 1):
                    base = base.parent
            elif (node.module or "").split(".")[0] == _PACKAGE.name:
                base = _PACKAGE.parent
            else:
                continue
            stem = base.joinpath(*(node.module or "").split("."))
            candidates = [stem, *(stem / alias.name for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.split(".")[0] == _PACKAGE.name]
            candidates = [_PACKAGE.parent.joinpath(*name.split(".")) for name in names]
        else:
            continue
        for candidate in candidates:
            for path in (candidate.with_suffix(".py"), candidate / "__init__.py"):
                if path.is_file() and path != _PACKAGE / "__init__.py":
                    found.add(path.resolve())
    return found


@cache
def source_digest(module: str) -> str:
    """Short hash of a module of this package and of everything in the package that it imports.

    Snakemake sees changes of scripts but not of an imported library; rules carry this digest in
    ``params`` so that a change reruns what depends on it and nothing else.
    ``module`` is relative to the package: ``"structure.rdf"``.
    """
    stem = _PACKAGE.joinpath(*module.split("."))
    start = stem.with_suffix(".py") if stem.with_suffix(".py").is_file() else stem / "__init__.py"
    seen: set[Path] = set()
    queue = [start.resolve()]
    while queue:
        source = queue.pop()
        if source not in seen:
            seen.add(source)
            queue.extend(_imported_modules(source) - seen)
    digest = hashlib.sha256()
    for source in sorted(seen):
        digest.update(source.relative_to(_PACKAGE).as_posix().encode())
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]
