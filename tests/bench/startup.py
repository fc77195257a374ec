"""How long a start takes: from the process's start to its ready line, with an embedded database that is there."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any

from tests.bench import configuring, processes, site
from tests.bench.figures import Target
from tests.bench.targets import START_SECONDS

if TYPE_CHECKING:
    from tests.bench.stage import Stage

STARTS = 5


async def measure(stage: Stage) -> tuple[Any, list[Target]]:
    """Start and stop it, on all cores; the first time, which makes the database, is told apart."""
    config = configuring.configure(stage.folder / "start", stage.upstream)
    with processes.everywhere():
        first, *warm = [await _start(config) for _ in range(1 + STARTS)]
    median = statistics.median(warm)
    print(f"start with a warm database: {median:.2f} s ({min(warm):.2f}-{max(warm):.2f}); the very first {first:.2f} s")
    found = {
        "warm_s": round(median, 3),
        "min_s": round(min(warm), 3),
        "max_s": round(max(warm), 3),
        "first_s": round(first, 3),
    }
    return found, [Target("start, warm database, s", median, START_SECONDS)]


async def _start(config) -> float:
    begun = time.perf_counter()
    async with site.serving(config):
        return time.perf_counter() - begun
