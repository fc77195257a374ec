"""What this process has under way: it says again and again that it does, and writes later what it could not write."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from uuid import UUID

import structlog

from proxy.state.errors import LeaseLost
from proxy.state.idempotency import HELD, Keys
from proxy.state.operations import Queue
from vault.errors import KeyDestroyed, PanlessError

EVERY = HELD.total_seconds() / 4
MARGIN_SECONDS = 3.0  # what a claim may take on its way back from the database

Write = Callable[[], Awaitable[None]]

log = structlog.get_logger()


class Held:
    """The runs of one process. Start `task` once; `close` writes what is left."""

    def __init__(self, keys: Keys, queue: Queue) -> None:
        self._keys = keys
        self._queue = queue
        self._runs: dict[UUID, float] = {}  # until when each is ours, by our own clock
        self._later: dict[UUID, Write] = {}

    @property
    def runs(self) -> Collection[UUID]:
        """What is held now."""
        return self._runs.keys()

    def begin(self, run: UUID) -> None:
        """Hold a run from now on, which was claimed a moment ago."""
        self._runs[run] = _until()

    def check(self, run: UUID) -> None:
        """Raise LeaseLost if a run may be another's by now: this process hung, or its database did."""
        if time.monotonic() > self._runs.get(run, 0.0):
            raise LeaseLost

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
            until = _until()
            await self._keys.hold(runs)
            await self._queue.hold(runs)
            self._runs.update((run, until) for run in runs if run in self._runs)
        await self._write_later()
        await self._keys.sweep()

    async def close(self) -> None:
        """Write what is left, if it can be written."""
        await self._write_later()

    async def _write_later(self) -> None:
        for run, write in list(self._later.items()):
            try:
                await write()
            except KeyDestroyed:
                pass  # it will never be written; that its end is not known is found out once nobody holds it
            except PanlessError as error:  # that of another tenant may be written all the same
                log.warning("outcome_not_written", code=error.code, run=str(run))
                continue
            del self._later[run]
            self._runs.pop(run, None)


def _until() -> float:
    return time.monotonic() + HELD.total_seconds() - MARGIN_SECONDS
