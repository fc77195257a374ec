"""The table `webhook_events`: what is on its way to applications, and what was taken before.

Several Panless share the work: a row that is due is leased for a while by a process (`run`), and belongs to nobody
again once the lease is over. Times are those of the caller's clock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from proxy.state.documents import document_part, document_values
from proxy.state.pool import Connection, Pool, reading_keys, translated
from vault.documents import Document
from vault.tokens import uuid7

WEBHOOK, OPERATION = "webhook", "operation"
PREFIX = "whe"
KIND = "webhook"
"""The kind of what is sealed."""

_ADD = f"""
WITH taken AS (
  INSERT INTO webhook_events (kind, route, event, id, state, sequence, document, timeless, next_run, deliver_until,
                              received_at)
  VALUES ($1, $2, $3, $4, 'pending', $5, $10, $6, $7, $8, $9) ON CONFLICT DO NOTHING RETURNING id
), {document_part(10, "taken")}
SELECT (SELECT count(*) FROM taken) FROM keys_part WHERE changed IS NULL
"""  # noqa: S608  # a part of ours
# It may be handed on by one at a time; whoever held it and did not say how it ended is taken for gone.
_HOLD = """
INSERT INTO webhook_events (kind, route, event, id, state, timeless, next_run, deliver_until, run, held_until,
                            received_at)
VALUES ($1, $2, $3, $4, 'passing', $5, $6, $6, $4, $7, $6)
ON CONFLICT (kind, route, event) DO UPDATE SET run = excluded.run, held_until = excluded.held_until
WHERE webhook_events.state = 'passing' AND webhook_events.held_until < $6 RETURNING run
"""
_PASSED = """
UPDATE webhook_events SET state = 'passed', run = NULL, held_until = NULL, ended_at = $2, keep_until = $3
WHERE run = $1 AND state = 'passing'
"""
_LET_GO = "DELETE FROM webhook_events WHERE run = $1 AND state = 'passing'"
_ABANDONED = """
DELETE FROM webhook_events WHERE kind = $1 AND route = $2 AND event = $3 AND state = 'passing' AND held_until < $4
"""

_DUE = "SELECT DISTINCT kind, route FROM webhook_events WHERE state = 'pending' AND next_run <= $1"
_CLAIM = """
WITH due AS (
  SELECT id FROM webhook_events AS one
  WHERE kind = $1 AND route = $2 AND state = 'pending' AND next_run <= $3
    AND (held_until IS NULL OR held_until < $3) AND id <> ALL($7::uuid[])
    AND (sequence IS NULL OR NOT EXISTS (
      SELECT 1 FROM webhook_events AS before WHERE before.kind = one.kind AND before.route = one.route
        AND before.sequence = one.sequence AND before.state = 'pending' AND before.number < one.number))
  ORDER BY next_run, number LIMIT $4 FOR UPDATE SKIP LOCKED
)
UPDATE webhook_events SET run = $5, held_until = $6, attempts = attempts + 1 FROM due
WHERE webhook_events.id = due.id
RETURNING webhook_events.id, document, attempts, deliver_until
"""
_RENEW = "UPDATE webhook_events SET held_until = $2 WHERE run = $1 AND id = ANY($3::uuid[]) AND state = 'pending'"
_DELIVERED = """
UPDATE webhook_events SET state = 'delivered', status = $3, code = NULL, run = NULL, held_until = NULL, ended_at = $4,
  keep_until = $5
WHERE id = $1 AND run = $2 AND state = 'pending' RETURNING 1
"""
_AGAIN = """
UPDATE webhook_events SET status = $3, code = $4, run = NULL, held_until = NULL, next_run = $5
WHERE id = $1 AND run = $2 AND state = 'pending' RETURNING 1
"""
_DEAD = """
UPDATE webhook_events SET state = 'dead', status = $3, code = $4, run = NULL, held_until = NULL, ended_at = $5
WHERE id = $1 AND run = $2 AND state = 'pending' RETURNING 1
"""
_RELEASE = "UPDATE webhook_events SET run = NULL, held_until = NULL WHERE run = $1 AND state = 'pending'"


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event for an application. `key`: what its sender knows it by. `sequence`: of those with the same one, the next
    waits for the one before. `route`, of a kind, says where it goes and how it is signed. `timeless`: it could come
    again for ever, so it is remembered for good.
    """

    kind: str
    route: str
    key: str
    document: Document
    received_at: datetime
    deliver_until: datetime
    sequence: str | None = None
    timeless: bool = False
    id: UUID = field(default_factory=uuid7)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A leased event. `attempts` counts this one."""

    id: UUID
    document: UUID
    attempts: int
    deliver_until: datetime


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended: the application's status, if it gave one, and a code if it did not take the event."""

    status: int | None
    code: str | None


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


class WebhookEvents:
    """Everything here raises a StoreError."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    async def state_of(self, kind: str, route: str, key: str) -> str | None:
        """Return the state of an event that came before; None if it is new."""
        sql = "SELECT state FROM webhook_events WHERE kind = $1 AND route = $2 AND event = $3"
        with translated():
            state: str | None = await self.pool.fetchval(sql, kind, route, digest(key))
        return state

    async def add(self, new: NewEvent, connection: Connection | None = None) -> bool:
        """Store an event with its document, in the connection's transaction if one is given.

        Returns whether it is new; raises KeysChanged if the document has to be sealed once more.
        """
        sequence = None if new.sequence is None else digest(new.sequence)
        values = (new.kind, new.route, digest(new.key), new.id, sequence, new.timeless)
        times = (new.received_at, new.deliver_until, new.received_at)
        with reading_keys():
            added = await (connection or self.pool).fetchval(_ADD, *values, *times, *document_values(new.document))
        return bool(added)

    async def hold(
        self, kind: str, route: str, key: str, *, timeless: bool, now: datetime, until: datetime
    ) -> UUID | None:
        """Hold an event that is to be passed on; None if it was taken before, or is held by another one."""
        with translated():
            held: UUID | None = await self.pool.fetchval(_HOLD, kind, route, digest(key), uuid7(), timeless, now, until)
        return held

    async def passed(self, held: UUID, now: datetime, keep_until: datetime) -> None:
        with translated():
            await self.pool.execute(_PASSED, held, now, keep_until)

    async def let_go(self, held: UUID) -> None:
        """Forget an event that was not passed on: it may come again."""
        with translated():
            await self.pool.execute(_LET_GO, held)

    async def forget_abandoned(self, kind: str, route: str, key: str, now: datetime) -> None:
        """Forget an event that somebody began to pass on, and never ended."""
        with translated():
            await self.pool.execute(_ABANDONED, kind, route, digest(key), now)

    async def due(self, now: datetime) -> list[tuple[str, str]]:
        """Return kind and route of what is due."""
        with translated():
            return [(row[0], row[1]) for row in await self.pool.fetch(_DUE, now)]

    async def claim(
        self, to: tuple[str, str], run: UUID, now: datetime, until: datetime, *, limit: int, but: Sequence[UUID]
    ) -> list[Claimed]:
        """Lease events of a kind and route that are due, and whose turn it is; not those in `but`."""
        with translated():
            rows = await self.pool.fetch(_CLAIM, *to, now, limit, run, until, but)
        return [Claimed(*row) for row in rows]

    async def renew(self, run: UUID, until: datetime, events: Sequence[UUID]) -> None:
        with translated():
            await self.pool.execute(_RENEW, run, until, events)

    async def release(self, run: UUID) -> None:
        """End all leases of a process that stops."""
        with translated():
            await self.pool.execute(_RELEASE, run)

    async def delivered(self, event: UUID, run: UUID, outcome: Outcome, now: datetime, keep_until: datetime) -> bool:
        """Say that the application has it; False if the lease was lost. So do the next two."""
        return await self._end(_DELIVERED, event, run, outcome.status, now, keep_until)

    async def again(self, event: UUID, run: UUID, outcome: Outcome, next_run: datetime) -> bool:
        return await self._end(_AGAIN, event, run, outcome.status, outcome.code, next_run)

    async def dead(self, event: UUID, run: UUID, outcome: Outcome, now: datetime) -> bool:
        return await self._end(_DEAD, event, run, outcome.status, outcome.code, now)

    async def _end(self, sql: str, *values: object) -> bool:
        with translated():
            return bool(await self.pool.fetchval(sql, *values))
