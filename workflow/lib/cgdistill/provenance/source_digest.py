"""Digest of the source of a stage: a change of the library reruns what depends on it."""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).parent.parent


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
