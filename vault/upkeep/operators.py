"""Operators and their keys, as they are managed. Each change is an audit event of the same transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from vault.crypto.credentials import Credential, new_operator_key
from vault.errors import OperatorNotFound, OperatorOfOtherRole
from vault.operators import OperatorRole
from vault.store import operators as rows
from vault.store.credentials import OPERATOR_KEYS, CredentialRow
from vault.store.database import Database, Role
from vault.store.operators import OperatorRow
from vault.upkeep.credentials import changing, of_key

__all__ = ["KnownOperator", "OperatorRole", "add_operator", "operators", "revoke_operator", "rotate_operator"]


@dataclass(frozen=True, slots=True)
class KnownOperator:
    """An operator and what they are known by, oldest first."""

    row: OperatorRow
    keys: Sequence[CredentialRow]


async def add_operator(
    database: Database,
    name: str,
    role: OperatorRole,
    *,
    lifetime: timedelta | None = None,
    certificate: Credential | None = None,
) -> str:
    """Give an operator a (further) key and return it; with a `certificate`, register that and return nothing.

    Raises OperatorOfOtherRole if the operator has another role, CredentialInUse if somebody has the certificate.
    """
    key = new_operator_key() if certificate is None else ""
    async with changing(database, OPERATOR_KEYS) as change:
        found = await rows.add_operator(change.connection, name, role.value, change.at)
        if found != role.value:
            raise OperatorOfOtherRole(operator=name, role=found)
        added = await change.add(name, certificate or of_key(key), lifetime)
        await change.record("operator.add", added, operator=name)
    return key


async def operators(database: Database) -> list[KnownOperator]:
    """Return all operators by name."""
    connection = await database.connect(Role.OWNER)
    try:
        keys = await OPERATOR_KEYS.all(connection)
        return [
            KnownOperator(row, [key for key in keys if key.holder == row.name])
            for row in await rows.list_operators(connection)
        ]
    finally:
        await connection.close()


async def rotate_operator(database: Database, name: str, grace: timedelta, lifetime: timedelta | None = None) -> str:
    """Give an operator a new key and let the old ones end after a grace; return it. Raises OperatorNotFound."""
    key = new_operator_key()
    async with changing(database, OPERATOR_KEYS) as change:
        if await rows.role_of(change.connection, name) is None:
            raise OperatorNotFound(operator=name)
        await OPERATOR_KEYS.expire(change.connection, name, change.at + grace)
        added = await change.add(name, of_key(key), lifetime)
        await change.record("operator.rotate", added, operator=name)
    return key


async def revoke_operator(database: Database, name: str, key: str | None = None) -> int:
    """Revoke all keys and certificates of an operator, or the one with id `key`; return how many.

    Raises OperatorNotFound if there is nothing to revoke.
    """
    async with changing(database, OPERATOR_KEYS) as change:
        revoked = await OPERATOR_KEYS.revoke(change.connection, name, change.at, key)
        if not revoked:
            raise OperatorNotFound(operator=name)
        await change.record("operator.revoke", key, operator=name)
    return revoked
