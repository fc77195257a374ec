"""The place of one worker: started, and started again when it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from contextlib import suppress
from typing import Any

import structlog

from proxy.errors import WorkersFailed
from proxy.workers.channel import Answer, Channel, Message
from proxy.workers.forking import Forking
from proxy.workers.merging import Families

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 15.0
SETTLED_S = 10.0
IN_A_ROW = 5

log = structlog.get_logger()


class WorkerRefusedError(Exception):
    """A worker could not start at first, and has said why on stderr. Its exit code is ours."""

    def __init__(self, code: int) -> None:
        self.code = code


class Slot:
    """Worker `number`, whichever process it is.

    `serves`: it may listen, and has to be asked about every change. `seen`: its metrics as it last told them.
    """

    def __init__(self, number: int, forking: Forking) -> None:
        self.number = number
        self.pid = 0
        self.serves = False
        self.text = ""  # of the configuration that it began with, or took over
        self.seen: Families = []
        self.ready = asyncio.Event()
        self.restarted = False
        self.stopping = False
        self._forking = forking
        self._channel: Channel | None = None
        self._failures = 0

    async def ask(self, what: str, *, seconds: float, **members: Any) -> Message:
        """Ask the worker; raises ConnectionError or TimeoutError."""
        if self._channel is None:
            raise ConnectionError
        return await self._channel.ask(what, seconds=seconds, **members)

    async def live(self, answer: Answer) -> int:
        """Run one process of it to its end; return its exit status, negative for a signal."""
        ours, theirs = socket.socketpair()
        with theirs:
            self.pid, ended = await self._forking.fork(self.number, restarted=self.restarted, end=theirs)
        self._channel = await Channel.open(ours, answer)
        if self.stopping:
            self.stop()
        try:
            await self._channel.run()
            return await ended
        finally:
            self.serves, self.pid, self._channel = False, 0, None
            self.ready.clear()

    def after(self, status: int, seconds: float, *, others: bool) -> float:
        """Return the pause in seconds before it is started again, having lived so long.

        Raises WorkerRefusedError, and WorkersFailed when it has ended again and again. `others`: others serve, so that
        one which says that it cannot start is not the end of all.
        """
        if not self.restarted and status > 0:
            raise WorkerRefusedError(status)
        if status == 0:  # somebody has asked it to end
            self._failures = 0
            return 0.0
        self._failures = 1 if seconds > SETTLED_S else self._failures + 1
        how = f"by signal {-status}" if status < 0 else f"with status {status}"
        log.error("worker_ended", worker=self.number, status=status, times=self._failures)
        if self._failures >= IN_A_ROW and (status < 0 or not others):
            raise WorkersFailed(reason=f"worker {self.number} ended {self._failures} times in a row, at last {how}")
        return float(min(FIRST_PAUSE_S * 2 ** (self._failures - 1), LONGEST_PAUSE_S))

    def stop(self) -> None:
        """Let it end, in its own time."""
        self.stopping = True
        if self._channel is not None:
            self._stop = asyncio.create_task(self._ask_to_stop())

    async def _ask_to_stop(self) -> None:
        with suppress(ConnectionError, TimeoutError):
            await self.ask("stop", seconds=10)

    def kill(self) -> None:
        """End it at once."""
        if self.pid:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
