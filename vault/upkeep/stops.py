"""Who has to wait, and how much was revealed: as the operator sees it, and ends it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from vault.errors import StopNotFound
from vault.store.database import Database
from vault.store.velocity import Stop, Total, list_stops, list_totals, resume
from vault.upkeep.changes import operator_change, operator_look

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
    async with operator_look(database) as connection:
        return Brakes(await list_stops(connection, now), await list_totals(connection, now, SHOWN))


async def release(database: Database, subject: str) -> None:
    """Let a subject go on; raises StopNotFound. Running processes follow within a second."""
    async with operator_change(database, "velocity.resume", subject) as connection:
        if not await resume(connection, subject):
            raise StopNotFound(subject=subject)
