"""The brakes of one process: which limits hold, what is usual, and who has to wait."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from vault.errors import PanlessError, RevealsStopped, VelocityExceeded
from vault.store.velocity import Stop, VelocityRows
from vault.velocity import Count, Limits, Then, failure_counts, reveal_counts

USUAL_EVERY, CLEAN_EVERY = 60, 600
MOST_TOLD = 1000


class Brakes:
    """Kept up to date by `beat`, once a second. `limits` is replaced when the configuration is."""

    def __init__(self, limits: Limits, rows: VelocityRows) -> None:
        self.limits = limits
        self._rows = rows
        self._usual: Mapping[str, float] = {}
        self._stops: Mapping[str, Stop] = {}
        self._told: Mapping[tuple[str, int], datetime] = {}
        self._beats = 0

    async def beat(self) -> None:
        """See who was stopped or resumed and, once a minute, what is usual; counts that are over are deleted."""
        now = datetime.now(UTC)
        before = self._stops
        found = await self._rows.stops(now)
        added = [stop for subject, stop in self._stops.items() if before.get(subject) is not stop]
        self._stops = _longest([*found, *added])
        if self._beats % USUAL_EVERY == 0 and self.limits.unusual.factor is not None:
            self._usual = await self._rows.usual(now)
        self._beats += 1
        if self._beats % CLEAN_EVERY == 0:
            await self._rows.clean(now)

    def check(self, subjects: Iterable[str]) -> None:
        """Raise VelocityExceeded or RevealsStopped if one of them has to wait. If nobody has, none is made."""
        if not self._stops:
            return
        now = datetime.now(UTC)
        for subject in subjects:
            stop = self._stops.get(subject)
            if stop is None:
                continue
            if stop.until is None:
                raise RevealsStopped(subject=subject, rule=stop.rule)
            if stop.until > now:
                wait = math.ceil((stop.until - now).total_seconds())
                raise VelocityExceeded(seconds=wait, rule=stop.rule, subject=subject)

    def of_reveal(self, app: str, route: str, tokens: Sequence[str]) -> list[Count]:
        """Return what a reveal counts as."""
        return reveal_counts(self.limits, self._usual, app, route, tokens)

    def of_failure(self, subject: str) -> list[Count]:
        """Return what a look-up that found nothing counts as."""
        return failure_counts(self.limits, subject)

    async def refused(self, error: PanlessError, counts: Sequence[Count]) -> Count | None:
        """Stop who went over a limit that says so, and return the limit if this is the first refusal of its window."""
        now = datetime.now(UTC)
        over = tuple(error.ids.get(each) for each in ("rule", "subject", "window"))
        for count in counts:
            if over != (count.rule, count.subject, count.seconds):
                continue
            if count.then is Then.STOP:
                await self.stop(count, now)
            window = (count.key, count.seconds)
            if self._told.get(window) != count.began(now):
                self._told = {**self._told, window: count.began(now)} if len(self._told) < MOST_TOLD else {}
                return count
        return None

    async def stop(self, count: Count, now: datetime) -> None:
        """Let the subject of a count wait."""
        stop = Stop(count.subject, count.rule, now, count.ends(now) if count.then is Then.THROTTLE else None)
        self._stops = _longest([*self._stops.values(), stop])
        await self._rows.stop(stop)


def _longest(stops: Iterable[Stop]) -> Mapping[str, Stop]:
    """Return of each subject the stop that ends last: one that waits for an operator is not ended by a shorter one."""
    found: dict[str, Stop] = {}
    for stop in stops:
        other = found.get(stop.subject)
        if other is None or _end(stop) > _end(other):
            found[stop.subject] = stop
    return found


def _end(stop: Stop) -> datetime:
    return stop.until or datetime.max.replace(tzinfo=UTC)
