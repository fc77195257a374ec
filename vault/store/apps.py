"""The table `apps`, and who holds a key of `app_keys`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from vault.crypto.credentials import Credential
from vault.frozen import frozen
from vault.store.database import Connection, Pool, translated
from vault.store.holding import Holding


@frozen
class KeyHolder:
    """The application that a credential belongs to."""

    app: str
    tenant: str
    kind: str
    revoked: bool
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class AppRow:
    """An application, for the operator's list."""

    name: str
    tenant: str
    created_at: datetime


_FIND = """
SELECT digest, name, tenant, kind, revoked_at IS NOT NULL, expires_at
FROM app_keys JOIN apps ON apps.name = app_keys.app WHERE digest = ANY($1::bytea[])
"""
_IN_USE = """
SELECT EXISTS (SELECT 1 FROM app_keys JOIN apps ON apps.name = app_keys.app
               WHERE name = $1 AND tenant = $2 AND revoked_at IS NULL
                 AND (expires_at IS NULL OR expires_at > clock_timestamp()))
"""
_ADD_APP = "INSERT INTO apps (name, tenant, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
_TENANT = "SELECT tenant FROM apps WHERE name = $1"
_LIST = "SELECT name, tenant, created_at FROM apps ORDER BY name"


class KeyHolders:
    """Looks up who holds credentials, many at once. Nothing is kept: who is revoked is refused from then on."""

    def __init__(self, pool: Pool, often: Holding | None = None) -> None:
        self._pool = pool
        self._often = often or pool

    async def find(self, credentials: Sequence[Credential]) -> list[KeyHolder | None]:
        with translated():
            rows = await self._often.fetch(_FIND, list({each.digest for each in credentials}))
        holders = {digest: KeyHolder(*rest) for digest, *rest in rows}
        found = [holders.get(each.digest) for each in credentials]
        return [
            holder if holder is not None and holder.kind == each.kind else None
            for holder, each in zip(found, credentials, strict=True)
        ]

    async def is_in_use(self, app: str, tenant: str) -> bool:
        """Tell whether an application has a credential that is neither revoked nor expired."""
        with translated():
            return bool(await self._pool.fetchval(_IN_USE, app, tenant))


async def add_app(connection: Connection, app: str, tenant: str, at: datetime) -> str:
    """Make an application if there is none of that name; return the tenant that it has."""
    with translated():
        await connection.execute(_ADD_APP, app, tenant, at)
        return str(await connection.fetchval(_TENANT, app))


async def tenant_of(connection: Connection, app: str) -> str | None:
    """Return the tenant of an application, or None if there is no such application."""
    with translated():
        tenant: str | None = await connection.fetchval(_TENANT, app)
        return tenant


async def list_apps(connection: Connection) -> list[AppRow]:
    with translated():
        return [AppRow(*row) for row in await connection.fetch(_LIST)]
