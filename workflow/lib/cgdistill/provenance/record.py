"""Where a product comes from: version, config hash, input checksums."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .. import __version__
from ..runtime.job import log


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
