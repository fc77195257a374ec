"""The worker of a process: takes operations out of the queue and has them sent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from uuid import uuid4

import structlog

from proxy.edge.metrics import Metrics
from proxy.state.held import EVERY, now
from proxy.state.operations import Operation
from proxy.state.store import State
from proxy.working import Working
from vault.errors import PanlessError

AT_ONCE = 32
LOOK_SECONDS = 1.0

log = structlog.get_logger()


class Worker:
    """`working` gives what sends under the configuration that is in force. Start `task`; `stop` ends it."""

    def __init__(self, state: State, working: Callable[[], Working], metrics: Metrics) -> None:
        self._queue = state.queue
        self._held = state.held
        state.queue.added = self.wake
        self._working = working
        self._metrics = metrics
        self._asked = asyncio.Event()
        self._attempts: set[asyncio.Task[None]] = set()
        self._stopping = False

    def wake(self) -> None:
        """Say that there is something to do."""
        self._asked.set()

    async def task(self) -> None:
        """Work until it is stopped."""
        looked = 0.0
        while not self._stopping:
            self._asked.clear()
            try:
                taken = await self._take(self._claim, lambda operation: self._working().attempt(operation))
                if (now := asyncio.get_running_loop().time()) - looked > EVERY:
                    looked = now
                    await self._take(self._abandoned, lambda operation: self._working().give_up(operation))
                    await self._count()
            except PanlessError as error:
                log.warning("operations_not_taken", code=error.code)
                taken = False
            if not taken:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._asked.wait(), LOOK_SECONDS)

    async def stop(self, seconds: float) -> None:
        """Take nothing more; let what is under way end, for so long."""
        self._stopping = True
        self.wake()
        if self._attempts:
            _, late = await asyncio.wait(self._attempts, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _claim(self, most: int) -> Sequence[Operation]:
        runs = [uuid4() for _ in range(most)]
        try:
            return await self._queue.claim(runs)
        except PanlessError:
            # Some may be claimed all the same. They were not sent, and must not be in doubt.
            self._held.later(runs[0], lambda: self._queue.give_back(runs))
            raise

    async def _abandoned(self, most: int) -> Sequence[Operation]:
        return await self._queue.abandoned(most, self._held.runs)

    async def _take(
        self,
        take: Callable[[int], Awaitable[Sequence[Operation]]],
        work: Callable[[Operation], Awaitable[None]],
    ) -> bool:
        free = AT_ONCE - len(self._attempts)
        since = now()
        operations = await take(free) if free > 0 else []
        for operation in operations:
            self._held.begin(operation.run, since)
            task = asyncio.create_task(self._work(operation, work))
            self._attempts.add(task)
            task.add_done_callback(self._done)
        return bool(operations)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._attempts.discard(task)
        self.wake()  # there is room for another one, whose turn may be now

    async def _work(self, operation: Operation, work: Callable[[Operation], Awaitable[None]]) -> None:
        try:
            await work(operation)
        except Exception as error:  # it is found abandoned, and taken up again if that is safe
            log.error("operation_failed", operation=str(operation.id), exc_info=error)
            self._held.abandon(operation.run)
        except asyncio.CancelledError:
            self._held.abandon(operation.run)
            raise

    async def _count(self) -> None:
        counts = await self._queue.counts()
        for state in ("pending", "running"):
            number, oldest = counts.get(state, (0, 0.0))
            self._metrics.operations.labels(state).set(number)
            self._metrics.operations_oldest.labels(state).set(oldest)
