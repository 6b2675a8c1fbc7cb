"""Seeds derived from the one seed of the config."""

from __future__ import annotations

import hashlib


def derive(seed: int, *labels: object) -> int:
    """A seed of 31 bits (positive, as LAMMPS wants it) for a purpose named by ``labels``.

    Pure: the same arguments give the same seed on any machine, different labels give unrelated ones.
    """
    text = "\x1f".join([str(seed), *(str(label) for label in labels)])
    return int.from_bytes(hashlib.sha256(text.encode("utf-8")).digest()[:4], "big") % (2**31 - 2) + 1
