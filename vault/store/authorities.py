"""The table `authorities`: the certificate authorities of the forward proxy, their private keys wrapped."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from vault.crypto.certificates import StoredAuthority
from vault.store.database import Connection, Pool, translated

_COLUMNS = "id, state, certificate, kek, wrapped, created_at, not_after"
_LIST = f"SELECT {_COLUMNS} FROM authorities ORDER BY created_at, id"  # noqa: S608  # constant columns
_ACTIVE = f"SELECT {_COLUMNS} FROM authorities WHERE state = 'active'"  # noqa: S608
_ADD = f"""
INSERT INTO authorities ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING RETURNING id
"""  # noqa: S608
_RETIRE = "UPDATE authorities SET state = 'deactivated', deactivated_at = $1, wrapped = NULL WHERE state = 'active'"
_ACTIVATE = "UPDATE authorities SET state = 'active' WHERE state = 'pre-active' RETURNING id"


async def active_authority(executor: Pool | Connection) -> StoredAuthority | None:
    with translated():
        row = await executor.fetchrow(_ACTIVE)
    return StoredAuthority(*row) if row else None


async def list_authorities(connection: Connection) -> list[StoredAuthority]:
    """Return all authorities, oldest first."""
    with translated():
        return [StoredAuthority(*row) for row in await connection.fetch(_LIST)]


async def add_authority(connection: Connection, new: StoredAuthority) -> bool:
    """Add an authority unless there is one in its state; tell whether it was added."""
    columns = (new.id, new.state, new.certificate, new.kek, new.wrapped, new.created_at, new.not_after)
    with translated():
        return await connection.fetchval(_ADD, *columns) is not None


async def activate_next(connection: Connection) -> UUID | None:
    """Retire the active authority and activate the next one, in the caller's transaction; return its id."""
    with translated():
        await connection.execute(_RETIRE, datetime.now(UTC))
        found: UUID | None = await connection.fetchval(_ACTIVATE)
        return found
