"""A real `panless serve` in a process of its own, and the other commands beside it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from proxy.cli.running import opened
from tests.harness.commands import Forked, start
from vault.upkeep import apps as applications
from vault.upkeep.history import Filter, history

READY_SECONDS = 60


@dataclass
class Done:
    """A command that ended."""

    code: int
    out: str
    err: str


async def panless(*arguments: str | Path, env: Mapping[str, str] | None = None, stdin: bytes = b"") -> Done:
    """Run a command to its end."""
    process = await start(*map(str, arguments), stdin=stdin, env={**os.environ, "COLUMNS": "200", **(env or {})})
    out, err = await asyncio.wait_for(process.communicate(), READY_SECONDS)
    return Done(process.returncode or 0, out.decode(), err.decode())


@dataclass
class PanlessProcess:
    """`start` waits for the ready line; `log` is stderr as it stands."""

    config: Path
    env: Mapping[str, str] = field(default_factory=dict)
    urls: dict[str, str] = field(default_factory=dict)
    process: asyncio.subprocess.Process | Forked | None = None

    @property
    def log_file(self) -> Path:
        return self.config.with_suffix(".log")

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    async def start(self) -> PanlessProcess:
        with self.log_file.open("a") as log:
            self.process = await start(
                "serve", "--config", str(self.config), stderr=log, env={**os.environ, **self.env}
            )
        assert self.process.stdout is not None
        line = (await asyncio.wait_for(self.process.stdout.readline(), READY_SECONDS)).decode()
        if not line.startswith("ready "):
            await self.process.wait()
            raise AssertionError(f"panless serve did not become ready, exit {self.process.returncode}: {self.log}")
        self.urls = dict(word.split("=", 1) for word in line.split()[1:])
        return self

    async def stop(self, number: int = signal.SIGTERM) -> int:
        """Send the signal and return the exit code."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), 60)

    async def restart(self) -> None:
        """Stop and start it; in between there are no `urls`."""
        assert await self.stop() == 0, self.log
        self.urls = {}
        await self.start()

    async def kill(self) -> None:
        await self.stop(signal.SIGKILL)

    async def command(self, *arguments: str, stdin: bytes = b"") -> Done:
        """Run a command on the same configuration."""
        return await panless(*arguments, "-c", self.config, env=self.env, stdin=stdin)

    async def add_app(self, name: str, tenant: str = "default") -> str:
        """Do what `panless app add` does, without a process of its own unless its environment takes one."""
        if not self.env:
            async with opened(self.config) as database:
                return await applications.add_app(database, name, tenant)
        done = await panless("app", "add", name, "--tenant", tenant, "--json", "-c", self.config, env=self.env)
        assert done.code == 0, done.err
        return json.loads(done.out)["key"]

    async def events(self, *filters: str) -> list[dict]:
        """Do what `panless audit list --json` does, likewise. `filters` are its options."""
        named = {
            name.removeprefix("--").replace("-", "_"): text for name, text in zip(*[iter(filters)] * 2, strict=True)
        }
        if not self.env and named.keys() <= {"app", "token", "route", "outcome", "action", "request_id"}:
            async with opened(self.config) as database:
                return await history(database, Filter(limit=10_000, **named))
        done = await panless("audit", "list", "--json", "--limit", "10000", "-c", self.config, *filters, env=self.env)
        assert done.code == 0, done.err
        return [json.loads(line) for line in done.out.splitlines()]


@asynccontextmanager
async def serving(config: Path, env: Mapping[str, str] | None = None) -> AsyncIterator[PanlessProcess]:
    """A Panless that is stopped in the end, and must then exit with 0."""
    process = await PanlessProcess(config, env or {}).start()
    try:
        yield process
    finally:
        if process.process is not None and process.process.returncode is None:
            code = await process.stop()
            assert code == 0, process.log
