"""The table `data_keys`: wrapped keys, what each is for, how many uses are reserved."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from vault.crypto.data_key import WrappedKey
from vault.store.database import Connection, Pool, translated

_COLUMNS = "id, tenant, purpose, kek, wrapped, created_at"
_FIND = f"SELECT {_COLUMNS} FROM data_keys WHERE id = $1"  # noqa: S608  # constant columns
_ACTIVE = f"SELECT {_COLUMNS} FROM data_keys WHERE tenant = $1 AND purpose = $2 AND state = 'active'"  # noqa: S608
_NEWEST = f"SELECT {_COLUMNS} FROM data_keys ORDER BY created_at DESC LIMIT 1"  # noqa: S608
_ADD = """
INSERT INTO data_keys (id, tenant, purpose, kek, wrapped, created_at, state)
VALUES ($1, $2, $3, $4, $5, $6, 'active')
ON CONFLICT DO NOTHING
"""
_RESERVE = """
UPDATE data_keys SET uses = uses + $2 WHERE id = $1 AND state = 'active' AND uses + $2 <= $3 RETURNING id
"""
_DEACTIVATE = """
UPDATE data_keys SET state = 'deactivated', deactivated_at = $2 WHERE id = $1 AND state = 'active'
"""


class KeyRows:
    """The keyring's table, over a pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def find(self, key_id: UUID) -> WrappedKey | None:
        with translated():
            row = await self._pool.fetchrow(_FIND, key_id)
        return WrappedKey(*row) if row else None

    async def newest(self) -> WrappedKey | None:
        with translated():
            row = await self._pool.fetchrow(_NEWEST)
        return WrappedKey(*row) if row else None

    async def active(self, tenant: str, purpose: str) -> WrappedKey | None:
        with translated():
            row = await self._pool.fetchrow(_ACTIVE, tenant, purpose)
        return WrappedKey(*row) if row else None

    async def add_active(self, key: WrappedKey) -> None:
        with translated():
            await self._pool.execute(_ADD, key.id, key.tenant, key.purpose, key.kek, key.wrapped, key.created_at)

    async def reserve(self, key_id: UUID, uses: int, limit: int) -> bool:
        with translated():
            return await self._pool.fetchval(_RESERVE, key_id, uses, limit) is not None

    async def deactivate(self, key_id: UUID, at: datetime) -> None:
        with translated():
            await self._pool.execute(_DEACTIVATE, key_id, at)


async def any_data_key(connection: Connection) -> bool:
    """Tell whether any data key was ever made in this database."""
    with translated():
        return bool(await connection.fetchval("SELECT EXISTS (SELECT FROM data_keys)"))
