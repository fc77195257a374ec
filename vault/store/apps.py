"""The tables `apps` and `app_keys`: who may ask, known by the digest of a key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from vault.store.database import Connection, Pool, translated


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """The application that a key belongs to."""

    app: str
    tenant: str
    revoked: bool


@dataclass(frozen=True, slots=True)
class AppRow:
    """An application, for the operator's list."""

    name: str
    tenant: str
    created_at: datetime
    active_keys: int
    revoked_keys: int


_FIND = """
SELECT digest, name, tenant, revoked_at IS NOT NULL
FROM app_keys JOIN apps ON apps.name = app_keys.app WHERE digest = ANY($1::bytea[])
"""
_ADD_APP = "INSERT INTO apps (name, tenant, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
_ADD_KEY = "INSERT INTO app_keys (digest, app, created_at) VALUES ($1, $2, $3)"
_LIST = """
SELECT name, tenant, apps.created_at,
       count(digest) FILTER (WHERE revoked_at IS NULL), count(digest) FILTER (WHERE revoked_at IS NOT NULL)
FROM apps LEFT JOIN app_keys ON app_keys.app = apps.name GROUP BY name ORDER BY name
"""
_REVOKE = "UPDATE app_keys SET revoked_at = $2 WHERE app = $1 AND revoked_at IS NULL RETURNING app"


class KeyHolders:
    """Looks up who holds keys, many digests at once."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def find(self, digests: Sequence[bytes]) -> list[KeyHolder | None]:
        with translated():
            rows = await self._pool.fetch(_FIND, list(digests))
        holders = {digest: KeyHolder(*rest) for digest, *rest in rows}
        return [holders.get(digest) for digest in digests]


async def add_app_key(connection: Connection, app: str, tenant: str, digest: bytes, at: datetime) -> str:
    """Give an application another key, making the application if needed; return the tenant that it has."""
    with translated():
        await connection.execute(_ADD_APP, app, tenant, at)
        await connection.execute(_ADD_KEY, digest, app, at)
        return str(await connection.fetchval("SELECT tenant FROM apps WHERE name = $1", app))


async def list_apps(connection: Connection) -> list[AppRow]:
    with translated():
        return [AppRow(*row) for row in await connection.fetch(_LIST)]


async def revoke_app_keys(connection: Connection, app: str, at: datetime) -> int:
    """Revoke all keys of an application; return how many."""
    with translated():
        return len(await connection.fetch(_REVOKE, app, at))
