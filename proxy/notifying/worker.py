"""The worker: leases events that are due, sends them, and says how it ended. Each process has one; they share the work.

What a process that died had leased belongs to the others once its lease is over: each event is delivered at least once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog

from proxy.edge.metrics import Metrics
from proxy.notifying.attempt import attempt, pause
from proxy.state.store import State
from proxy.state.webhook_events import KIND, PREFIX, Claimed, Outcome
from proxy.state.webhook_keeping import WebhookKeeping
from proxy.upstream.client import UpstreamClient
from proxy.webhook_routes import Destination, Destinations
from vault.documents import Documents
from vault.errors import DatabaseUnavailable, KeyDestroyed, KeyUnavailable, PanlessError, RecordDoesNotOpen
from vault.tokens import type_id, uuid7

LOOK_SECONDS = 1.0
LEASE = timedelta(seconds=10)
RENEW_SECONDS = 3.0
KEEP_SECONDS = 10.0
STOP_SECONDS = 5.0
AT_ONCE = 8
"""Deliveries to one route at a time: a slow application keeps nobody but itself waiting."""
EXPIRY_GRACE = timedelta(minutes=5)

To = tuple[str, str]
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Sending:
    """What is in force: where events go, and the client that sends them there."""

    destinations: Destinations
    upstream: UpstreamClient


class Notifying:
    """The worker of one process. `run` names its leases."""

    def __init__(self, state: State, documents: Documents, now: Callable[[], Sending], metrics: Metrics) -> None:
        self.events = state.events
        self.run = uuid7()
        self._state = state
        self._keeping = WebhookKeeping(state.pool)
        self._documents = documents
        self._now = now
        self._metrics = metrics
        self._woken = asyncio.Event()
        self._going: dict[UUID, tuple[To, asyncio.Task[None]]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to deliver."""
        works = ((self.step, LOOK_SECONDS), (self._renew, RENEW_SECONDS), (self._keep, KEEP_SECONDS))
        self._tasks = [asyncio.create_task(self._go_on(work, seconds)) for work, seconds in works]

    def wake(self) -> None:
        """Something is due: look at once."""
        self._woken.set()

    async def stop(self) -> None:
        """Let attempts end that end soon, and give the rest back."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        going = [task for _, task in self._going.values()]
        if going:
            await asyncio.wait(going, timeout=STOP_SECONDS)
        for task in going:
            task.cancel()
        await asyncio.gather(*going, return_exceptions=True)
        try:
            await self.events.release(self.run)
        except PanlessError as error:
            log.warning("webhooks_not_released", code=error.code)

    async def _go_on(self, work: Callable[[], object], seconds: float) -> None:
        looks = work == self.step
        while True:
            if looks:
                self._woken.clear()
            try:
                await work()  # type: ignore[misc]  # all of them are coroutines
            except PanlessError as error:
                log.warning("webhooks_not_delivered", code=error.code)
            except Exception as error:  # what is due stays due
                log.error("webhooks_failed", exc_info=error)
            if not looks:
                await asyncio.sleep(seconds)
                continue
            try:
                async with asyncio.timeout(seconds):
                    await self._woken.wait()
            except TimeoutError:
                pass

    async def step(self) -> None:
        """Begin to deliver what is due; raises StoreError."""
        sending, now = self._now(), datetime.now(UTC)
        for to in await self.events.due(now):
            destination = sending.destinations.get(to)
            free = AT_ONCE - sum(each == to for each, _ in self._going.values())
            if destination is None or free <= 0:
                continue
            until = now + LEASE
            for claimed in await self.events.claim(to, self.run, now, until, limit=free, but=tuple(self._going)):
                task = asyncio.create_task(self._deliver(claimed, to, destination, sending.upstream))
                self._going[claimed.id] = to, task
                task.add_done_callback(lambda _, event=claimed.id: self._ended(event))  # type: ignore[misc]

    def _ended(self, event: UUID) -> None:
        self._going.pop(event, None)
        self._woken.set()

    async def _deliver(self, claimed: Claimed, to: To, destination: Destination, upstream: UpstreamClient) -> None:
        try:
            outcome, asked = await self._attempt(claimed, destination, upstream)
            await self._settle(claimed, to, destination, outcome, asked)
        except PanlessError as error:  # the lease ends by itself
            log.warning("webhook_not_settled", route=to[1], code=error.code)
        except Exception as error:
            log.error("webhook_failed", route=to[1], exc_info=error)

    async def _attempt(
        self, claimed: Claimed, destination: Destination, upstream: UpstreamClient
    ) -> tuple[Outcome, float]:
        try:
            data = await self._documents.open(await self._state.document(claimed.document, KIND))
        except (KeyUnavailable, DatabaseUnavailable):
            raise
        except (KeyDestroyed, RecordDoesNotOpen) as error:
            return Outcome(None, error.code), 0.0
        return await attempt(upstream, destination, claimed.id, data, datetime.now(UTC))

    async def _settle(self, claimed: Claimed, to: To, destination: Destination, outcome: Outcome, asked: float) -> None:
        now = datetime.now(UTC)
        if outcome.code is None:
            if await self.events.delivered(claimed.id, self.run, outcome, now, now + destination.keep):
                self._metrics.webhooks_delivered.labels(to[1], "delivered").inc()
            return
        next_run = now + pause(claimed.attempts, asked)
        hopeless = outcome.code in (KeyDestroyed.code, RecordDoesNotOpen.code)
        if hopeless or next_run > claimed.deliver_until:
            if await self.events.dead(claimed.id, self.run, outcome, now):
                self._metrics.webhooks_delivered.labels(to[1], "dead").inc()
                self._tell("webhook_dead", claimed, to, outcome)
            return
        await self.events.again(claimed.id, self.run, outcome, next_run)
        self._tell("webhook_not_taken", claimed, to, outcome)
        self._metrics.webhooks_delivered.labels(to[1], "failed").inc()

    def _tell(self, what: str, claimed: Claimed, to: To, outcome: Outcome) -> None:
        about = {"route": to[1], "status": outcome.status, "code": outcome.code, "attempts": claimed.attempts}
        log.warning(what, webhook=type_id(PREFIX, claimed.id), **about)

    async def _renew(self) -> None:
        if self._going:
            await self.events.renew(self.run, datetime.now(UTC) + LEASE, tuple(self._going))

    async def _keep(self) -> None:
        now = datetime.now(UTC)
        while await self._keeping.purge(now):
            pass
        for _, route in await self._keeping.expire(now, EXPIRY_GRACE):
            self._metrics.webhooks_delivered.labels(route, "dead").inc()
        self._metrics.webhooks_pending.clear()
        self._metrics.webhooks_oldest.clear()
        for each in await self._keeping.pending():
            self._metrics.webhooks_pending.labels(each.route).set(each.count)
            self._metrics.webhooks_oldest.labels(each.route).set((now - each.since).total_seconds())
