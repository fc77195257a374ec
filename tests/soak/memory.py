"""The resident memory of processes, of each life apart."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

MIB = 1024 * 1024
MOST_GROWTH = 0.15
# A life that was shorter (seconds, one sample each) has no quarters to compare: it is still warming up.
LEAST = 110


@dataclass
class Life:
    """Samples are in MiB, one a second."""

    name: str
    pid: int
    samples: list[float] = field(default_factory=list)

    @property
    def quarters(self) -> tuple[float, float]:
        """Return the medians of the second quarter and of the last."""
        quarter = max(1, len(self.samples) // 4)
        return statistics.median(self.samples[quarter : 2 * quarter] or [0]), statistics.median(self.samples[-quarter:])

    @property
    def growth(self) -> float:
        second, last = self.quarters
        return last / second - 1


@dataclass
class Memory:
    lives: list[Life] = field(default_factory=list)

    def begin(self, name: str, pid: int) -> None:
        self.lives.append(Life(name, pid))

    def sample(self) -> None:
        """Look at those that live."""
        for life in {each.name: each for each in self.lives}.values():
            try:
                pages = int(Path(f"/proc/{life.pid}/statm").read_text().split()[1])
            except (OSError, IndexError):
                continue
            if pages:
                life.samples.append(pages * os.sysconf("SC_PAGE_SIZE") / MIB)

    def long(self) -> Iterator[Life]:
        """Yield the lives that were long enough to be judged."""
        return (each for each in self.lives if len(each.samples) >= LEAST)
