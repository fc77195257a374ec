"""The table `publishable_keys`: the keys that stand in the pages of shops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from vault.store.database import Connection, Pool, translated

_FIND = """
SELECT id, name, tenant, origins, created_at, revoked_at FROM publishable_keys
WHERE id = ANY($1::uuid[]) AND revoked_at IS NULL
"""
_ADD = """
INSERT INTO publishable_keys (id, name, tenant, origins, created_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING RETURNING true
"""
_LIST = "SELECT id, name, tenant, origins, created_at, revoked_at FROM publishable_keys ORDER BY name, created_at"
_REVOKE = "UPDATE publishable_keys SET revoked_at = $2 WHERE name = $1 AND revoked_at IS NULL RETURNING true"


@dataclass(frozen=True, slots=True)
class PublishableKeyRow:
    """A key, whose tokens it makes, and the origins (scheme://host[:port]) of the pages that may use it."""

    id: UUID
    name: str
    tenant: str
    origins: Sequence[str]
    created_at: datetime
    revoked_at: datetime | None


async def find_keys(pool: Pool, ids: Sequence[UUID]) -> list[PublishableKeyRow | None]:
    """Return, for each id, the key in use, many at once. Nothing is kept: who is revoked is refused from then on."""
    with translated():
        rows = [PublishableKeyRow(*row) for row in await pool.fetch(_FIND, ids)]
    found = {row.id: row for row in rows}
    return [found.get(each) for each in ids]


async def add_key(connection: Connection, row: PublishableKeyRow) -> bool:
    """Add a key; return whether there was none of that name in use."""
    with translated():
        return bool(await connection.fetchval(_ADD, row.id, row.name, row.tenant, row.origins, row.created_at))


async def list_keys(connection: Connection) -> list[PublishableKeyRow]:
    with translated():
        return [PublishableKeyRow(*row) for row in await connection.fetch(_LIST)]


async def revoke_key(connection: Connection, name: str, at: datetime) -> bool:
    """Revoke the key of a name; return whether there was one in use."""
    with translated():
        return bool(await connection.fetchval(_REVOKE, name, at))
