"""Applications and their keys, as the operator manages them. Each change is an audit event of the same transaction."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime

from vault.audit.event import Event, Outcome
from vault.crypto.app_key import digest, new_app_key
from vault.errors import AppNotFound, AppOfOtherTenant
from vault.store.apps import AppRow, add_app_key, list_apps, revoke_app_keys
from vault.store.audit import append
from vault.store.database import Database, Role, translated

__all__ = ["AppRow", "add_app", "apps", "revoke_app"]


def _event(action: str, app: str, tenant: str | None = None) -> Event:
    return Event(
        at=datetime.now(UTC),
        action=action,
        outcome=Outcome.PERMITTED,
        app=app,
        tenant=tenant,
        origin=f"operator {getpass.getuser()}",
    )


async def add_app(database: Database, app: str, tenant: str) -> str:
    """Give an application a (further) key and return it; it is not kept and cannot be shown again.

    Raises AppOfOtherTenant if the application exists for another tenant.
    """
    key = new_app_key()
    stored = digest(key)
    assert stored is not None  # noqa: S101  # a new key has the shape of a key
    connection = await database.connect(Role.OWNER)
    try:
        with translated():
            async with connection.transaction():
                if await add_app_key(connection, app, tenant, stored, datetime.now(UTC)) != tenant:
                    raise AppOfOtherTenant(app=app)
                await append(connection, [_event("app.add", app, tenant)])
    finally:
        await connection.close()
    return key


async def apps(database: Database) -> list[AppRow]:
    """Return all applications by name."""
    connection = await database.connect(Role.OWNER)
    try:
        return await list_apps(connection)
    finally:
        await connection.close()


async def revoke_app(database: Database, app: str) -> int:
    """Revoke all keys of an application; return how many. Raises AppNotFound if it has no active key."""
    connection = await database.connect(Role.OWNER)
    try:
        with translated():
            async with connection.transaction():
                revoked = await revoke_app_keys(connection, app, datetime.now(UTC))
                if not revoked:
                    raise AppNotFound(app=app)
                await append(connection, [_event("app.revoke", app)])
        return revoked
    finally:
        await connection.close()
