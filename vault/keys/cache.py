"""Unwrapped keys in memory, each for a limited time.

A key that is in use is fetched again once half of its time is up, aside, so that nobody waits for it, and so that a
provider that is away for less than the other half is not noticed. When its time is up it is gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

from vault.crypto.data_key import DataKey
from vault.errors import PanlessError
from vault.keys.flights import Flights

RETRY_SECONDS = 1.0
CLOCK_SECONDS = 0.01  # timers of some event loops count in milliseconds


@dataclass(slots=True)
class _Held:
    key: DataKey
    renew_at: float
    until: float


class KeyCache:
    """Keys by id. `fetch` finds and unwraps one; it is called once however many want the key."""

    def __init__(self, seconds: float, fetch: Callable[[UUID], Awaitable[DataKey]]) -> None:
        self._seconds = seconds
        self._fetch = fetch
        self._held: dict[UUID, _Held] = {}
        self._flights = Flights()
        self._generation = 0

    def renewed_at(self, key_id: UUID) -> float:
        """Return until when, by the clock of the loop, `at_hand` returns a key; 0 if it does not."""
        held = self._held.get(key_id)
        return 0.0 if held is None else held.renew_at

    def at_hand(self, key_id: UUID) -> DataKey | None:
        """Return a key that is held and need not be renewed yet; without waiting."""
        held = self._held.get(key_id)
        return held.key if held is not None and asyncio.get_running_loop().time() < held.renew_at else None

    async def get(self, key_id: UUID) -> DataKey:
        """Return a key; raises what `fetch` raises."""
        held = self._held.get(key_id)
        if held is None:
            return await self._flights.join(key_id, lambda: self._run(key_id, self._generation))
        if (now := asyncio.get_running_loop().time()) >= held.renew_at:
            held.renew_at = now + RETRY_SECONDS
            self._flights.begin(key_id, lambda: self._run(key_id, self._generation)).add_done_callback(_noticed)
        return held.key

    def put(self, key: DataKey) -> None:
        """Hold a key from now on."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._held[key.id] = _Held(key, now + self._seconds / 2, now + self._seconds)
        loop.call_later(self._seconds, self._end, key.id)

    def clear(self) -> None:
        """Hold no key any longer, nor one that is on its way."""
        self._generation += 1
        self._held.clear()
        self._flights.clear()

    def _end(self, key_id: UUID) -> None:
        held = self._held.get(key_id)
        if held is not None and held.until - CLOCK_SECONDS <= asyncio.get_running_loop().time():
            del self._held[key_id]

    async def _run(self, key_id: UUID, generation: int) -> DataKey:
        key = await self._fetch(key_id)
        if generation == self._generation:
            self.put(key)
        return key


def _noticed(task: asyncio.Task[DataKey]) -> None:
    """Renewing failed: the key stays for the rest of its time, and asking goes on."""
    if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, PanlessError):
        raise error
