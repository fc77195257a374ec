"""What leaves the log for sinks: what is under a checkpoint, from where each sink stopped, by one process at a time.

The place of a sink moves only after it has what was read: at least once. Events are read as the auditor, who may read
nothing else; places are kept by the proxy.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal, cast

from vault.audit.formats import Entry
from vault.store import checkpoints, sinks
from vault.store.database import Connection, Database, Pool, Role, translated

BATCH = 500

What = Literal["events", "checkpoints"]


@dataclass(frozen=True, slots=True)
class Note:
    """A checkpoint: its number, and the signed note."""

    number: int
    note: str


@dataclass(frozen=True, slots=True)
class Batch:
    """What a sink is to get next: events or checkpoints. `position`: where it goes on afterwards."""

    events: Sequence[Entry]
    notes: Sequence[Note]
    position: int

    def __len__(self) -> int:
        return len(self.events) + len(self.notes)


class Feed:
    """Reads the log for sinks. Build it with `open`."""

    def __init__(self, reading: Pool, writing: Pool) -> None:
        self._reading = reading
        self._writing = writing

    @classmethod
    async def open(cls, database: Database, *, events: bool = True) -> Feed:
        """Raises StoreError; RoleNotGranted if `events` are wanted and the proxy's user may not become the auditor."""
        reader = Role.AUDITOR if events else Role.PROXY
        writing = await database.pool(Role.PROXY, size=2)
        try:
            return cls(await database.pool(reader, size=2), writing)
        except BaseException:
            await writing.close()
            raise

    async def close(self) -> None:
        await self._reading.close()
        await self._writing.close()

    @asynccontextmanager
    async def next(self, name: str, what: What, *, wait: bool = False) -> AsyncIterator[Batch | None]:
        """Give the next batch of a sink; once the caller's block ends without an error, the sink has it.

        None: another process is at it (with `wait`, that is waited for). An empty batch: there is nothing new.
        """
        await sinks.add(self._writing, name)
        with translated():
            async with self._writing.acquire() as acquired, acquired.transaction():
                writing = cast("Connection", acquired)
                position = await sinks.lock(writing, name, wait=wait)
                if position is None:
                    yield None
                    return
                batch = await (self._events(position) if what == "events" else self._notes(position))
                yield batch
                if batch.position != position:
                    await sinks.move(writing, name, batch.position)

    async def behind(self, name: str, what: What) -> int:
        """Return how many events or checkpoints a sink has not got yet."""
        newest = await checkpoints.newest(self._reading)
        position = await sinks.position(self._writing, name)
        if newest is None:
            return 0
        return (newest.size if what == "events" else newest.number + 1) - position

    async def _events(self, position: int) -> Batch:
        with translated():
            async with self._reading.acquire() as acquired, acquired.transaction(readonly=True):
                reading = cast("Connection", acquired)
                begin = max(position, await checkpoints.begins(reading))
                found = [Entry(*row) for row in await checkpoints.leaves(reading, begin, BATCH)]
        # Whoever deletes events is found by verification; a sink goes on behind them.
        return Batch(found, (), found[-1].index + 1 if found else position)

    async def _notes(self, position: int) -> Batch:
        rows = await checkpoints.checkpoints(self._reading, after=position - 1, limit=BATCH)
        notes = [Note(row.number, row.note) for row in rows]
        return Batch((), notes, notes[-1].number + 1 if notes else position)
