"""What a Panless does beside its requests: sends what is due, holds what is under way, purges what is over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from proxy.edge.metrics import Metrics
from proxy.notifying.worker import Notifying, Sending
from proxy.operations.attempting import Working
from proxy.operations.worker import Worker
from proxy.state.store import State
from vault.errors import StoreError
from vault.service import Vault

PURGE_SECONDS = 30

log = structlog.get_logger()


class Background:
    """`sending` and `working` give what is in force: they are asked each time."""

    def __init__(
        self,
        vault: Vault,
        state: State,
        metrics: Metrics,
        *,
        sending: Callable[[], Sending],
        working: Callable[[], Working],
    ) -> None:
        self._vault = vault
        self._metrics = metrics
        self.state = state
        self.notifying = Notifying(state, vault.documents, sending, metrics)
        self._worker = Worker(state, working, metrics)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin, once there is a configuration in force."""
        works = (self._purge(), self.state.held.task(), self._worker.task())
        self._tasks = [asyncio.create_task(work) for work in works]
        self.notifying.start()

    async def stop(self, seconds: float) -> None:
        """Take nothing more; let what is under way end, for so long; write what is left."""
        await self._worker.stop(seconds)
        await self.notifying.stop()
        for task in self._tasks:
            task.cancel()
        await self.state.close()

    async def _purge(self) -> None:
        while True:
            await asyncio.sleep(PURGE_SECONDS)
            try:
                self._metrics.purged.inc(await self._vault.purge_leases())
                self._metrics.tokens_purged.inc(await self._vault.purge_tokens())
                await self.state.purge()
            except StoreError as error:
                log.warning("purge_failed", code=error.code)
