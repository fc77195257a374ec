"""What an operator does to keys and operations: looks, and says how it was where that is not known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from proxy.state.errors import KeyNotSettled, OperationNotFound, OperationNotSettled
from proxy.state.idempotency import Key
from proxy.state.operations import COLUMNS, Operation
from proxy.state.pool import Connection

_KEYS = """
SELECT app, route, key, state, request_id, status, code, created_at, updated_at, expires_at FROM idempotency
WHERE ($1::text IS NULL OR app = $1) AND ($2::text IS NULL OR route = $2) AND ($3::text IS NULL OR state = $3)
ORDER BY created_at DESC LIMIT $4
"""
_OPERATIONS = f"""
SELECT {COLUMNS} FROM operations
WHERE ($1::text IS NULL OR app = $1) AND ($2::text IS NULL OR route = $2) AND ($3::text IS NULL OR state = $3)
ORDER BY number DESC LIMIT $4
"""  # noqa: S608  # constant columns
_FIND = f"SELECT {COLUMNS} FROM operations WHERE id = $1 FOR UPDATE"  # noqa: S608  # constant columns
_FREE = """
WITH gone AS (
  DELETE FROM idempotency WHERE app = $1 AND route = $2 AND key = $3 AND state = 'unknown' RETURNING digest, answer
), documents AS (DELETE FROM documents USING gone WHERE documents.id IN (gone.digest, gone.answer))
SELECT count(*) FROM gone
"""
_SETTLED = """
UPDATE idempotency SET state = 'settled', updated_at = now()
WHERE app = $1 AND route = $2 AND key = $3 AND state = 'unknown' RETURNING 1
"""
_END = "UPDATE operations SET state = $2, code = $3, updated_at = now(), ended_at = now() WHERE id = $1"
# With another key: to the one that it had, the gateway would give the answer that it gave before.
_RETRY = """
UPDATE operations SET state = 'pending', attempts = 0, reached = false, code = NULL,
                      key = CASE WHEN key IS NOT NULL THEN gen_random_uuid()::text END, status = NULL, next_run = now(),
                      begun_at = now(), updated_at = now(), ended_at = NULL, run = NULL
WHERE id = $1
"""
RETRIED = ("failed", "cancelled", "dead")


@dataclass(frozen=True, slots=True)
class KeyState:
    """An idempotency key as an operator sees it."""

    app: str
    route: str
    key: str
    state: str
    request_id: str
    status: int | None
    code: str | None
    created_at: datetime
    updated_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be shown, newest first; None: any."""

    app: str | None = None
    route: str | None = None
    state: str | None = None
    limit: int = 100


async def list_keys(connection: Connection, wanted: Wanted) -> Sequence[KeyState]:
    rows = await connection.fetch(_KEYS, wanted.app, wanted.route, wanted.state, wanted.limit)
    return [KeyState(*row) for row in rows]


async def settle_key(connection: Connection, key: Key, *, took_effect: bool) -> None:
    """Say whether a request took effect; if not, its key is free. Raises KeyNotSettled unless that was unknown."""
    statement = _SETTLED if took_effect else _FREE
    if not await connection.fetchval(statement, key.app, key.route, key.text):
        raise KeyNotSettled(app=key.app, route=key.route)


async def list_operations(connection: Connection, wanted: Wanted) -> Sequence[Operation]:
    rows = await connection.fetch(_OPERATIONS, wanted.app, wanted.route, wanted.state, wanted.limit)
    return [Operation(*row) for row in rows]


async def find_operation(connection: Connection, operation: UUID) -> Operation:
    """Raises OperationNotFound."""
    row = await connection.fetchrow(_FIND, operation)
    if row is None:
        raise OperationNotFound
    return Operation(*row)


async def settle_operation(connection: Connection, operation: UUID, *, took_effect: bool) -> None:
    """Say whether an operation took effect; raises OperationNotSettled unless that was unknown."""
    await _check(connection, operation, ("unknown",))
    await connection.execute(_END, operation, "succeeded" if took_effect else "failed", "settled_by_operator")


async def cancel_operation(connection: Connection, operation: UUID) -> None:
    """Cancel one that waits; raises OperationNotSettled. Where it may have been sent before, it is unknown then."""
    found = await _check(connection, operation, ("pending",))
    await connection.execute(_END, operation, "unknown" if found.reached else "cancelled", "cancelled_by_operator")


async def retry_operation(connection: Connection, operation: UUID, *, is_safe: bool) -> None:
    """Put one back into the queue; raises OperationNotSettled. `is_safe`: also one that may have taken effect."""
    await _check(connection, operation, (*RETRIED, "unknown") if is_safe else RETRIED)
    await connection.execute(_RETRY, operation)


async def _check(connection: Connection, operation: UUID, states: Sequence[str]) -> Operation:
    found = await find_operation(connection, operation)
    if found.state not in states:
        raise OperationNotSettled(state=found.state, states=" or ".join(states))
    return found
