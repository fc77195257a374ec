"""The table `audit_sinks`: up to where each sink has the log."""

from __future__ import annotations

from vault.store.database import Connection, Pool, translated

_ADD = "INSERT INTO audit_sinks (name, position) VALUES ($1, 0) ON CONFLICT DO NOTHING"
_LOCK = "SELECT position FROM audit_sinks WHERE name = $1 FOR UPDATE"


async def add(pool: Pool, name: str) -> None:
    """Make a sink's row, if it is new; not in the transaction that locks it, which others would wait for."""
    with translated():
        await pool.execute(_ADD, name)


async def lock(connection: Connection, name: str, *, wait: bool) -> int | None:
    """Return a sink's position, locked until the transaction ends; None if another process has it."""
    with translated():
        position: int | None = await connection.fetchval(_LOCK if wait else f"{_LOCK} SKIP LOCKED", name)
    return position


async def move(connection: Connection, name: str, position: int) -> None:
    with translated():
        await connection.execute("UPDATE audit_sinks SET position = $2 WHERE name = $1", name, position)


async def position(executor: Pool | Connection, name: str) -> int:
    with translated():
        return int(await executor.fetchval("SELECT position FROM audit_sinks WHERE name = $1", name) or 0)
