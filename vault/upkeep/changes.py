"""What an operator's command changes: in one transaction with the event that tells of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from vault.recorded import operator_event
from vault.store.audit import append
from vault.store.database import Connection, Database, Role, translated


@asynccontextmanager
async def operator_change(
    database: Database, action: str, about: str, tenant: str | None = None
) -> AsyncIterator[Connection]:
    """Give the owner's connection; what is done with it and the event are committed together, or neither is."""
    connection = await database.connect(Role.OWNER)
    try:
        with translated():
            async with connection.transaction():
                yield connection
                await append(connection, [operator_event(action, about, tenant)])
    finally:
        await connection.close()


@asynccontextmanager
async def operator_look(database: Database) -> AsyncIterator[Connection]:
    """Give the owner's connection, to read with."""
    connection = await database.connect(Role.OWNER)
    try:
        with translated():
            yield connection
    finally:
        await connection.close()
