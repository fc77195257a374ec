"""Unwrapped keys in memory: renewed aside while they are used, there for their time, gone after it."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from vault.crypto.data_key import DataKey
from vault.errors import KeyProviderUnavailable
from vault.keys.cache import KeyCache
from vault.tokens import uuid7

KEY = uuid7()


class Provider:
    """Gives keys; can be slow, and can be away."""

    def __init__(self) -> None:
        self.asked = 0
        self.away = False
        self.answers = asyncio.Event()
        self.answers.set()

    async def fetch(self, key_id: UUID) -> DataKey:
        self.asked += 1
        await self.answers.wait()
        if self.away:
            raise KeyProviderUnavailable(provider="test", reason="it is away")
        return DataKey(key_id, self.asked.to_bytes(32, "big"))


@pytest.fixture
def provider() -> Provider:
    return Provider()


async def until(condition) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


def half_is_up(cache: KeyCache) -> None:
    cache._held[KEY].renew_at = 0


def time_is_up(cache: KeyCache) -> None:
    cache._held[KEY].until = 0
    cache._end(KEY)


async def test_a_key_in_use_is_renewed_aside_and_nobody_waits_for_it(provider):
    cache = KeyCache(600, provider.fetch)
    first = await cache.get(KEY)
    assert await cache.get(KEY) is first
    assert provider.asked == 1
    half_is_up(cache)
    provider.answers.clear()
    assert await cache.get(KEY) is first  # would hang if it waited for the provider
    await until(lambda: provider.asked == 2)
    half_is_up(cache)
    assert await cache.get(KEY) is first
    assert provider.asked == 2
    provider.answers.set()
    await until(lambda: cache._held[KEY].key is not first)
    assert (await cache.get(KEY)).secret[-1] == 2


async def test_while_the_provider_is_away_a_key_serves_its_time_and_comes_back_by_itself(provider):
    cache = KeyCache(600, provider.fetch)
    first = await cache.get(KEY)
    provider.away = True
    for asked in (2, 3):
        half_is_up(cache)
        assert await cache.get(KEY) is first
        await until(lambda: provider.asked == asked and not cache._flights._under_way)  # noqa: B023  # waited for here
    for _ in range(5):
        assert await cache.get(KEY) is first
        await asyncio.sleep(0)
    assert provider.asked == 3, "not asked again for each request"
    time_is_up(cache)
    for _ in range(3):
        with pytest.raises(KeyProviderUnavailable):
            await cache.get(KEY)
    provider.away = False
    assert await cache.get(KEY)


async def test_a_key_that_was_renewed_outlives_the_time_of_the_first_one(provider):
    cache = KeyCache(600, provider.fetch)
    first = await cache.get(KEY)
    half_is_up(cache)
    await cache.get(KEY)
    await until(lambda: cache._held[KEY].key is not first)
    cache._end(KEY)  # the first one's timer
    assert KEY in cache._held


async def test_what_is_on_its_way_when_everything_is_forgotten_is_not_kept(provider):
    cache = KeyCache(60, provider.fetch)
    provider.answers.clear()
    asking = asyncio.create_task(cache.get(KEY))
    await until(lambda: provider.asked == 1)
    cache.clear()
    provider.answers.set()
    await asking
    assert cache._held == {}
    await cache.get(KEY)
    assert provider.asked == 2
    cache.clear()
    assert cache._held == {}
