"""Resident memory of one worker over a million requests: `python -m tests.bench.memory --requests 1000000`.

Requests of all sorts in turn: passed through, new cards, known cards, reveals.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tests.bench import configuring, processes, requests, site
from tests.bench.figures import Target
from tests.bench.generator import Generator
from tests.bench.load import Job
from tests.bench.targets import MEMORY_MB

if TYPE_CHECKING:
    from tests.bench.measuring import Subject
    from tests.bench.stage import Stage

REQUESTS = 1_000_000
POINTS = 10
AT_ONCE = 5000
SORTS = (
    ("inbound", requests.passing()),
    ("inbound", requests.new_cards()),
    ("inbound", requests.known_cards),
    ("outbound", requests.reveals()),
)
FLAT = 1.1


async def measure(stage: Stage, total: int = REQUESTS) -> tuple[Any, list[Target]]:
    """Send so many requests; print the memory at ten points, and before."""
    points: list[dict[str, Any]] = []
    async with stage.panless("memory") as subject:
        subject.place()
        with Progress(transient=True) as progress:
            task = progress.add_task("memory: requests", total=total)
            points.append(_point(0, subject))
            for number in range(1, POINTS + 1):
                for listener, make in SORTS:
                    await _send(stage.generator, subject, listener, make, total // POINTS // len(SORTS))
                    progress.advance(task, total // POINTS // len(SORTS))
                points.append(_point(number * total // POINTS, subject))
    _show(points)
    last, half = points[-1]["rss_mb"], points[POINTS // 2]["rss_mb"]
    said = f"{total:,} requests"
    grown = Target(f"resident memory, {said} over half of them", last / half, FLAT)
    return points, [Target(f"resident memory after {said}, MB", last, MEMORY_MB), grown]


async def _send(generator: Generator, subject: Subject, listener: str, make: requests.Maker, count: int) -> None:
    while count > 0:
        made = await make(subject.site, generator, min(count, AT_ONCE))
        measured = await generator.run(Job(subject.url(listener), made, 32))
        if set(measured.statuses) != {200}:
            raise SystemExit(f"answers were {measured.statuses} {measured.problem}")
        count -= AT_ONCE


def _point(sent: int, subject: Subject) -> dict[str, Any]:
    pids = subject.measured()
    return {
        "requests": sent,
        "rss_mb": round(processes.resident_mb(pids), 1),
        "anonymous_mb": round(processes.resident_mb(pids, "RssAnon"), 1),
    }


def _show(points: list[dict[str, Any]]) -> None:
    table = Table("requests", "resident MB", "of it anonymous", title="memory of one worker", title_justify="left")
    for each in points:
        table.add_row(f"{each['requests']:,}", str(each["rss_mb"]), str(each["anonymous_mb"]))
    Console().print(table)


async def _alone(folder: Path, total: int) -> None:
    from tests.bench.stage import Stage

    configuring.certify(folder)
    os.sched_setaffinity(0, processes.OTHERS)
    async with site.module("tests.bench.upstream", str(folder / "cert.pem"), str(folder / "key.pem")) as upstream:
        generator = Generator()
        try:
            await measure(Stage(folder, upstream, generator), total)
        finally:
            generator.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=REQUESTS)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="panless-bench-") as folder:
        asyncio.run(_alone(Path(folder), given.requests))


if __name__ == "__main__":
    main()
