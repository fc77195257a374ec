"""The table `break_glass`: who asked to see the value of which token, who agreed, and when it was shown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from vault.store.database import Connection, translated

_COLUMNS = "id, token, tenant, reason, requested_by, requested_at, expires_at, approved_by, approved_at, revealed_at"
_ADD = """
INSERT INTO break_glass (id, token, tenant, reason, requested_by, requested_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""
# Locked until the transaction ends: two terminals cannot both go on.
_FIND = f"SELECT {_COLUMNS} FROM break_glass WHERE id = $1 FOR UPDATE"  # noqa: S608
_APPROVE = "UPDATE break_glass SET approved_by = $2, approved_at = $3 WHERE id = $1"
_REVEAL = "UPDATE break_glass SET revealed_at = $2 WHERE id = $1 AND revealed_at IS NULL RETURNING id"
_HOLDS_KEY = """
SELECT EXISTS (SELECT FROM operator_keys
               WHERE operator = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2))
"""
# Codes are in another table: they cannot be found here.
_SEALED = "SELECT tenant, kind, data_key, sealed, expires_at FROM tokens WHERE token = $1"


@dataclass(frozen=True, slots=True)
class GlassRow:
    """A request to see one value."""

    id: UUID
    token: UUID
    tenant: str
    reason: str
    requested_by: str
    requested_at: datetime
    expires_at: datetime
    approved_by: str | None = None
    approved_at: datetime | None = None
    revealed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class VaultedRow:
    """A sealed row of `tokens`."""

    tenant: str
    kind: str
    data_key: UUID
    sealed: bytes
    expires_at: datetime | None


async def add_request(connection: Connection, row: GlassRow) -> None:
    about = (row.id, row.token, row.tenant, row.reason, row.requested_by, row.requested_at, row.expires_at)
    with translated():
        await connection.execute(_ADD, *about)


async def find_request(connection: Connection, request: UUID) -> GlassRow | None:
    """Return a request, and lock it until the caller's transaction ends."""
    with translated():
        row = await connection.fetchrow(_FIND, request)
    return None if row is None else GlassRow(*row)


async def approve_request(connection: Connection, request: UUID, operator: str, at: datetime) -> None:
    with translated():
        await connection.execute(_APPROVE, request, operator, at)


async def holds_key(connection: Connection, operator: str | None, at: datetime) -> bool:
    """Tell whether an operator could sign in."""
    with translated():
        return bool(await connection.fetchval(_HOLDS_KEY, operator, at))


async def spend_request(connection: Connection, request: UUID, at: datetime) -> bool:
    """Write down that the value is shown now; False if it was before."""
    with translated():
        return await connection.fetchval(_REVEAL, request, at) is not None


async def find_vaulted(connection: Connection, token: UUID) -> VaultedRow | None:
    with translated():
        row = await connection.fetchrow(_SEALED, token)
    return None if row is None else VaultedRow(*row)
