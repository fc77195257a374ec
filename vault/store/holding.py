"""Connections that are held: asking the pool for one, and giving it back, costs more than a small statement.

Rules:
1. A connection is used by one statement at a time; whoever comes meanwhile gets another one.
2. At most MOST are held; the pool has the others. What fails, or is closed meanwhile, goes back, and the pool mends it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import asyncpg

from vault.store.database import Pool

if TYPE_CHECKING:
    Held = asyncpg.pool.PoolConnectionProxy[asyncpg.Record]

MOST = 4


class Holding:
    """Some connections of a pool, for statements that come with every request."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._idle: list[Held] = []
        self._closed = False

    async def fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        """Return the rows of a statement."""
        connection = await self._taken()
        try:
            rows: list[asyncpg.Record] = await connection.fetch(query, *arguments)
        except BaseException:
            await self._pool.release(connection)
            raise
        await self._kept(connection)
        return rows

    async def fetchrow(self, query: str, *arguments: object) -> Any:
        """Return the first row of a statement, or None."""
        rows = await self.fetch(query, *arguments)
        return rows[0] if rows else None

    async def close(self) -> None:
        """Give all of them back, and hold none from now on."""
        self._closed = True
        while self._idle:
            await self._pool.release(self._idle.pop())

    async def _taken(self) -> Held:
        while self._idle:
            connection = self._idle.pop()
            if _is_open(connection):
                return connection
            await self._pool.release(connection)
        return await self._pool.acquire()

    async def _kept(self, connection: Held) -> None:
        if self._closed or len(self._idle) >= MOST:
            await self._pool.release(connection)
        else:
            self._idle.append(connection)


def _is_open(connection: Held) -> bool:
    try:
        return not connection.is_closed()
    except asyncpg.InterfaceError:  # the pool has noticed that it broke, and taken it back
        return False
