"""The table `operators`, and who holds a key of `operator_keys`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from vault.crypto.credentials import Credential
from vault.store.database import Connection, Pool, translated

_FIND = """
SELECT name, role, revoked_at IS NOT NULL, expires_at
FROM operator_keys JOIN operators ON name = operator WHERE digest = $1 AND kind = $2
"""
_ADD = "INSERT INTO operators (name, role, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
_ROLE = "SELECT role FROM operators WHERE name = $1"
_LIST = "SELECT name, role, created_at FROM operators ORDER BY name"


@dataclass(frozen=True, slots=True)
class OperatorHolder:
    """The operator that a credential belongs to."""

    name: str
    role: str
    revoked: bool
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class OperatorRow:
    name: str
    role: str
    created_at: datetime


async def find_operator(executor: Pool | Connection, credential: Credential) -> OperatorHolder | None:
    """Return who holds a credential."""
    with translated():
        row = await executor.fetchrow(_FIND, credential.digest, credential.kind.value)
    return None if row is None else OperatorHolder(*row)


async def add_operator(connection: Connection, name: str, role: str, at: datetime) -> str:
    """Make an operator if there is none of that name; return the role that the operator has."""
    with translated():
        await connection.execute(_ADD, name, role, at)
        return str(await connection.fetchval(_ROLE, name))


async def role_of(connection: Connection, name: str) -> str | None:
    """Return the role of an operator, or None if there is no such operator."""
    with translated():
        role: str | None = await connection.fetchval(_ROLE, name)
        return role


async def list_operators(connection: Connection) -> list[OperatorRow]:
    with translated():
        return [OperatorRow(*row) for row in await connection.fetch(_LIST)]
