"""Provenance stamps of products: version of the program, hash of the config, checksums of the inputs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .. import __version__


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def config_hash(config: Mapping[str, Any]) -> str:
    """SHA-256 of a config, hexadecimal, independent of the order of its keys."""
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
        The config that determines the product, or its hash.
    inputs:
        Input files, by role or as a plain list.
    facts:
        Further entries (seed, program versions).
    """
    digest = config if isinstance(config, str) else config_hash(config)
    named = inputs if isinstance(inputs, Mapping) else {str(path): path for path in inputs}
    return {
        "program": "cgdistill",
        "version": __version__,
        "config_sha256": digest,
        "inputs": {role: sha256_of(path) for role, path in named.items()},
        # A role does not identify the file.
        **({"files": {role: str(path) for role, path in named.items()}} if isinstance(inputs, Mapping) else {}),
        **facts,
    }
