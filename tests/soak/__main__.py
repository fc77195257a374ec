"""Payments and webhooks for MINUTES, with random kills; exit code 1 if a promise was broken."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from tests.harness.commands import alone
from tests.soak.applications import Shops
from tests.soak.verdict import left, show, violations
from tests.soak.world import World, soaking

SHOPS = 8
# Until every lease is over and everything was tried again.
SETTLE_SECONDS = 150
_HURRY = """
WITH events AS (UPDATE webhook_events SET next_run = now() WHERE state = 'pending')
UPDATE operations SET next_run = now() WHERE state = 'pending'
"""


async def soak(folder: Path, minutes: float, seed: int) -> list[str]:
    """Return what is not as it must be."""
    errors = Console(stderr=True)
    async with soaking(folder, seed) as world:
        shops = Shops(world)
        going = [asyncio.create_task(shops.shop()) for _ in range(SHOPS)]
        going.append(asyncio.create_task(shops.gateway()))
        await _rage(world, going, minutes * 60, errors)
        shops.open = False
        await world.calm()
        found = await _settle(world, going)
        found += await violations(world, shops)
        show(Console(), world, shops)
        return found


async def _rage(world: World, going: list[asyncio.Task], seconds: float, errors: Console) -> None:
    """Let everything happen for so long, or until one of those who pay fails."""
    chaos = asyncio.create_task(world.chaos())
    with Progress(console=errors, transient=True) as progress:
        bar = progress.add_task("soaking", total=seconds)
        began = time.monotonic()
        while (now := time.monotonic() - began) < seconds:
            await asyncio.sleep(1)
            world.memory.sample()
            progress.update(bar, completed=now)
            if chaos.done() or any(each.done() for each in going):
                break
    chaos.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await chaos


async def _settle(world: World, going: list[asyncio.Task]) -> list[str]:
    """Wait until nothing is under way; return what did not end."""
    ends = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < ends and (not all(each.done() for each in going) or await left(world)):
        await world.sql(_HURRY)
        await asyncio.sleep(1)
    found = []
    for each in going:
        if not each.done():
            each.cancel()
            found.append("an application is still trying")
        elif each.exception() is not None:
            found.append(f"an application failed: {each.exception()!r}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))  # noqa: S311
    given = parser.parse_args()
    # Memory is measured: each process has its own, as in life.
    with alone(), tempfile.TemporaryDirectory(prefix="panless-soak-", ignore_cleanup_errors=True) as folder:
        found = asyncio.run(soak(Path(folder), given.minutes, given.seed))
    for each in found[:50]:
        print("violated:", each)
    print(f"seed {given.seed}: {len(found)} violations" if found else f"seed {given.seed}: nothing was violated")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
