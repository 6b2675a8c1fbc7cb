"""Seeds derived from the seed of the config."""

from __future__ import annotations

import hashlib


def derive(seed: int, *labels: object) -> int:
    """Seed of 31 bits, positive as LAMMPS requires, for the purpose named by ``labels``.

    The same arguments give the same seed on any machine; different labels give unrelated seeds.
    """
    text = "\x1f".join([str(seed), *(str(label) for label in labels)])
    return int.from_bytes(hashlib.sha256(text.encode("utf-8")).digest()[:4], "big") % (2**31 - 2) + 1
