"""What all benchmarks get."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from .systems import THOUSAND, Beads, Demo


@dataclass
class Context:
    """Settings of a run of the benchmarks, and the systems that several of them use.

    Attributes
    ----------
    folder: for files, deleted afterwards.
    threads: of everything that is measured.
    device: cpu or cuda, for networks.
    """

    folder: Path
    threads: int
    device: str
    start: float = field(default_factory=time.perf_counter)

    @cached_property
    def demo(self) -> Demo:
        """The demo's data."""
        return Demo(self.folder)

    @cached_property
    def thousand(self) -> Beads:
        """1,024 beads, 100 frames."""
        return self.demo.replicated(THOUSAND, slice(0, 300, 3))

    def say(self, text: str) -> None:
        """A line of progress with the time since the start."""
        print(f"[{time.perf_counter() - self.start:4.0f} s] {text}", flush=True)
