"""One at a time: whatever many want at the same moment is done once, for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar

Result = TypeVar("Result")


class Flights:
    """What is under way, by name. A caller that goes away leaves it to the others."""

    def __init__(self) -> None:
        self._under_way: dict[Hashable, asyncio.Task[Any]] = {}

    def begin(self, name: Hashable, make: Callable[[], Awaitable[Result]]) -> asyncio.Task[Result]:
        """Return what is under way by this name; begins it if nothing is."""
        task = self._under_way.get(name)
        if task is None:
            task = self._under_way[name] = asyncio.ensure_future(make())
            task.add_done_callback(lambda done: self._end(name, done))
        return task

    async def join(self, name: Hashable, make: Callable[[], Awaitable[Result]]) -> Result:
        """Begin it or join it, and return what it gives."""
        return await asyncio.shield(self.begin(name, make))

    def clear(self) -> None:
        """Let nobody else join what is under way."""
        self._under_way.clear()

    def _end(self, name: Hashable, done: asyncio.Task[Any]) -> None:
        if self._under_way.get(name) is done:
            del self._under_way[name]
