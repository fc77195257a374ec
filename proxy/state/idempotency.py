"""The table `idempotency`: one row for each idempotency key of an application on a route.

A run holds its row for HELD and says again and again that it does; whoever finds one that is not held any more knows
that its process is gone. What a run writes counts only while the row is still its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal
from uuid import UUID

from proxy.state.documents import document_part, document_values
from proxy.state.pool import Pool, reading_keys, translated
from vault.documents import Document
from vault.tokens import uuid7

HELD = timedelta(seconds=15)
UNKNOWN_KEPT = timedelta(days=30)

State = Literal["running", "repeatable", "unknown", "done", "settled"]


@dataclass(frozen=True, slots=True)
class Key:
    """An idempotency key, and whose it is on which route."""

    app: str
    route: str
    text: str


@dataclass(frozen=True, slots=True)
class KeyRow:
    """What is known of a key. `digest` is the sealed one of its first request."""

    run: UUID
    state: State
    request_id: str
    protected: bool
    abandoned: bool
    expired: bool
    answer: UUID | None
    operation: UUID | None
    digest: Document


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended. `code`: of the error that the application got, where it got one."""

    state: State
    status: int | None = None
    code: str | None = None
    answer: Document | None = None


_CLAIM = f"""
WITH claimed AS (
  INSERT INTO idempotency (app, route, key, tenant, digest, state, run, protected, held_until, request_id, created_at,
                           updated_at, expires_at)
  VALUES ($7, $8, $9, $2, $1, 'running', $10, $11, clock_timestamp() + $12::interval, $13, clock_timestamp(),
          clock_timestamp(), clock_timestamp() + $14::interval)
  ON CONFLICT DO NOTHING RETURNING 1
), {document_part(1, "claimed")}
SELECT changed, (SELECT count(*) FROM claimed) FROM keys_part
"""  # noqa: S608  # constants
# A key is not forgotten while its operation may still be sent, or may have been.
_EXPIRED = """
expires_at < clock_timestamp() AND NOT EXISTS (
  SELECT 1 FROM operations WHERE operations.id = operation AND operations.state IN ('pending', 'running', 'unknown'))
"""
_FIND = f"""
SELECT run, state, request_id, protected, coalesce(held_until < clock_timestamp(), false) AND state = 'running',
       {_EXPIRED}, answer, operation,
       documents.id, documents.tenant, documents.kind, documents.data_key, documents.sealed
FROM idempotency JOIN documents ON documents.id = digest WHERE app = $1 AND route = $2 AND key = $3
"""  # noqa: S608  # constants
_TAKE_OVER = """
UPDATE idempotency SET run = $2, state = 'running', held_until = clock_timestamp() + $3::interval, request_id = $4,
                       updated_at = clock_timestamp()
WHERE run = $1 AND state = 'repeatable' RETURNING 1
"""
_FINISH = """
WITH done AS (
  UPDATE idempotency
  SET state = $2, status = $3, code = $4, held_until = NULL, updated_at = clock_timestamp(), answer = $5,
      expires_at = CASE WHEN $2 = 'unknown' THEN clock_timestamp() + $6::interval ELSE expires_at END
  WHERE run = $1 AND state IN ('running', 'repeatable', 'unknown') RETURNING 1
)"""
_FINISH_WITH = f"{_FINISH}, {document_part(7, 'done')} SELECT changed FROM keys_part"  # noqa: S608  # constants
_FINISH_WITHOUT = f"{_FINISH} SELECT count(*) FROM done"  # noqa: S608  # constants
_DROP = """
WITH gone AS (DELETE FROM idempotency WHERE {} RETURNING digest, answer)
DELETE FROM documents USING gone WHERE documents.id IN (gone.digest, gone.answer)
"""
# Also where its time was up meanwhile, unless another has taken over: then it has another run.
_RELEASE = _DROP.format("run = $1 AND state IN ('running', 'repeatable', 'unknown')")
_EXPIRE = _DROP.format(f"run = $1 AND {_EXPIRED}")
_PURGE = _DROP.format(f"state <> 'running' AND {_EXPIRED}")
_HOLD = """
UPDATE idempotency SET held_until = clock_timestamp() + $2::interval WHERE run = ANY($1::uuid[]) AND state = 'running'
"""
_SWEEP = """
UPDATE idempotency
SET state = CASE WHEN protected THEN 'repeatable' ELSE 'unknown' END, held_until = NULL,
    expires_at = CASE WHEN protected THEN expires_at ELSE clock_timestamp() + $1::interval END
WHERE state = 'running' AND held_until < clock_timestamp()
"""


class Keys:
    """What a process does with the table. Everything raises a StoreError."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def claim(
        self, key: Key, run: UUID, digest: Document, *, protected: bool, request_id: str, keep: timedelta
    ) -> bool:
        """Make a key's row for a run; return whether there was none. Raises KeysChanged.

        `protected`: the gateway gets the key and honours it.
        """
        with reading_keys():
            row = await self._pool.fetchrow(
                _CLAIM,
                *document_values(digest),
                key.app,
                key.route,
                key.text,
                run,
                protected,
                HELD,
                request_id,
                keep,
            )
        return bool(row and row[1])

    async def find(self, key: Key) -> KeyRow | None:
        with translated():
            row = await self._pool.fetchrow(_FIND, key.app, key.route, key.text)
        return KeyRow(*[*row[:8], Document(*row[8:])]) if row is not None else None

    async def take_over(self, run: UUID, request_id: str) -> UUID | None:
        """Run a repeatable one again; return the new run, or None if another was faster."""
        fresh = uuid7()
        with translated():
            return fresh if await self._pool.fetchval(_TAKE_OVER, run, fresh, HELD, request_id) else None

    async def finish(self, run: UUID, outcome: Outcome) -> None:
        """Write how a run ended, unless another has taken over; raises KeysChanged."""
        answer = outcome.answer
        common = (run, outcome.state, outcome.status, outcome.code, answer.id if answer else None, UNKNOWN_KEPT)
        with reading_keys():
            if answer is None:
                await self._pool.execute(_FINISH_WITHOUT, *common)
            else:
                await self._pool.execute(_FINISH_WITH, *common, *document_values(answer))

    async def release(self, run: UUID) -> None:
        """Forget a run that sent nothing: the key is free again."""
        with translated():
            await self._pool.execute(_RELEASE, run)

    async def expire(self, run: UUID) -> None:
        """Forget a key whose time is up."""
        with translated():
            await self._pool.execute(_EXPIRE, run)

    async def hold(self, runs: Sequence[UUID]) -> None:
        """Say that these are still under way."""
        with translated():
            await self._pool.execute(_HOLD, runs, HELD)

    async def sweep(self) -> None:
        """Say of runs that nobody holds what is known of them."""
        with translated():
            await self._pool.execute(_SWEEP, UNKNOWN_KEPT)

    async def purge(self) -> None:
        with translated():
            await self._pool.execute(_PURGE)
