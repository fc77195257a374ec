"""Connections for the tables of the proxy's own, as the proxy's role."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from vault.errors import KeysChanged
from vault.store.database import Connection, Database, Pool, Role, translated

__all__ = ["Connection", "Database", "Pool", "open_pool", "reading_keys", "translated"]

POOL_SIZE = 8
_CONFLICT = "PL001"


async def open_pool(database: Database) -> Pool:
    """Raises StoreError."""
    return await database.pool(Role.PROXY, size=POOL_SIZE)


@contextmanager
def reading_keys() -> Iterator[None]:
    """For statements that write a document; raises KeysChanged if it was sealed under a key that was replaced since.

    Everything else is translated.
    """
    changed = False
    with translated():
        try:
            yield
        except asyncpg.PostgresError as error:
            if error.sqlstate != _CONFLICT:
                raise
            changed = True
    if changed:
        raise KeysChanged
