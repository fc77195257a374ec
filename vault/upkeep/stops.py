"""Who has to wait, and how much was revealed: as the operator sees it, and ends it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from vault.errors import StopNotFound
from vault.recorded import operator_event
from vault.store.audit import append
from vault.store.database import Database, Role, translated
from vault.store.velocity import Stop, Total, list_stops, list_totals, resume

__all__ = ["Brakes", "Stop", "Total", "look", "release"]

SHOWN = 20


@dataclass(frozen=True, slots=True)
class Brakes:
    """Who has to wait, and the highest counts."""

    stops: Sequence[Stop]
    totals: Sequence[Total]


async def look(database: Database) -> Brakes:
    """Return what holds now."""
    now = datetime.now(UTC)
    connection = await database.connect(Role.OWNER)
    try:
        return Brakes(await list_stops(connection, now), await list_totals(connection, now, SHOWN))
    finally:
        await connection.close()


async def release(database: Database, subject: str) -> None:
    """Let a subject go on; raises StopNotFound. Running processes follow within a second."""
    connection = await database.connect(Role.OWNER)
    try:
        with translated():
            async with connection.transaction():
                if not await resume(connection, subject):
                    raise StopNotFound(subject=subject)
                await append(connection, [operator_event("velocity.resume", subject)])
    finally:
        await connection.close()
