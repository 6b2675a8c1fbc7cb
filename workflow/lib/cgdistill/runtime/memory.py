"""Memory available to a job, to refuse work that will not fit before it starts."""

from __future__ import annotations

from pathlib import Path

_PROC = Path("/proc")
_CGROUPS = Path("/sys/fs/cgroup")


def available_bytes(proc: Path = _PROC, cgroups: Path = _CGROUPS) -> int | None:
    """Memory available to this process within the machine and its control groups; None if the limit is unknown.

    Batch systems and containers limit memory by control groups (version 2, or the memory controller of version 1).
    """
    found = []
    try:
        for line in (proc / "meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                found.append(1024 * int(line.split()[1]))
        groups = (proc / "self" / "cgroup").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        groups = []
    for line in groups:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            found += _left(cgroups, path, "memory.max", "memory.current")
        elif controllers == "memory":
            found += _left(cgroups / "memory", path, "memory.limit_in_bytes", "memory.usage_in_bytes")
    return min(found, default=None)


def _left(root: Path, path: str, limit: str, usage: str) -> list[int]:
    """Memory left in a group and in each of its parents; file caches count as used but can be reclaimed."""
    found = []
    group = root / path.lstrip("/")
    for folder in (group, *group.parents):
        if folder != root and root not in folder.parents:
            break
        try:
            maximum = int((folder / limit).read_text(encoding="ascii"))
            used = int((folder / usage).read_text(encoding="ascii"))
            for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines():
                if line.startswith(("inactive_file ", "active_file ")):
                    used -= int(line.split()[1])
        except (OSError, ValueError):  # no limit ("max"), or no such group in this container
            continue
        found.append(max(0, maximum - used))
    return found
