"""What this process has under way: it says again and again that it does, and writes later what it could not write."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from uuid import UUID

import structlog

from proxy.state.errors import RunOverdue
from proxy.state.idempotency import HELD, Keys
from proxy.state.operations import Queue
from vault.errors import PanlessError

EVERY = HELD.total_seconds() / 4

# Also while the machine sleeps, where the system has a clock for it: others do not.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

Write = Callable[[], Awaitable[None]]

log = structlog.get_logger()


def now() -> float:
    """Return seconds since some time ago."""
    return time.clock_gettime(_CLOCK)


class Held:
    """The runs of one process. Start `task` once; `close` writes what is left."""

    def __init__(self, keys: Keys, queue: Queue) -> None:
        self._keys = keys
        self._queue = queue
        self._runs: dict[UUID, float] = {}
        self._later: dict[UUID, Write] = {}

    @property
    def runs(self) -> Collection[UUID]:
        """What is held now."""
        return self._runs.keys()

    def begin(self, run: UUID, since: float) -> None:
        """Hold a run from now on; `since`: `now` of before it was claimed."""
        self._runs[run] = since

    def check(self, run: UUID) -> None:
        """Raise RunOverdue if another process may have taken over: it is too late to send anything."""
        if now() - self._runs.get(run, 0.0) > HELD.total_seconds():
            raise RunOverdue

    def abandon(self, run: UUID) -> None:
        """Hold a run no longer, whose end is not known."""
        self._runs.pop(run, None)

    async def end(self, run: UUID, write: Write) -> None:
        """Write how a run ended, and hold it no longer. If that fails it is held on, and written later."""
        try:
            await write()
        except PanlessError as error:
            log.warning("outcome_not_written", code=error.code, run=str(run))
            self._later[run] = write
        else:
            self._runs.pop(run, None)

    def later(self, run: UUID, write: Write) -> None:
        """Write something about a run as soon as it can be written."""
        self._later[run] = write

    async def task(self) -> None:
        """Hold, write what could not be written, and tell what processes that are gone have left."""
        while True:
            await asyncio.sleep(EVERY)
            try:
                await self.once()
            except PanlessError as error:
                log.warning("runs_not_held", code=error.code)

    async def once(self) -> None:
        if runs := list(self._runs):
            since = now()
            await self._keys.hold(runs)
            await self._queue.hold(runs)
            self._runs |= {run: since for run in runs if run in self._runs}
        await self._write_later()
        await self._keys.sweep()

    async def close(self) -> None:
        """Write what is left, if it can be written."""
        with suppress(PanlessError):
            await self._write_later()

    async def _write_later(self) -> None:
        for run, write in list(self._later.items()):
            await write()
            del self._later[run]
            self._runs.pop(run, None)
