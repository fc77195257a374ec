"""Getting at the database and the KEK before anything else can be done."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

from vault.errors import KeyUnavailable
from vault.key_settings import FileSettings
from vault.keys.file import FileKeyProvider
from vault.keys.keks import Keks
from vault.keys.provider import GivenShare
from vault.keys.providers import build_all
from vault.settings import VaultSettings
from vault.store.database import Database, Role
from vault.store.embedded import EmbeddedDatabase
from vault.store.keys import KeyRows, wrapping_keks

__all__ = [
    "Database",
    "GivenShare",
    "Keks",
    "create_kek",
    "embedded_database",
    "ensure_development_kek",
    "open_database",
    "open_keks",
]

_ROLES = {"owner": Role.OWNER, "proxy": Role.PROXY, "auditor": Role.AUDITOR}


async def open_database(settings: VaultSettings, *, holder: Literal["serve", "command", "worker"]) -> Database:
    """Start the embedded PostgreSQL, or join the one that runs, or just say where the external one is."""
    if settings.embedded:
        return await embedded_database(settings.data_dir, holder=holder)
    urls = {_ROLES[name]: url for name, url in settings.urls.items()}
    return Database(urls=urls, statement_cache=settings.statement_cache)


async def embedded_database(
    data_dir: Path, *, holder: Literal["serve", "command", "worker"], processes: int = 1
) -> Database:
    """Start the embedded PostgreSQL for so many processes that serve, or join the one that runs."""
    return Database(embedded=await EmbeddedDatabase.start(data_dir, holder=holder, processes=processes))


async def ensure_development_kek(settings: VaultSettings, database: Database) -> bool:
    """Make the KEK file of a new embedded database; return whether one was made.

    Raises KeyUnavailable when the file is missing but data keys exist that no other provider can unwrap: a new KEK
    could not either, and would be in the place of the one that is missing.
    """
    file = settings.providers[0]
    if not isinstance(file, FileSettings) or file.path.exists() or not settings.embedded:
        return False
    connection = await database.connect(Role.PROXY)
    try:
        others = build_all(settings.providers[1:])
        for kek in await wrapping_keks(connection):
            if not any(other.holds(kek) for other in others):
                raise KeyUnavailable(key=kek, reason=f"{file.path} is missing, and the vault was sealed under it")
    finally:
        await connection.close()
    FileKeyProvider.create(file.path)
    return True


@asynccontextmanager
async def open_keks(settings: VaultSettings, database: Database) -> AsyncIterator[Keks]:
    """The KEKs of all configured providers, for a command that runs as the database's owner."""
    connection = await database.connect(Role.OWNER)
    try:
        keks = Keks(build_all(settings.providers), KeyRows(connection), per_tenant=settings.tenant_keks)
        try:
            yield keks
        finally:
            await keks.close()
    finally:
        await connection.close()


def create_kek(file: FileSettings) -> None:
    """Make a new KEK file; raises KeyUnavailable if there is one."""
    try:
        FileKeyProvider.create(file.path)
    except FileExistsError:
        raise KeyUnavailable(key="kek", reason=f"{file.path} exists already; it stays as it is") from None
    except OSError:
        raise KeyUnavailable(key="kek", reason=f"{file.path} cannot be written") from None
