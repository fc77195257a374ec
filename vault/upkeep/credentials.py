"""Changing who has which key: one transaction with the event that tells of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from vault.audit.event import Event, Outcome
from vault.crypto.credentials import (
    OPERATOR_PREFIX,
    PREFIX,
    Credential,
    CredentialKind,
    digest,
    read_certificate,
)
from vault.errors import CredentialInUse
from vault.recorded import by_operator
from vault.store.audit import append
from vault.store.credentials import ID_DIGITS, CredentialRow, CredentialTable
from vault.store.database import Connection, Database, Role, translated

__all__ = ["Change", "Credential", "CredentialRow", "changing", "of_key", "read_certificate"]


@dataclass(frozen=True, slots=True)
class Change:
    """A transaction of the owner that changes a table of credentials. `at` is its time."""

    connection: Connection
    table: CredentialTable
    at: datetime

    async def add(self, holder: str, credential: Credential, lifetime: timedelta | None) -> str:
        """Add a credential and return its id; it ends with its certificate at the latest. Raises CredentialInUse."""
        ends = [each for each in (credential.ends, self.at + lifetime if lifetime else None) if each is not None]
        if not await self.table.add(self.connection, holder, credential, self.at, min(ends, default=None)):
            raise CredentialInUse
        return credential.digest.hex()[:ID_DIGITS]

    async def record(
        self,
        action: str,
        key: str | None,
        *,
        app: str | None = None,
        tenant: str | None = None,
        operator: str | None = None,
    ) -> None:
        """Record the change: whose credential it is, and the id of the one that it is about."""
        done = Event(
            at=self.at,
            action=action,
            outcome=Outcome.PERMITTED,
            app=app,
            tenant=tenant,
            operator=operator,
            reason=f"key {key}" if key else None,
            origin=by_operator(),
        )
        await append(self.connection, [done])


@asynccontextmanager
async def changing(database: Database, table: CredentialTable) -> AsyncIterator[Change]:
    """Yield a transaction of the owner: what is raised inside undoes it."""
    connection = await database.connect(Role.OWNER)
    try:
        with translated():
            async with connection.transaction():
                yield Change(connection, table, datetime.now(UTC))
    finally:
        await connection.close()


def of_key(key: str) -> Credential:
    """Return the stored form of a new key."""
    stored = digest(key, OPERATOR_PREFIX if key.startswith(OPERATOR_PREFIX) else PREFIX)
    assert stored is not None  # noqa: S101  # a new key has the shape of a key
    return Credential(CredentialKind.KEY, stored)
