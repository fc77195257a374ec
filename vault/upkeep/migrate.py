"""Numbered migrations: `NNNN_verb_noun.sql`, applied once each, in order, one transaction a file.

What was applied is kept with its SHA-256; a file that was changed afterwards is refused. Concurrent runners wait for
one another by polling an advisory lock: a blocking one deadlocks with CREATE INDEX CONCURRENTLY.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from vault.audit.event import Event, Outcome
from vault.errors import DatabaseUnavailable, MigrationChanged, SchemaNewer, SchemaOutdated
from vault.store import schema
from vault.store.audit import append
from vault.store.database import Connection, Database, Role

_LOCK_SECONDS = 30
_NAME = re.compile(r"\d{4}_[a-z0-9_]+\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    """One file."""

    number: int
    name: str
    sql: str

    @property
    def sha256(self) -> bytes:
        return hashlib.sha256(self.sql.encode()).digest()


def migrations() -> list[Migration]:
    """Return the migrations of this release, in order. They travel inside the installed package."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "migrations"
    folder = installed if installed.is_dir() else package.parent / "migrations"
    paths = sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))
    return [Migration(int(path.name[:4]), path.name, path.read_text("utf-8")) for path in paths]


async def migrate(database: Database, report: Callable[[str], None] = lambda _name: None) -> list[str]:
    """Apply what is missing as the owner and return the names; `report` is told each name before it is applied."""
    connection = await database.connect(Role.OWNER)
    try:
        await _lock(connection)
        applied = await schema.applied(connection)
        pending = [each for each in migrations() if not _is_applied(each, applied)]
        for migration in pending:
            report(migration.name)
            await schema.apply(connection, migration.number, migration.name, migration.sql, migration.sha256)
        if pending:
            done = Event(at=datetime.now(UTC), action=f"migrate.{pending[-1].number:04}", outcome=Outcome.PERMITTED)
            await append(connection, [done])
        return [each.name for each in pending]
    finally:
        await connection.close()


async def check_schema(database: Database) -> None:
    """Raise SchemaOutdated or SchemaNewer unless the database is at this release's migration."""
    connection = await database.connect(Role.PROXY)
    try:
        found = await schema.version(connection)
    finally:
        await connection.close()
    needed = migrations()[-1].number
    if found < needed:
        raise SchemaOutdated(found=found, needed=needed)
    if found > needed:
        raise SchemaNewer(found=found, needed=needed)


async def _lock(connection: Connection) -> None:
    for _ in range(_LOCK_SECONDS * 10):
        if await schema.try_lock(connection):
            return
        await asyncio.sleep(0.1)
    raise DatabaseUnavailable


def _is_applied(migration: Migration, applied: dict[int, tuple[str, bytes]]) -> bool:
    if migration.number not in applied:
        return False
    if applied[migration.number] != (migration.name, migration.sha256):
        raise MigrationChanged(name=migration.name)
    return True
