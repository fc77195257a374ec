"""Applications and their keys, as the operator manages them. Each change is an audit event of the same transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from vault.crypto.credentials import Credential, new_app_key
from vault.errors import AppNotFound, AppOfOtherTenant
from vault.store import apps as rows
from vault.store.apps import AppRow
from vault.store.credentials import APP_KEYS, CredentialRow
from vault.store.database import Database, Role
from vault.upkeep.credentials import Change, changing, of_key

__all__ = ["AppRow", "Application", "add_app", "apps", "revoke_app", "rotate_app"]


@dataclass(frozen=True, slots=True)
class Application:
    """An application and what it is known by, oldest first."""

    row: AppRow
    keys: Sequence[CredentialRow]


async def add_app(
    database: Database,
    app: str,
    tenant: str,
    *,
    lifetime: timedelta | None = None,
    certificate: Credential | None = None,
) -> str:
    """Give an application a (further) key and return it; it is not kept and cannot be shown again.

    With a `certificate`, that one is registered, and an empty string returned. Raises AppOfOtherTenant if the
    application exists for another tenant, CredentialInUse if somebody has the certificate.
    """
    key = new_app_key() if certificate is None else ""
    async with changing(database, APP_KEYS) as change:
        if await rows.add_app(change.connection, app, tenant, change.at) != tenant:
            raise AppOfOtherTenant(app=app)
        added = await change.add(app, certificate or of_key(key), lifetime)
        await change.record("app.add", added, app=app, tenant=tenant)
    return key


async def apps(database: Database) -> list[Application]:
    """Return all applications by name."""
    connection = await database.connect(Role.OWNER)
    try:
        keys = await APP_KEYS.all(connection)
        return [
            Application(row, [key for key in keys if key.holder == row.name])
            for row in await rows.list_apps(connection)
        ]
    finally:
        await connection.close()


async def rotate_app(database: Database, app: str, grace: timedelta, lifetime: timedelta | None = None) -> str:
    """Give an application a new key and let its old ones end after a grace; return it. Raises AppNotFound."""
    key = new_app_key()
    async with changing(database, APP_KEYS) as change:
        tenant = await _tenant(change, app)
        await APP_KEYS.expire(change.connection, app, change.at + grace)
        added = await change.add(app, of_key(key), lifetime)
        await change.record("app.rotate", added, app=app, tenant=tenant)
    return key


async def revoke_app(database: Database, app: str, key: str | None = None) -> int:
    """Revoke all keys and certificates of an application, or the one with id `key`; return how many.

    Raises AppNotFound if there is nothing to revoke. It works at once: nobody holds a key in memory.
    """
    async with changing(database, APP_KEYS) as change:
        revoked = await APP_KEYS.revoke(change.connection, app, change.at, key)
        if not revoked:
            raise AppNotFound(app=app)
        await change.record("app.revoke", key, app=app, tenant=await _tenant(change, app))
    return revoked


async def _tenant(change: Change, app: str) -> str:
    tenant = await rows.tenant_of(change.connection, app)
    if tenant is None:
        raise AppNotFound(app=app)
    return tenant
