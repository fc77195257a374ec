"""A Panless to be measured: its process, and what its applications need."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import asyncpg

from proxy.cli.running import opened
from tests.bench import bodies, processes
from tests.harness.commands import COMMAND, ROOT
from tests.harness.hosted import SHOP
from vault.tokens import type_id
from vault.upkeep import apps as applications
from vault.upkeep.publishable_keys import add_publishable_key

READY_SECONDS = 60
STOP_SECONDS = 60


class Missing(Exception):
    """It cannot be measured here; says why."""


@cache
def has_workers() -> bool:
    """Whether this release has `panless serve --workers`."""
    help_text = subprocess.run([*COMMAND, "serve", "--help"], capture_output=True, text=True, cwd=ROOT, check=True)
    return "--workers" in help_text.stdout


@dataclass
class Site:
    """A running Panless. `numbers`: cards that it has never seen; `known`, `tokens`: some that it has."""

    config: Path
    pid: int
    urls: dict[str, str]
    ca: str | None = None
    key: str = ""
    page_key: str = ""
    known: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    primed: list[bytes] = field(default_factory=list)
    numbers: bodies.Numbers = field(default_factory=bodies.Numbers)

    @property
    def headers(self) -> str:
        return f"Panless-Key: {self.key}\r\n"

    def measured(self) -> list[int]:
        return [pid for pid in processes.tree(self.pid) if not processes.is_postgres(pid)]

    def postgres(self) -> list[int]:
        return [pid for pid in processes.tree(self.pid) if processes.is_postgres(pid)]

    async def register(self) -> None:
        """Add an application and a page."""
        async with opened(self.config) as database:
            self.key = await applications.add_app(database, "shop", "default")
            self.page_key = await add_publishable_key(database, "page", "default", [SHOP])

    async def learn(self) -> None:
        """Read the tokens that there are."""
        connection = await self.connect()
        try:
            rows = await connection.fetch("SELECT token FROM tokens WHERE tenant = 'default' LIMIT 1000")
        finally:
            await connection.close()
        self.tokens = [type_id("tok", row[0]) for row in rows]

    async def connect(self, user: str = "panless_owner") -> asyncpg.Connection:
        """A connection to its embedded database."""
        run = str(self.config.parent / "data" / "run")
        return await asyncpg.connect(host=run, user=user, database="panless", ssl=False)


@asynccontextmanager
async def serving(config: Path, *options: str) -> AsyncIterator[Site]:
    """Start it as a shell does, in an interpreter of its own; stop it in the end."""
    with config.with_suffix(".log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *COMMAND, "serve", "--config", str(config), *options, stdout=asyncio.subprocess.PIPE, stderr=log, cwd=ROOT
        )
    try:
        yield Site(config, process.pid, await ready(process))
    finally:
        await _stopped(process)


async def _stopped(process: asyncio.subprocess.Process) -> None:
    """End it; if it does not, with all that it has started."""
    if process.returncode is None:
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_SECONDS)
    except TimeoutError:
        for pid in processes.tree(process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await process.wait()


async def ready(process: asyncio.subprocess.Process) -> dict[str, str]:
    """Wait for a server's ready line, and return its URLs; raises Missing if it does not come."""
    try:
        line = (await asyncio.wait_for(process.stdout.readline(), READY_SECONDS)).decode()
    except TimeoutError:
        line = "nothing"
    if not line.startswith("ready "):
        raise Missing(f"it did not become ready, and said {line!r}")
    return dict(word.split("=", 1) for word in line.split()[1:])


@asynccontextmanager
async def module(name: str, *arguments: str) -> AsyncIterator[tuple[int, dict[str, str]]]:
    """A module of ours that serves; yields its pid and its URLs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", name, *arguments, stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    try:
        yield process.pid, await ready(process)
    finally:
        process.terminate()
        await process.wait()
