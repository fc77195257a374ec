"""The worker of a process: takes operations out of the queue and has them sent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from uuid import UUID

import structlog

from proxy.edge.metrics import Metrics
from proxy.operations.attempting import Working
from proxy.outgoing.operation_ids import PREFIX
from proxy.state.held import EVERY
from proxy.state.operations import Operation
from proxy.state.store import State
from vault.errors import PanlessError, StoreError
from vault.tokens import type_id, uuid7

AT_ONCE = 16
"""Operations of one route at a time."""
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
        self._attempts: dict[asyncio.Task[None], str] = {}
        self._lost: list[UUID] = []
        self._stopping = False

    def wake(self) -> None:
        """Say that there is something to do."""
        self._asked.set()

    async def task(self) -> None:
        """Work until it is stopped."""
        looked, taken = 0.0, list[Operation]()
        while not self._stopping:
            self._asked.clear()
            try:
                working = self._working()
                taken = await self._take(working.routes)
                self._begin(taken, working.attempt)
                if (now := asyncio.get_running_loop().time()) - looked > EVERY:
                    looked = now
                    self._begin(await self._queue.abandoned(AT_ONCE, self._held.runs), working.give_up)
                    await self._count()
            except PanlessError as error:
                log.warning("operations_not_taken", code=error.code)
                taken = []
            if not taken:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._asked.wait(), LOOK_SECONDS)

    async def stop(self, seconds: float) -> None:
        """Take nothing more; let what is under way end, for so long."""
        self._stopping = True
        self.wake()
        if self._attempts:
            _, late = await asyncio.wait(list(self._attempts), timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _take(self, routes: Iterable[str]) -> list[Operation]:
        while self._lost:
            await self._queue.unclaim(self._lost[-1])
            self._lost.pop()
        claim = uuid7()
        try:
            return await self._queue.claim(claim, self._free(routes))
        except StoreError:
            self._lost.append(claim)  # it may be there all the same
            raise

    def _free(self, routes: Iterable[str]) -> dict[str, int]:
        """Return how many more operations each route may have under way, for those that have room."""
        free = {route: AT_ONCE - sum(each == route for each in self._attempts.values()) for route in routes}
        return {route: most for route, most in free.items() if most > 0}

    def _begin(self, operations: Sequence[Operation], work: Callable[[Operation], Awaitable[None]]) -> None:
        for operation in operations:
            self._held.begin(operation.run)
            task = asyncio.create_task(self._work(operation, work))
            self._attempts[task] = operation.route
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._attempts.pop(task, None)
        self.wake()  # there is room for another one, whose turn may be now

    async def _work(self, operation: Operation, work: Callable[[Operation], Awaitable[None]]) -> None:
        try:
            await work(operation)
        except Exception as error:  # it is found abandoned, and taken up again if that is safe
            log.error("operation_failed", operation=type_id(PREFIX, operation.id), exc_info=error)
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
