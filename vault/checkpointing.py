"""Checkpoints: every few seconds, and at the end, one process signs what the log has become.

Rules:
1. One process at a time, and none waits: whoever does not get the lock has nothing to do.
2. A chain is covered without gaps. What stands behind a gap is not signed; it is counted and logged until it is mended.
3. What is signed follows from the newest checkpoint and from new leaves. If that checkpoint is not what it says, or an
   older one than this process has made, nothing is signed any more: somebody has changed it.
4. A process whose key provider is away makes none, and goes on when it is back. No request waits for any of this.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby

import structlog

from vault.audit.checkpoint import Checkpoint, CheckpointRejected, checkpoint_text, read_checkpoint
from vault.audit.tree import Tree
from vault.errors import AuditLogChanged, PanlessError
from vault.keys.keyring import Keyring
from vault.keys.signing import signed
from vault.store import checkpoints
from vault.store.checkpoints import CheckpointRow, Range, Uncovered
from vault.store.database import Connection, Pool

PORTION = 10_000
LAST_SECONDS = 10.0
AGAIN_SECONDS = 0.05  # processes that end together take turns, so that the end of each is covered
ORIGIN = "panless/audit/"

log = structlog.get_logger()


@dataclass(slots=True)
class CheckpointStatistics:
    """`gaps`: chains that cannot be covered; `size`, `at`: of the newest checkpoint that this process knows of."""

    made: int = 0
    failures: int = 0
    gaps: int = 0
    size: int = 0
    at: datetime | None = None


class Checkpointing:
    """Makes the checkpoints of one process."""

    def __init__(self, keyring: Keyring, pool: Pool, every: timedelta) -> None:
        self._keyring = keyring
        self._pool = pool
        self._every = every.total_seconds()
        self._going_on: asyncio.Task[None] | None = None
        self._failed = ""
        self.statistics = CheckpointStatistics()

    def start(self) -> None:
        self._going_on = asyncio.create_task(self._go_on())

    async def stop(self) -> None:
        """Make a last checkpoint, if that can be done."""
        if self._going_on is None:
            return
        self._going_on.cancel()
        await asyncio.gather(self._going_on, return_exceptions=True)
        self._going_on = None
        try:
            async with asyncio.timeout(LAST_SECONDS):
                while not await self._try():  # noqa: ASYNC110  # the lock is in the database
                    await asyncio.sleep(AGAIN_SECONDS)
        except TimeoutError:  # whoever starts next covers the rest
            log.warning("checkpoint_not_made", code="timeout")

    async def make(self) -> int | None:
        """Cover all events; return the size of the newest checkpoint, None if another process is at it.

        Raises KeyUnavailable, StoreError or AuditLogChanged.
        """
        while (done := await self._portion()) is not None:
            if not done:
                return self.statistics.size
        return None

    async def _go_on(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            await self._try()

    async def _try(self) -> bool:
        """Make a checkpoint if that can be done; return False if another process is at it."""
        alone = True
        try:
            alone = await self.make() is not None
            self._failed = ""
        except PanlessError as error:
            self.statistics.failures += 1
            if error.code != self._failed:  # a provider may be away for hours
                log.warning("checkpoint_not_made", code=error.code)
            self._failed = error.code
        except Exception as error:  # the next one may be made; the age of the newest is a metric
            self.statistics.failures += 1
            log.error("checkpoint_not_made", exc_info=error)
        return alone

    async def _portion(self) -> bool | None:
        """Make one checkpoint over at most PORTION events; return whether there were any."""
        async with checkpoints.alone(self._pool) as connection:
            if connection is None:
                return None
            newest = await checkpoints.newest(connection)
            tree = self._checked(newest)
            ranges = await self._appended(connection, tree)
            if ranges:
                await self._sign(connection, tree, ranges, newest.number + 1 if newest else 1)
                self.statistics.made += 1
                self.statistics.at = datetime.now(UTC)
        return bool(ranges)

    def _checked(self, newest: CheckpointRow | None) -> Tree:
        """Return the tree to go on from; raises AuditLogChanged."""
        tree = Tree()
        if newest is not None:
            try:
                tree, known = newest.tree(), read_checkpoint(newest.note)
            except ValueError:
                raise AuditLogChanged(size=newest.size) from None
            if (known.size, known.root) != (tree.size, tree.root()):
                raise AuditLogChanged(size=newest.size)
            self.statistics.at = newest.at
        if tree.size < self.statistics.size:
            raise AuditLogChanged(size=self.statistics.size)
        self.statistics.size = tree.size
        return tree

    async def _appended(self, connection: Connection, tree: Tree) -> list[Range]:
        """Append the leaves of one portion; return where they are."""
        found = await checkpoints.uncovered(connection, PORTION)
        broken = []
        while found:
            ranges = [
                made for _, events in groupby(found, lambda each: each.chain) if (made := _append(tree, list(events)))
            ]
            broken += sorted({each.chain for each in found if not _is_covered(each, ranges)})
            if ranges:
                break
            found = await checkpoints.uncovered(connection, PORTION, broken)
        else:
            ranges = []
        if len(broken) > self.statistics.gaps:
            log.error("audit_gap", chains=[str(chain) for chain in broken])
        self.statistics.gaps = len(broken)
        return ranges

    async def _sign(self, connection: Connection, tree: Tree, ranges: Sequence[Range], number: int) -> None:
        at = datetime.now(UTC)
        origin = f"{ORIGIN}{await checkpoints.log_id(connection)}"
        note = await signed(self._keyring, checkpoint_text(origin, tree, at))
        await checkpoints.add(connection, CheckpointRow(number, tree.size, b"".join(tree.peaks), note, at), ranges)


def _append(tree: Tree, events: Sequence[Uncovered]) -> Range | None:
    """Append what follows on the covered part of one chain without a gap."""
    start, first = tree.size, events[0].covered + 1
    for expected, event in enumerate(events, first):
        if event.seq != expected:
            break
        tree.append(event.hash)
    count = tree.size - start
    return Range(start, events[0].chain, first, first + count - 1) if count else None


def _is_covered(event: Uncovered, ranges: Sequence[Range]) -> bool:
    return any(each.chain == event.chain and each.first <= event.seq <= each.last for each in ranges)


async def newest_checkpoint(executor: Pool | Connection) -> Checkpoint | None:
    """Return the newest checkpoint; raises AuditLogChanged if what is stored is none."""
    row = await checkpoints.newest(executor)
    try:
        return read_checkpoint(row.note) if row else None
    except CheckpointRejected:
        raise AuditLogChanged(size=row.size if row else 0) from None
