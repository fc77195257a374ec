"""The supervisor: starts workers, starts them again, stops them together. It has no vault, no key, and sees no request.

It owns what there is once: the addresses, the embedded database, the configuration that is in force, and the metrics
of workers that have ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from proxy.config import Config, load_text
from proxy.errors import ConfigInvalid, WorkersFailed
from proxy.workers import merging
from proxy.workers.changing import Changing
from proxy.workers.channel import Message
from proxy.workers.forking import Forking
from proxy.workers.reserving import Reserved
from proxy.workers.slot import Slot
from vault.upkeep.startup import Database, embedded_database

METRICS_SECONDS = 2.0
STOP_MARGIN_S = 30.0  # for what a worker writes when its last request has ended

log = structlog.get_logger()


class Supervisor:
    """Runs `count` workers. `start` returns when all of them accept; `ended` when one of them is the end of all."""

    def __init__(self, file: Path, text: str, forking: Forking, count: int) -> None:
        self.config: Config = load_text(text, file)
        self.urls: dict[str, str] = {}
        self._forking = forking
        self._slots = [Slot(number, forking) for number in range(1, count + 1)]
        self._reserved = Reserved()
        self._database: Database | None = None
        self._keeping: list[asyncio.Task[None]] = []
        self._registry = CollectorRegistry()
        self._reloads = Counter("panless_config_reloads", "-", ["outcome"], registry=self._registry)
        self._running = Gauge("panless_workers", "Workers that accept connections.", registry=self._registry)
        self._restarts = Counter("panless_worker_restarts", "Workers started again.", registry=self._registry)
        self._past: merging.Families = []
        self._changing = Changing(file, text, self._slots, lambda outcome: self._reloads.labels(outcome).inc())
        self._reading: asyncio.Task[None] | None = None

    def reload(self) -> None:
        """Let all workers read configuration and secrets again; what is wrong for one changes nothing."""
        self._changing.ask()

    async def start(self) -> None:
        """Return when all accept. The first one begins alone: what it makes the others find, and what it lacks is
        told once. Raises WorkerRefusedError or a PanlessError.
        """
        listeners = [each for _, each in self.config.listen if each] + [r for r in self.config.outbound if r.bind]
        if not listeners:
            raise ConfigInvalid(file=str(self.config.file), key="listen", problem="no listener is configured")
        self._reserved.reserve(self.config)
        await self._forking.start()
        if self.config.database.url is None:
            data_dir = self.config.resolve(self.config.data_dir)
            self._database = await embedded_database(data_dir, holder="serve", processes=len(self._slots))
        for slots in (self._slots[:1], self._slots[1:]):
            self._keeping += [asyncio.create_task(self._keep(slot)) for slot in slots]
            await self._all(slots)
        self._reading = asyncio.create_task(self._changing.run())

    async def ended(self) -> None:
        """Wait for what ends all; raises it."""
        done, _ = await asyncio.wait(self._keeping, return_when=asyncio.FIRST_EXCEPTION)
        for each in done:
            each.result()

    async def stop(self) -> None:
        """Stop all workers together, then what is theirs; raises WorkersFailed if one had to be killed."""
        log.info("stopping")
        if self._reading is not None:
            self._reading.cancel()
        for slot in self._slots:
            slot.stop()
        late: set[asyncio.Task[None]] = set()
        if self._keeping:
            patience = 2 * self.config.limits.stop_seconds + STOP_MARGIN_S
            _, late = await asyncio.wait(self._keeping, timeout=patience)
            for slot in self._slots:
                slot.kill()
            await asyncio.gather(*self._keeping, return_exceptions=True)
        self._reserved.close()
        if self._database is not None:
            await self._database.close()
        self._forking.close()
        log.info("stopped")
        if late:
            raise WorkersFailed(reason=f"{len(late)} of them did not end in time and were killed")

    async def _all(self, slots: Sequence[Slot]) -> None:
        """Wait until these are ready; raises what has ended one."""
        ready = asyncio.gather(*(slot.ready.wait() for slot in slots))
        failing = asyncio.create_task(self.ended())
        try:
            waiting: list[asyncio.Future[Any]] = [ready, failing]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if failing.done():
                failing.result()
        finally:
            failing.cancel()
            ready.cancel()

    async def _keep(self, slot: Slot) -> None:
        """Run one worker after the other in a slot; raises what is the end of all."""
        loop = asyncio.get_running_loop()
        while not slot.stopping:
            began = loop.time()
            slot.text = self._changing.text
            status = await slot.live(lambda message: self._answer(slot, message))
            self._past = merging.lasting(merging.merged([self._past, slot.seen]))
            slot.seen = []
            if slot.stopping:
                return
            others = any(each.serves for each in self._slots)
            pause = slot.after(status, loop.time() - began, others=others)
            await asyncio.sleep(pause)
            slot.restarted = True
            self._restarts.inc()

    async def _answer(self, slot: Slot, message: Message) -> Message:
        match message["ask"]:
            case "begin":
                return {"text": slot.text, "ports": self._reserved.ports}
            case "listen":
                await self._changing.admit(slot)
            case "ready":
                self.urls = dict(message["urls"])
                slot.ready.set()
                log.info("worker_ready", worker=slot.number, process=slot.pid)
            case "metrics":
                slot.seen = message["families"]
            case "merged":
                return {"text": (await self._merged()).decode()}
        return {}

    async def _merged(self) -> bytes:
        await asyncio.gather(*(self._look(slot) for slot in self._slots))
        self._running.set(sum(slot.ready.is_set() for slot in self._slots))
        own = merging.families(self._registry.collect())
        parts = [each.seen for each in self._slots]
        return merging.render(merging.merged([*parts, self._past, own]))

    async def _look(self, slot: Slot) -> None:
        # What does not answer in time counts as it was: a sum must not go down.
        with suppress(ConnectionError, TimeoutError):
            answer: dict[str, Any] = await slot.ask("look", seconds=METRICS_SECONDS)
            slot.seen = answer.get("families", slot.seen)  # one that has just begun has none
