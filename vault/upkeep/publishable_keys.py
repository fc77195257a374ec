"""Publishable keys, as the operator manages them. Each change is an audit event of the same transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from vault.errors import PublishableKeyExists, PublishableKeyNotFound
from vault.store import publishable_keys as rows
from vault.store.database import Database
from vault.store.publishable_keys import PublishableKeyRow
from vault.tokens import type_id, uuid7
from vault.upkeep.changes import operator_change, operator_look

PREFIX = "pk"


@dataclass(frozen=True, slots=True)
class PublishableKey:
    """A key as it is shown. It is no secret, and may be shown again."""

    text: str
    row: PublishableKeyRow


async def add_publishable_key(database: Database, name: str, tenant: str, origins: Sequence[str]) -> str:
    """Make a key for the pages of some origins and return it; raises PublishableKeyExists."""
    row = PublishableKeyRow(uuid7(), name, tenant, sorted(set(origins)), datetime.now(UTC), None)
    async with operator_change(database, "fields.key.add", f"{name} {' '.join(row.origins)}", tenant) as connection:
        if not await rows.add_key(connection, row):
            raise PublishableKeyExists(name=name)
    return type_id(PREFIX, row.id)


async def publishable_keys(database: Database) -> list[PublishableKey]:
    """Return all keys by name, revoked ones, too."""
    async with operator_look(database) as connection:
        return [PublishableKey(type_id(PREFIX, row.id), row) for row in await rows.list_keys(connection)]


async def revoke_publishable_key(database: Database, name: str) -> None:
    """Revoke a key; raises PublishableKeyNotFound. It works at once: nobody holds a key in memory."""
    async with operator_change(database, "fields.key.revoke", name) as connection:
        if not await rows.revoke_key(connection, name, datetime.now(UTC)):
            raise PublishableKeyNotFound(name=name)
