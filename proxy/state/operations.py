"""The table `operations`: the queue of asynchronous payments. PostgreSQL's SKIP LOCKED shares it among processes.

What of one customer's is earlier is sent first: an operation waits while one of its sequence before it is under way.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from proxy.state.documents import document_part, document_values
from proxy.state.idempotency import HELD, Key
from proxy.state.pool import Connection, Pool, reading_keys, translated
from vault.documents import Document

State = Literal["pending", "running", "succeeded", "failed", "unknown", "cancelled", "dead"]

COLUMNS = """id, tenant, app, route, state, key, app_key, sequence, request, attempts, reached, coalesce(run, id),
status, code, answer, request_id, created_at, begun_at, updated_at, ended_at"""


@dataclass(frozen=True, slots=True)
class Operation:
    """A row. `key` goes to the gateway, which honours it; `reached`: an attempt may have reached the gateway."""

    id: UUID
    tenant: str
    app: str
    route: str
    state: State
    key: str | None
    app_key: str | None
    sequence: str | None
    request: UUID
    attempts: int
    reached: bool
    run: UUID
    status: int | None
    code: str | None
    answer: UUID | None
    request_id: str
    created_at: datetime
    begun_at: datetime
    updated_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewOperation:
    """What is to be sent later. `request` is the sealed request; `sequence`: what it waits for its turn in."""

    id: UUID
    app: str
    route: str
    key: str | None
    app_key: str | None
    sequence: str | None
    request: Document
    request_id: str


@dataclass(frozen=True, slots=True)
class End:
    """How an operation ended, with the gateway's answer where there is one."""

    state: State
    status: int | None = None
    code: str | None = None
    answer: Document | None = None


_ENQUEUED = """
INSERT INTO operations (id, tenant, app, route, state, key, sequence, request, next_run, request_id, app_key,
                        created_at, begun_at, updated_at)
SELECT $7::uuid, $2, $8, $9, 'pending', $10, $11, $1, clock_timestamp(), $12, $13, clock_timestamp(),
       clock_timestamp(), clock_timestamp()
"""
_ENQUEUE = f"""
WITH {document_part(1)}, operation AS ({_ENQUEUED} RETURNING 1)
SELECT changed, (SELECT count(*) FROM operation) FROM keys_part
"""  # noqa: S608  # constants
# The key's row and the operation are one: both are there, or neither.
_ENQUEUE_ONCE = f"""
WITH claimed AS (
  INSERT INTO idempotency (app, route, key, tenant, digest, state, run, protected, request_id, operation, created_at,
                           updated_at, expires_at)
  VALUES ($8, $9, $13, $2, $14, 'done', $7, $10::text IS NOT NULL, $12, $7, clock_timestamp(), clock_timestamp(),
          clock_timestamp() + $17::interval)
  ON CONFLICT DO NOTHING RETURNING 1
), digest AS (
  INSERT INTO documents (id, tenant, kind, data_key, sealed)
  SELECT $14::uuid, $2, 'digest', $15::uuid, $16::bytea FROM claimed
), {document_part(1, "claimed")}, operation AS ({_ENQUEUED} FROM claimed RETURNING 1)
SELECT changed, (SELECT count(*) FROM operation) FROM keys_part
"""  # noqa: S608  # constants
# A run comes of the claim that it belongs to, so that a claim whose answer was lost can be taken back.
# Each route has its own room: one whose gateway hangs keeps no other waiting.
_CLAIM = f"""
UPDATE operations SET state = 'running', run = md5($4::text || id)::uuid, held_until = clock_timestamp() + $1::interval,
                      attempts = attempts + 1, updated_at = clock_timestamp()
WHERE id IN (
  SELECT due.id FROM unnest($2::text[], $3::integer[]) AS free (route, most) CROSS JOIN LATERAL (
    SELECT id FROM operations AS mine
    WHERE route = free.route AND state = 'pending' AND next_run <= clock_timestamp() AND NOT EXISTS (
      SELECT 1 FROM operations AS earlier
      WHERE earlier.tenant = mine.tenant AND earlier.route = mine.route AND earlier.sequence = mine.sequence
        AND earlier.number < mine.number AND earlier.state IN ('pending', 'running'))
    ORDER BY next_run, number LIMIT free.most FOR UPDATE SKIP LOCKED) AS due)
RETURNING {COLUMNS}
"""  # noqa: S608  # constants
_UNCLAIM = """
UPDATE operations SET state = 'pending', attempts = attempts - 1, held_until = NULL
WHERE state = 'running' AND run = md5($1::text || id)::uuid
"""
_END = """
WITH done AS (
  UPDATE operations
  SET state = $3, status = $4, code = $5, answer = $6, held_until = NULL, updated_at = clock_timestamp(),
      ended_at = clock_timestamp(), reached = reached OR $4::integer IS NOT NULL OR $3 = 'unknown'
  WHERE id = $1 AND run = $2 AND state IN ('running', 'unknown') RETURNING 1
)"""
_END_WITH = f"""
{_END}, {document_part(7, "done")} SELECT changed, (SELECT count(*) FROM done) FROM keys_part
"""  # noqa: S608  # constants
_END_WITHOUT = f"{_END} SELECT NULL, count(*) FROM done"  # noqa: S608  # constants
_AGAIN = """
UPDATE operations
SET state = 'pending', next_run = clock_timestamp() + $3::interval, reached = reached OR $4, code = $5,
    held_until = NULL, updated_at = clock_timestamp()
WHERE id = $1 AND run = $2 AND state = 'running'
"""
_HOLD = """
UPDATE operations SET held_until = clock_timestamp() + $2::interval WHERE run = ANY($1::uuid[]) AND state = 'running'
"""
# The run stays: a process that was only slow, or cut off, may still say how it ended.
_ABANDONED = f"""
UPDATE operations SET held_until = clock_timestamp() + $1::interval, reached = true
WHERE id IN (SELECT id FROM operations WHERE state = 'running' AND held_until < clock_timestamp()
             AND NOT run = ANY($3::uuid[]) LIMIT $2 FOR UPDATE SKIP LOCKED)
RETURNING {COLUMNS}
"""  # noqa: S608  # constants
_CANCEL = """
UPDATE operations SET state = 'cancelled', updated_at = clock_timestamp(), ended_at = clock_timestamp()
WHERE id = $1 AND state = 'pending' AND NOT reached RETURNING 1
"""
_PURGE = """
WITH gone AS (
  DELETE FROM operations WHERE ended_at < clock_timestamp() - $1::interval AND state <> 'unknown'
  RETURNING request, answer)
DELETE FROM documents USING gone WHERE documents.id IN (gone.request, gone.answer)
"""
_COUNTS = """
SELECT state, count(*), extract(epoch FROM clock_timestamp() - min(created_at))::float8
FROM operations WHERE state IN ('pending', 'running') GROUP BY 1
"""


class Queue:
    """What a process does with the table. Everything raises a StoreError. `added` is called when there is a new one."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.added: Callable[[], None] = lambda: None

    async def enqueue(
        self, new: NewOperation, key: Key | None = None, digest: Document | None = None, keep: timedelta = HELD
    ) -> bool:
        """Add an operation, with the row of the application's idempotency key where there is one, in one commit.

        Returns whether it was added: not if there is a row of that key already. Raises KeysChanged.
        """
        about = (new.id, new.app, new.route, new.key, new.sequence, new.request_id, new.app_key)
        values = (*document_values(new.request), *about)
        with reading_keys():
            if key is None or digest is None:
                row = await self._pool.fetchrow(_ENQUEUE, *values)
            else:
                of_key = (digest.id, digest.data_key, digest.sealed, keep)
                row = await self._pool.fetchrow(_ENQUEUE_ONCE, *values, *of_key)
        self.added()
        return bool(row and row[1])

    async def claim(self, claim: UUID, free: Mapping[str, int]) -> list[Operation]:
        """Take operations whose turn it is, at most so many of each route; they are held by this process."""
        with translated():
            rows = await self._pool.fetch(_CLAIM, HELD, list(free), list(free.values()), str(claim))
        return [Operation(*row) for row in rows]

    async def unclaim(self, claim: UUID) -> None:
        """Put back what was taken by a claim whose answer did not come: nothing of it was sent."""
        with translated():
            await self._pool.execute(_UNCLAIM, str(claim))

    async def abandoned(self, most: int, held: Collection[UUID]) -> list[Operation]:
        """Take over operations that were running in a process that is gone: whether they were sent is not known.

        `held` are the runs of this process: it was only unable to say that it holds them.
        """
        with translated():
            rows = await self._pool.fetch(_ABANDONED, HELD, most, list(held))
        return [Operation(*row) for row in rows]

    async def end(self, operation: Operation, end: End, connection: Connection | None = None) -> bool:
        """Write how an operation ended; return whether it was this run's to say. Raises KeysChanged."""
        executor = connection or self._pool
        answer = end.answer
        common = (operation.id, operation.run, end.state, end.status, end.code, answer.id if answer else None)
        with reading_keys():
            if answer is None:
                row = await executor.fetchrow(_END_WITHOUT, *common)
            else:
                row = await executor.fetchrow(_END_WITH, *common, *document_values(answer))
        return bool(row and row[1])

    async def again(self, operation: Operation, after: timedelta, *, reached: bool, code: str) -> None:
        """Put an operation back into the queue; `reached`: the gateway may have got it."""
        with translated():
            await self._pool.execute(_AGAIN, operation.id, operation.run, after, reached, code)

    async def hold(self, runs: Sequence[UUID]) -> None:
        """Say that these are still under way."""
        with translated():
            await self._pool.execute(_HOLD, runs, HELD)

    async def find(self, operation: UUID, executor: Connection | None = None) -> Operation | None:
        with translated():
            row = await (executor or self._pool).fetchrow(
                f"SELECT {COLUMNS} FROM operations WHERE id = $1",  # noqa: S608  # constant columns
                operation,
            )
        return Operation(*row) if row is not None else None

    async def cancel(self, operation: UUID) -> bool:
        """Cancel one that was never sent; return whether it was."""
        with translated():
            return await self._pool.fetchval(_CANCEL, operation) is not None

    async def purge(self, keep: timedelta) -> None:
        """Forget what ended long ago; what is unknown stays until somebody settles it."""
        with translated():
            await self._pool.execute(_PURGE, keep)

    async def counts(self) -> dict[str, tuple[int, float]]:
        """Return how many are pending and running, and the age of the oldest in seconds."""
        with translated():
            return {row[0]: (row[1], row[2] or 0.0) for row in await self._pool.fetch(_COUNTS)}
