"""`make bench`: what Panless costs beside other proxies, in one run. See README.md in this folder."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import tempfile
from collections.abc import Awaitable, Callable
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from tests.bench import auditing, bulk, configuring, memory, processes, report, rewriting, site, startup
from tests.bench.catalog import Spec, catalog, chosen, selection
from tests.bench.figures import Target
from tests.bench.generator import Generator
from tests.bench.stage import Result, Stage
from tests.bench.targets import targets
from tests.harness.commands import ROOT

TARGET = ROOT / "build" / "bench.json"
TABLES = "1000,1000000"
FULL_TABLES = "1000,1000000,10000000"


async def _rows(stage: Stage, specs: list[Spec]) -> list[Result]:
    results: list[Result] = []
    with Progress(transient=True) as progress:
        for _, group in groupby(specs, key=lambda spec: spec.group):
            results += await stage.perform(list(group), progress)
    return results


async def _rewriting(_stage: Stage) -> tuple[Any, list[Target]]:
    return rewriting.measure(), []


async def _auditing(stage: Stage) -> tuple[Any, list[Target]]:
    (stage.folder / "audit").mkdir()
    return await auditing.measure(stage.folder / "audit"), []


PARTS: dict[str, Callable[[Stage], Awaitable[tuple[Any, list[Target]]]]] = {
    "start": startup.measure,
    "bulk": bulk.measure,
    "rewriting": _rewriting,
    "auditing": _auditing,
    "memory": memory.measure,
}


async def bench(folder: Path, wanted: list[str], sizes: list[int]) -> None:
    """Measure what was asked for; all but `memory`, if nothing was. What there is is written after each part."""
    console = Console(width=None if os.isatty(1) else 200)
    configuring.certify(folder)
    os.sched_setaffinity(0, processes.OTHERS)
    parts = [name for name in PARTS if (chosen(name, wanted) if wanted else name != "memory")]
    specs = selection(catalog(sizes), wanted)
    certificate = [str(folder / name) for name in ("cert.pem", "key.pem")]
    async with site.module("tests.bench.upstream", *certificate) as upstream:
        generator = Generator()
        try:
            stage = Stage(folder, upstream, generator)
            results = await _rows(stage, specs)
            document, aims = _document(results, sizes)
            if specs:
                report.show(console, document["rows"])
            _write(document, aims)
            for name in parts:
                document[name], more = await PARTS[name](stage)
                aims += more
                _write(document, aims)
        finally:
            generator.close()
    report.show_targets(console, aims)
    print(f"written to {TARGET.relative_to(ROOT)}")


def _write(document: dict[str, Any], aims: list[Target]) -> None:
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(json.dumps(document | {"targets": [each.document() for each in aims]}, indent=2) + "\n")


def _document(results: list[Result], sizes: list[int]) -> tuple[dict[str, Any], list[Target]]:
    rows = report.documents(results)
    found = {name: [ms for each in results for ms in getattr(each, name)] for name in ("commit_ms", "fsync_ms")}
    medians = {name: round(statistics.median(ms), 3) if ms else None for name, ms in found.items()}
    for name in [name for name, ms in medians.items() if ms is not None]:
        print(f"{name}: {medians[name]}")
    return {"rows": rows, "cores": len(processes.CORES), **medians}, targets(rows, medians["commit_ms"], sizes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--rows", default="", help="beginnings of names, with commas; `targets`: the four rows of these"
    )
    parser.add_argument("--tables", default="", help=f"how many cards a table has ({TABLES})")
    parser.add_argument("--full", action="store_true", help=f"tables of {FULL_TABLES} cards")
    given = parser.parse_args()
    sizes = sorted(int(each) for each in (given.tables or (FULL_TABLES if given.full else TABLES)).split(","))
    wanted = [each.strip() for each in given.rows.split(",") if each.strip()]
    with tempfile.TemporaryDirectory(prefix="panless-bench-") as folder:
        asyncio.run(bench(Path(folder), wanted, sizes))


if __name__ == "__main__":
    main()
