"""The forward proxy's certificate authorities, as the operator manages them. Each change is an audit event, too.

One is active and signs. A next one can be made beforehand, so that clients learn to trust it before it does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal
from uuid import UUID

from vault.crypto.certificates import StoredAuthority
from vault.errors import AuthorityNextExists, AuthorityNextMissing
from vault.keys.authority_key import authority_secret, make_authority
from vault.keys.keks import Keks
from vault.recorded import operator_event
from vault.store.audit import append
from vault.store.authorities import activate_next, active_authority, add_authority, list_authorities
from vault.store.database import Connection, Database, Role, translated
from vault.store.keys import KeyRows

__all__ = ["StoredAuthority", "activate", "authorities", "ensure_authority", "make_next", "trusted"]


async def ensure_authority(keks: Keks, database: Database) -> bool:
    """Make the first authority, as the owner, unless there is one; return whether one was made."""
    connection = await database.connect(Role.OWNER)
    try:
        if await active_authority(connection) is not None:
            return False
    finally:
        await connection.close()
    return await _make(keks, database, "active", "ca.create") is not None


async def authorities(keks: Keks, database: Database) -> list[StoredAuthority]:
    """Return all authorities, oldest first; the first one is made if there is none."""
    await ensure_authority(keks, database)
    connection = await database.connect(Role.OWNER)
    try:
        return await list_authorities(connection)
    finally:
        await connection.close()


async def trusted(keks: Keks, database: Database) -> list[StoredAuthority]:
    """Return the active and the next authority, for clients to trust.

    Raises KeyUnavailable if one of them was not made by this Panless: whoever can write to the table could otherwise
    have clients trust an authority of their own.
    """
    found = [each for each in await authorities(keks, database) if each.state in ("active", "pre-active")]
    async with _changing(keks, database) as (_, own):
        for each in found:
            await authority_secret(own, each)
    return found


async def make_next(keks: Keks, database: Database) -> StoredAuthority:
    """Make the authority that will take over; raises AuthorityNextExists if it is there already."""
    await ensure_authority(keks, database)
    made = await _make(keks, database, "pre-active", "ca.rotate")
    if made is None:
        raise AuthorityNextExists
    return made


async def activate(keks: Keks, database: Database) -> UUID:
    """Let the next authority sign from now on, and retire the active one; raises AuthorityNextMissing."""
    await trusted(keks, database)
    async with _changing(keks, database) as (connection, _):
        activated = await activate_next(connection)
        if activated is None:
            raise AuthorityNextMissing
        await append(connection, [operator_event("ca.activate", f"authority {activated}")])
    return activated


async def _make(
    keks: Keks, database: Database, state: Literal["active", "pre-active"], action: str
) -> StoredAuthority | None:
    async with _changing(keks, database) as (connection, own):
        made = await make_authority(own, state)
        if not await add_authority(connection, made):
            return None
        await append(connection, [operator_event(action, f"authority {made.id}")])
    return made


@asynccontextmanager
async def _changing(keks: Keks, database: Database) -> AsyncIterator[tuple[Connection, Keks]]:
    """Connect as the owner, in a transaction, which the KEKs are part of, too."""
    connection = await database.connect(Role.OWNER)
    try:
        with translated():
            async with connection.transaction():
                yield connection, keks.on(KeyRows(connection))
    finally:
        await connection.close()
