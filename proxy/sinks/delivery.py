"""Delivering the log to its sinks: aside, from where each stopped, again and again until it has what is due.

No request waits for a sink. A sink that fails is asked again after a pause that grows; the metrics say how far it is
behind. At the end each gets what is there, if it takes it quickly.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from proxy.config import Config
from proxy.config.audit import AnySink
from proxy.edge.metrics import Metrics
from proxy.settings import vault_settings
from proxy.sinks.building import build
from proxy.sinks.payload import Sink, payload_of
from vault.errors import PanlessError
from vault.feed import Feed
from vault.upkeep.checkpoints import make_checkpoint
from vault.upkeep.startup import Database

LOOK_SECONDS = 1.0
MOST_SECONDS = 60.0
LAST_SECONDS = 5.0

log = structlog.get_logger()


class Delivery:
    """One sink's deliveries."""

    def __init__(self, config: AnySink, sink: Sink, feed: Feed) -> None:
        self.config = config
        self._sink = sink
        self._feed = feed

    async def step(self, *, wait: bool = False) -> int | None:
        """Send what is due, one batch of it; return how much the sink took, None if there was nothing.

        Raises AuditSinkFailed or a StoreError; then all of it stays due.
        """
        async with self._feed.next(self.config.name, self.config.what, wait=wait) as batch:
            if batch is None or not batch:
                return None
            payload = payload_of(batch, self.config)
            if payload:
                await self._sink.send(payload)
        return len(payload)

    async def all(self, *, wait: bool = False) -> None:
        """Send everything that is due."""
        while await self.step(wait=wait) is not None:
            pass

    async def behind(self) -> int:
        return await self._feed.behind(self.config.name, self.config.what)

    async def close(self) -> None:
        await self._sink.close()


class Deliveries:
    """All sinks of one process."""

    def __init__(self, feed: Feed, deliveries: Sequence[Delivery], metrics: Metrics) -> None:
        self._feed = feed
        self._deliveries = deliveries
        self._metrics = metrics
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    async def start(cls, config: Config, database: Database, metrics: Metrics) -> Deliveries | None:
        """Begin to deliver; None if no sink is configured. Raises ConfigInvalid or StoreError."""
        if not config.audit.sink:
            return None
        feed = await Feed.open(database, events=any(each.what == "events" for each in config.audit.sink))
        try:
            deliveries = _deliveries(config, feed)
        except BaseException:
            await feed.close()
            raise
        started = cls(feed, deliveries, metrics)
        started._tasks = [asyncio.create_task(started._go_on(each)) for each in deliveries]
        return started

    async def stop(self) -> None:
        """Deliver what is there, if it goes quickly, and let go."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(self._last(each) for each in self._deliveries))
        for each in self._deliveries:
            await each.close()
        await self._feed.close()

    async def _go_on(self, delivery: Delivery) -> None:
        pause = LOOK_SECONDS
        while True:
            pause = LOOK_SECONDS if await self._try(delivery) else min(pause * 2, MOST_SECONDS)
            await asyncio.sleep(pause)

    async def _try(self, delivery: Delivery) -> bool:
        """Send everything that is due; return whether the sink took it."""
        name = delivery.config.name
        try:
            while (sent := await delivery.step()) is not None:
                self._metrics.sink_sent.labels(name).inc(sent)
            self._metrics.sink_behind.labels(name).set(await delivery.behind())
        except Exception as error:  # noqa: BLE001  # whatever it is, what is due stays due
            code = error.code if isinstance(error, PanlessError) else "internal_error"
            self._metrics.sink_failures.labels(name).inc()
            log.warning("sink_failed", sink=name, code=code)
            return False
        return True

    async def _last(self, delivery: Delivery) -> None:
        try:
            async with asyncio.timeout(LAST_SECONDS):
                await self._try(delivery)
        except TimeoutError:
            log.warning("sink_failed", sink=delivery.config.name, code="audit_sink_failed")


async def deliver_now(config: Config, database: Database) -> None:
    """Make a checkpoint, and send every sink everything that is due.

    Raises what makes a checkpoint impossible, ConfigInvalid, StoreError, or AuditSinkFailed if one sink does not take
    it; the other ones may have got it then.
    """
    await make_checkpoint(vault_settings(config), database)
    if not config.audit.sink:
        return
    feed = await Feed.open(database, events=any(each.what == "events" for each in config.audit.sink))
    try:
        for delivery in _deliveries(config, feed):
            try:
                await delivery.all(wait=True)
            finally:
                await delivery.close()
    finally:
        await feed.close()


def _deliveries(config: Config, feed: Feed) -> list[Delivery]:
    return [Delivery(each, build(each, config), feed) for each in config.audit.sink]
