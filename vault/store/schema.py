"""The table `panless_migrations`: which migrations a database has."""

from __future__ import annotations

from datetime import UTC, datetime

import asyncpg

from vault.store.database import Connection, translated

_LOCK = 0x50616E6C657373  # "Panless"
_CREATE = """
CREATE TABLE IF NOT EXISTS panless_migrations (
  number integer PRIMARY KEY, name text NOT NULL, sha256 bytea NOT NULL, applied_at timestamptz NOT NULL)
"""


async def version(connection: Connection) -> int:
    """Return the number of the newest migration, or 0 for a database that was never migrated."""
    with translated():
        try:
            return int(await connection.fetchval("SELECT max(number) FROM panless_migrations") or 0)
        except (asyncpg.UndefinedTableError, asyncpg.InsufficientPrivilegeError):
            return 0


async def try_lock(connection: Connection) -> bool:
    """Try to become the one that migrates, for as long as the connection lasts."""
    with translated():
        return bool(await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK))


async def applied(connection: Connection) -> dict[int, tuple[str, bytes]]:
    """Return name and SHA-256 of every applied migration by its number."""
    with translated():
        await connection.execute(_CREATE)
        rows = await connection.fetch("SELECT number, name, sha256 FROM panless_migrations")
    return {row["number"]: (row["name"], row["sha256"]) for row in rows}


async def apply(connection: Connection, number: int, name: str, sql: str, sha256: bytes) -> None:
    """Run one migration and note it, in one transaction."""
    note = "INSERT INTO panless_migrations VALUES ($1, $2, $3, $4)"
    with translated():
        async with connection.transaction():
            await connection.execute("SET LOCAL lock_timeout = '5s'")
            await connection.execute(sql)
            await connection.execute(note, number, name, sha256, datetime.now(UTC))
