"""The table `data_keys`: wrapped keys, what each is for, how many uses are reserved."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from vault.crypto.data_key import WrappedKey
from vault.store.database import Connection, Pool, translated

_COLUMNS = "id, tenant, purpose, kek, wrapped, created_at, state, public_key"
_FIND = f"SELECT {_COLUMNS} FROM data_keys WHERE id = $1"  # noqa: S608  # constant columns
_ACTIVE = f"SELECT {_COLUMNS} FROM data_keys WHERE tenant = $1 AND purpose = $2 AND state = 'active'"  # noqa: S608
_SUCCESSOR = f"SELECT {_COLUMNS} FROM data_keys WHERE tenant = $1 AND purpose = $2 AND state = 'pre-active'"  # noqa: S608
_ACTIVE_KEK = "SELECT id FROM keks WHERE tenant = $1 AND state = 'active'"
_NEWEST = f"""
SELECT {_COLUMNS} FROM data_keys WHERE state = 'active' ORDER BY created_at DESC LIMIT 1
"""  # noqa: S608
# Under a KEK that is active still: one that was just replaced gets no more keys to wrap.
_ADD = """
INSERT INTO data_keys (id, tenant, purpose, kek, wrapped, created_at, state, public_key, activated_at)
SELECT $1::uuid, $2::text, $3::text, $4::text, $5::bytea, $6::timestamptz, $7::text, $8::bytea,
       CASE WHEN $7 = 'active' THEN $6 END
FROM keks WHERE id = $4 AND state = 'active'
ON CONFLICT DO NOTHING
"""
_RESERVE = """
UPDATE data_keys SET uses = uses + $2 WHERE id = $1 AND state = 'active' AND uses + $2 <= $3 RETURNING id
"""
_DEACTIVATE = """
UPDATE data_keys SET state = 'deactivated', deactivated_at = $2 WHERE id = $1 AND state = 'active'
"""
_ADD_KEK = """
INSERT INTO keks (id, tenant, provider, state, created_at, activated_at) VALUES ($1, $2, $3, 'active', $4, $4)
ON CONFLICT DO NOTHING
"""


class KeyRows:
    """The keyring's tables, over a pool or a connection."""

    def __init__(self, executor: Pool | Connection) -> None:
        self._executor = executor

    async def find(self, key_id: UUID) -> WrappedKey | None:
        return await self._row(_FIND, key_id)

    async def newest(self) -> WrappedKey | None:
        return await self._row(_NEWEST)

    async def active(self, tenant: str, purpose: str) -> WrappedKey | None:
        return await self._row(_ACTIVE, tenant, purpose)

    async def successor(self, tenant: str, purpose: str) -> WrappedKey | None:
        return await self._row(_SUCCESSOR, tenant, purpose)

    async def add(self, key: WrappedKey) -> None:
        columns = (key.id, key.tenant, key.purpose, key.kek, key.wrapped, key.created_at, key.state, key.public_key)
        with translated():
            await self._executor.execute(_ADD, *columns)

    async def reserve(self, key_id: UUID, uses: int, limit: int) -> bool:
        with translated():
            return await self._executor.fetchval(_RESERVE, key_id, uses, limit) is not None

    async def deactivate(self, key_id: UUID, at: datetime) -> None:
        with translated():
            await self._executor.execute(_DEACTIVATE, key_id, at)

    async def changes(self) -> int:
        with translated():
            return int(await self._executor.fetchval("SELECT number FROM key_changes"))

    async def active_kek(self, tenant: str) -> str | None:
        with translated():
            found: str | None = await self._executor.fetchval(_ACTIVE_KEK, tenant)
            return found

    async def active_keks(self) -> list[str]:
        with translated():
            return [row[0] for row in await self._executor.fetch("SELECT id FROM keks WHERE state = 'active'")]

    async def add_active_kek(self, kek: str, tenant: str, provider: str) -> None:
        with translated():
            await self._executor.execute(_ADD_KEK, kek, tenant, provider, datetime.now(UTC))

    async def _row(self, sql: str, *arguments: object) -> WrappedKey | None:
        with translated():
            row = await self._executor.fetchrow(sql, *arguments)
        return WrappedKey(*row) if row else None


async def wrapping_keks(connection: Connection) -> list[str]:
    """Return the ids of all KEKs that data keys are wrapped by."""
    with translated():
        rows = await connection.fetch("SELECT DISTINCT kek FROM data_keys WHERE wrapped IS NOT NULL")
        return [row[0] for row in rows]
