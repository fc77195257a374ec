"""The tables `reveal_counts`, `used_sessions` and `stops`: how much was done, what was used, who has to wait."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from vault.store.database import Connection, Pool, translated
from vault.velocity import HOUR, UNUSUAL_RATE

_USUAL_DAYS = 7
_USUAL_HOURS = 3

# Of hours in which nothing was revealed there are no rows: what is usual is told by hours of work.
_USUAL = """
SELECT substr(subject, $1), avg(count)::float8 FROM reveal_counts
WHERE starts_with(subject, $2) AND seconds = $3 AND began >= $4::timestamptz - $5::interval
  AND began < date_trunc('hour', $4::timestamptz, 'UTC')
GROUP BY 1 HAVING count(*) >= $6
"""
# What is usual is told by a week; everything else is over with its window.
_CLEAN = """
DELETE FROM reveal_counts
WHERE began < $1::timestamptz - CASE WHEN starts_with(subject, $2) THEN interval '8 days'
                                     ELSE make_interval(secs => 2 * seconds) END
"""
_CLEAN_SESSIONS = "DELETE FROM used_sessions WHERE ends < $1::timestamptz - interval '1 hour'"
_STOP = "INSERT INTO stops (subject, rule, since, until) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING"
_STOPS = "SELECT subject, rule, since, until FROM stops WHERE until IS NULL OR until > $1 ORDER BY since"


@dataclass(frozen=True, slots=True)
class Stop:
    """Somebody who has to wait: until a time or, with None, until an operator says otherwise."""

    subject: str
    rule: str
    since: datetime
    until: datetime | None


class VelocityRows:
    """What one process does with the tables."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def usual(self, now: datetime) -> dict[str, float]:
        """Return how many tokens each application reveals in an hour of work, where it had enough of such hours."""
        prefix = f"{UNUSUAL_RATE}/app:"
        arguments = (len(prefix) + 1, prefix, HOUR, now, timedelta(days=_USUAL_DAYS), _USUAL_HOURS)
        with translated():
            return {row[0]: row[1] for row in await self._pool.fetch(_USUAL, *arguments)}

    async def clean(self, now: datetime) -> None:
        """Delete counts that nobody needs any more."""
        with translated():
            await self._pool.execute(_CLEAN, now, f"{UNUSUAL_RATE}/")
            await self._pool.execute(_CLEAN_SESSIONS, now)

    async def stop(self, stop: Stop) -> None:
        with translated():
            await self._pool.execute(_STOP, stop.subject, stop.rule, stop.since, stop.until)

    async def stops(self, now: datetime) -> list[Stop]:
        with translated():
            return [Stop(*row) for row in await self._pool.fetch(_STOPS, now)]


@dataclass(frozen=True, slots=True)
class Total:
    """How much was counted for a subject by a rule in a window of so many seconds that has not ended."""

    rule: str
    subject: str
    seconds: int
    count: int


_TOTALS = """
SELECT split_part(subject, '/', 1), substr(subject, strpos(subject, '/') + 1), seconds, count FROM reveal_counts
WHERE began + seconds * interval '1 second' > $1 ORDER BY count DESC, subject, seconds LIMIT $2
"""


async def list_totals(connection: Connection, now: datetime, most: int) -> list[Total]:
    """Return the highest counts of windows that have not ended."""
    with translated():
        return [Total(*row) for row in await connection.fetch(_TOTALS, now, most)]


async def list_stops(connection: Connection, now: datetime) -> Sequence[Stop]:
    """Return who has to wait, for the operator."""
    with translated():
        return [Stop(*row) for row in await connection.fetch(_STOPS, now)]


async def resume(connection: Connection, subject: str) -> int:
    """End the stops of a subject; return how many there were."""
    with translated():
        return len(await connection.fetch("DELETE FROM stops WHERE subject = $1 RETURNING 1", subject))
