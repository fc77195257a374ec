"""The tables `audit_log`, `audit_checkpoints`, `audit_ranges`: which events are which leaves, and what was signed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import cast
from uuid import UUID

from vault.audit.tree import HASH_BYTES, Tree
from vault.audit.verification import StoredEvent
from vault.store.audit import ROW, stored_event
from vault.store.database import Connection, Pool, translated

_LOCK = 0x50616E6C6C6F67  # "Panllog"
# Every chain, found by one step in the index; of each, what stands behind its newest range. One statement is one
# snapshot: an event that was committed after another one is never covered without it, as long as there is room.
_UNCOVERED = """
WITH RECURSIVE chains (chain) AS (
  (SELECT chain FROM audit_events ORDER BY chain LIMIT 1)
  UNION ALL
  SELECT (SELECT later.chain FROM audit_events later WHERE later.chain > chains.chain ORDER BY chain LIMIT 1)
  FROM chains WHERE chain IS NOT NULL
)
SELECT new.chain, covered.last, new.seq, new.hash
FROM chains
CROSS JOIN LATERAL (
  SELECT coalesce((SELECT last FROM audit_ranges WHERE chain = chains.chain ORDER BY last DESC LIMIT 1), 0) AS last
) covered
CROSS JOIN LATERAL (
  SELECT chain, seq, hash FROM audit_events WHERE chain = chains.chain AND seq > covered.last ORDER BY seq LIMIT $1
) new
WHERE chains.chain <> ALL($2::uuid[])
ORDER BY new.chain, new.seq LIMIT $1
"""
_NEWEST = "SELECT number, size, peaks, note, at FROM audit_checkpoints ORDER BY number DESC LIMIT 1"
_CHECKPOINTS = """
SELECT number, size, peaks, note, at FROM audit_checkpoints
WHERE size >= $1 AND number > $2 ORDER BY number LIMIT $3
"""
_ADD = "INSERT INTO audit_checkpoints (number, size, peaks, note, at) VALUES ($1, $2, $3, $4, $5)"
_ADD_RANGES = """
INSERT INTO audit_ranges (start, chain, first, last, checkpoint)
SELECT start, chain, first, last, $5 FROM unnest($1::bigint[], $2::uuid[], $3::bigint[], $4::bigint[])
  AS new (start, chain, first, last)
"""
_IN_TREE_ORDER = f"""
SELECT range.start + event.seq - range.first AS index, {ROW}
FROM audit_ranges range
JOIN audit_events event ON event.chain = range.chain AND event.seq BETWEEN range.first AND range.last
WHERE range.start >= $1 AND range.start < $2
ORDER BY range.start, event.seq
"""  # noqa: S608  # constant columns
# A range counts only where its events are read in the order of the tree.
_NOT_COVERED = f"""
SELECT {ROW} FROM audit_events event
WHERE NOT EXISTS (SELECT FROM audit_ranges range
                  WHERE range.chain = event.chain AND range.last >= event.seq AND range.first <= event.seq
                    AND range.start >= $1 AND range.start < $2)
ORDER BY event.chain, event.seq
"""  # noqa: S608  # constant columns
_OUTSIDE = """
SELECT range.start, event.chain, min(event.seq), max(event.seq) FROM audit_ranges range
JOIN audit_events event ON event.chain = range.chain AND event.seq BETWEEN range.first AND range.last
WHERE range.start < $1 OR range.start >= $2 GROUP BY 1, 2 ORDER BY 1
"""
END = 2**62  # behind every leaf


@dataclass(frozen=True, slots=True)
class CheckpointRow:
    """A checkpoint as it is stored: the signed note, and the tree's peaks at its size."""

    number: int
    size: int
    peaks: bytes
    note: str
    at: datetime

    def tree(self) -> Tree:
        """Raises ValueError if the peaks cannot be those of this size."""
        return tree_of(self.size, self.peaks)


@dataclass(frozen=True, slots=True)
class Uncovered:
    """An event that is in no checkpoint yet; `covered` is the last number of its chain that is."""

    chain: UUID
    covered: int
    seq: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Range:
    """Events `first` to `last` of a chain are the leaves from `start` on."""

    start: int
    chain: UUID
    first: int
    last: int


def tree_of(size: int, peaks: bytes) -> Tree:
    """Raises ValueError."""
    return Tree(size, [peaks[at : at + HASH_BYTES] for at in range(0, len(peaks), HASH_BYTES)])


@asynccontextmanager
async def alone(pool: Pool) -> AsyncIterator[Connection | None]:
    """A transaction of whoever makes the next checkpoint; None if another process is at it."""
    with translated():
        async with pool.acquire() as acquired, acquired.transaction():
            connection = cast("Connection", acquired)
            locked = await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", _LOCK)
            yield connection if locked else None


async def log_id(executor: Pool | Connection) -> UUID:
    with translated():
        found: UUID = await executor.fetchval("SELECT id FROM audit_log")
        return found


async def begins(executor: Pool | Connection) -> int:
    """Return the index of the first leaf whose event is here still."""
    with translated():
        return int(await executor.fetchval("SELECT begins FROM audit_log"))


async def newest(executor: Pool | Connection) -> CheckpointRow | None:
    with translated():
        row = await executor.fetchrow(_NEWEST)
    return CheckpointRow(*row) if row else None


async def uncovered(connection: Connection, limit: int, without: Sequence[UUID] = ()) -> list[Uncovered]:
    """Return events that are in no checkpoint, by chain and number, at most `limit`."""
    with translated():
        return [Uncovered(*row) for row in await connection.fetch(_UNCOVERED, limit, without)]


async def add(connection: Connection, row: CheckpointRow, ranges: Sequence[Range]) -> None:
    columns = [[getattr(each, name) for each in ranges] for name in ("start", "chain", "first", "last")]
    with translated():
        await connection.execute(_ADD, row.number, row.size, row.peaks, row.note, row.at)
        await connection.execute(_ADD_RANGES, *columns, row.number)


async def checkpoints(
    executor: Pool | Connection, *, size: int = 0, after: int = 0, limit: int | None = None
) -> list[CheckpointRow]:
    """Return the checkpoints of at least this size and after this number, oldest first."""
    with translated():
        return [CheckpointRow(*row) for row in await executor.fetch(_CHECKPOINTS, size, after, limit)]


async def in_tree_order(connection: Connection, begin: int, end: int) -> AsyncIterator[tuple[int, StoredEvent]]:
    """Yield index and event of the leaves from the checkpoint's size `begin` to that of another one, which is `end`."""
    with translated():
        async for row in connection.cursor(_IN_TREE_ORDER, begin, end, prefetch=5000):
            yield row["index"], stored_event(row)


async def not_covered(connection: Connection, begins: int) -> AsyncIterator[StoredEvent]:
    """Yield the events that are in no checkpoint of a log that begins at this leaf, by chain and number."""
    with translated():
        async for row in connection.cursor(_NOT_COVERED, begins, END, prefetch=5000):
            yield stored_event(row)


async def outside(connection: Connection, begins: int) -> list[Range]:
    """Return which events are said to be leaves that the log cannot have: no checkpoint will ever cover them."""
    with translated():
        return [Range(*row) for row in await connection.fetch(_OUTSIDE, begins, END)]


async def leaves(connection: Connection, begin: int, count: int) -> list[tuple[int, bytes]]:
    """Return index and body of the leaves from `begin` on, at most about `count`, and at least one if there is one."""
    query = """
    SELECT part.start + event.seq - part.first AS index, event.body
    FROM (SELECT * FROM audit_ranges WHERE start > $1 - 10000 AND start + last - first >= $1
          ORDER BY start LIMIT $2) part
    JOIN audit_events event ON event.chain = part.chain
     AND event.seq BETWEEN greatest(part.first, part.first + $1 - part.start) AND part.last
    ORDER BY part.start, event.seq LIMIT $2
    """
    with translated():
        return [(row[0], row[1]) for row in await connection.fetch(query, begin, count)]


async def leaf_hashes(connection: Connection, begin: int, end: int) -> list[bytes]:
    """Return the leaves between the sizes of two checkpoints, in order."""
    query = """
    SELECT event.hash FROM audit_ranges range
    JOIN audit_events event ON event.chain = range.chain AND event.seq BETWEEN range.first AND range.last
    WHERE range.start >= $1 AND range.start < $2 ORDER BY range.start, event.seq
    """
    with translated():
        return [row["hash"] for row in await connection.fetch(query, begin, end)]


async def find_event(connection: Connection, chain: UUID, seq: int) -> tuple[int | None, bytes] | None:
    """Return an event's index, None if no checkpoint covers it, and its body."""
    query = """
    SELECT (SELECT start + $2 - first FROM audit_ranges WHERE chain = $1 AND last >= $2 AND first <= $2), body
    FROM audit_events WHERE chain = $1 AND seq = $2
    """
    with translated():
        row = await connection.fetchrow(query, chain, seq)
    return (row[0], row[1]) if row else None


async def events_of_request(connection: Connection, request_id: str) -> list[tuple[UUID, int]]:
    query = "SELECT chain, seq FROM audit_events WHERE request_id = $1 ORDER BY at, chain, seq"
    with translated():
        return [(row[0], row[1]) for row in await connection.fetch(query, request_id)]
