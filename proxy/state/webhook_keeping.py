"""What is done to the table `webhook_events` from time to time, and what operators ask of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from proxy.state.pool import Connection, Pool, translated
from vault.errors import PanlessError

PURGE_LIMIT = 500
ABANDONED = timedelta(days=1)

_PURGE = """
WITH due AS (
  SELECT id, document, timeless FROM webhook_events WHERE keep_until <= $1 ORDER BY keep_until LIMIT $2
  FOR UPDATE SKIP LOCKED
), papers AS (
  DELETE FROM documents USING due WHERE documents.id = due.document
), forgotten AS (
  DELETE FROM webhook_events USING due WHERE webhook_events.id = due.id AND NOT due.timeless
), marked AS (
  UPDATE webhook_events SET document = NULL, keep_until = NULL FROM due
  WHERE webhook_events.id = due.id AND due.timeless
)
SELECT count(*) FROM due
"""
_ABANDONED = "DELETE FROM webhook_events WHERE state = 'passing' AND held_until < $1"
# Of what no route delivers any more: its own time is up, and nobody is at it.
_EXPIRE = """
UPDATE webhook_events SET state = 'dead', code = coalesce(code, 'not_delivered'), ended_at = $1, run = NULL,
  held_until = NULL
WHERE state = 'pending' AND deliver_until < $2 AND (held_until IS NULL OR held_until < $1) RETURNING kind, route
"""
_PENDING = """
SELECT kind, route, count(*), min(received_at) FROM webhook_events WHERE state = 'pending' GROUP BY kind, route
"""
_LOOK = """
SELECT id, kind, route, state, attempts, status, code, received_at, next_run, ended_at, deliver_until,
       document IS NOT NULL AS kept
FROM webhook_events
WHERE ($1::text IS NULL OR route = $1) AND ($2::text IS NULL OR state = $2) AND ($3::uuid IS NULL OR id = $3)
ORDER BY number DESC LIMIT $4
"""
_REPLAY = """
UPDATE webhook_events SET state = 'pending', attempts = 0, next_run = $2, deliver_until = $3, run = NULL,
  held_until = NULL, ended_at = NULL, keep_until = NULL
WHERE id = ANY($1::uuid[]) AND state IN ('delivered', 'dead') AND document IS NOT NULL RETURNING id
"""


class EventsNotFound(PanlessError):
    code = "events_not_found"
    message = "There is nothing that could be done with {what}."
    remedy = "See `panless webhooks list`: only those that are delivered or dead, and still kept, can be replayed."


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many events of a kind and route wait, and since when the oldest does."""

    kind: str
    route: str
    count: int
    since: datetime


@dataclass(frozen=True, slots=True)
class Listed:
    """An event as operators see it. `kept`: whether its payload is still there, so that it can be sent again."""

    id: UUID
    kind: str
    route: str
    state: str
    attempts: int
    status: int | None
    code: str | None
    received_at: datetime
    next_run: datetime
    ended_at: datetime | None
    deliver_until: datetime
    kept: bool


class WebhookKeeping:
    """Everything here raises a StoreError."""

    def __init__(self, pool: Pool | Connection) -> None:
        self._pool = pool

    async def purge(self, now: datetime) -> int:
        """Delete some of what has been kept long enough; return how many."""
        with translated():
            await self._pool.execute(_ABANDONED, now - ABANDONED)
            return int(await self._pool.fetchval(_PURGE, now, PURGE_LIMIT))

    async def expire(self, now: datetime, grace: timedelta) -> list[tuple[str, str]]:
        """End what nobody delivered until its time was up, and a while longer; return kind and route of each."""
        with translated():
            return [(row[0], row[1]) for row in await self._pool.fetch(_EXPIRE, now, now - grace)]

    async def pending(self) -> list[Waiting]:
        with translated():
            return [Waiting(*row) for row in await self._pool.fetch(_PENDING)]

    async def look(
        self, *, route: str | None = None, state: str | None = None, event: UUID | None = None, limit: int = 100
    ) -> list[Listed]:
        """Return events, the newest first."""
        with translated():
            return [Listed(*row) for row in await self._pool.fetch(_LOOK, route, state, event, limit)]

    async def replay(self, events: Sequence[UUID], now: datetime, deliver_until: datetime) -> int:
        """Let events that ended be delivered once more; return how many were."""
        with translated():
            return len(await self._pool.fetch(_REPLAY, events, now, deliver_until))
