"""The one thread that calls a PKCS #11 library: libraries hang or crash when several threads do.

A call that hangs holds up the calls after it, not the event loop. The thread is a daemon, so that a library that never
returns does not keep the process from ending.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

Result = TypeVar("Result")

_threads: dict[Path, CallThread] = {}


class CallThread:
    """Makes calls one after the other. A call that nobody waits for any more is not begun."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[tuple[Callable[[], Any], asyncio.Future[Any]]] = SimpleQueue()
        threading.Thread(target=self._work, name="pkcs11", daemon=True).start()

    @classmethod
    def of(cls, module: Path) -> CallThread:
        """Return the process's thread for a library."""
        place = module.resolve()
        if place not in _threads:
            _threads[place] = cls()
        return _threads[place]

    async def run(self, call: Callable[[], Result], seconds: float) -> Result:
        """Return what the call returns; raises TimeoutError, and what the call raises."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._calls.put((call, future))
        async with asyncio.timeout(seconds):
            return await future

    def _work(self) -> None:
        while True:
            call, future = self._calls.get()
            if not future.cancelled():
                self._make(call, future)

    @staticmethod
    def _make(call: Callable[[], Any], future: asyncio.Future[Any]) -> None:
        try:
            result, error = call(), None
        except Exception as raised:  # noqa: BLE001  # it is raised again where the call is waited for
            result, error = None, raised
        loop = future.get_loop()
        if not loop.is_closed():
            loop.call_soon_threadsafe(_settle, future, result, error)


def _settle(future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)
