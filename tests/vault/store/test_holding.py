"""Connections that are held between statements: mended when they break, given back in the end."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from vault.store.holding import MOST, Holding, _is_open


@pytest.fixture
async def pool(open_pool):
    return await open_pool(size=MOST + 2)


async def backend(executor) -> int:
    return (await executor.fetchrow("SELECT pg_backend_pid()"))[0]


async def test_one_after_the_other_they_use_the_same_connection(pool):
    held = Holding(pool)
    assert len({await backend(held) for _ in range(5)}) == 1
    await held.close()


async def test_at_once_each_has_its_own_and_only_some_are_held_afterwards(pool):
    held = Holding(pool)
    count = MOST + 2
    rows = await asyncio.gather(*(held.fetch("SELECT pg_backend_pid(), pg_sleep(0.2)") for _ in range(count)))
    assert len({row[0][0] for row in rows}) == count
    assert pool.get_idle_size() == count - MOST
    await held.close()
    assert pool.get_idle_size() == count


async def test_a_connection_that_broke_meanwhile_is_replaced(pool, database, owner):
    held = Holding(pool)
    number = await backend(held)
    embedded = database.embedded
    superuser = await asyncpg.connect(
        host=embedded.host, port=embedded.port, user="postgres", database=embedded.database
    )
    await superuser.execute("SELECT pg_terminate_backend($1)", number)
    await superuser.close()
    async with asyncio.timeout(5):
        while _is_open(held._idle[0]):
            await asyncio.sleep(0.01)
    assert await backend(held) != number
    await held.close()


async def test_a_statement_that_fails_or_is_cancelled_leaves_no_connection_behind(pool):
    held = Holding(pool)
    with pytest.raises(asyncpg.PostgresError):
        await held.fetch("SELECT 1/0")
    sleeping = asyncio.create_task(held.fetch("SELECT pg_sleep(60)"))
    await asyncio.sleep(0.1)
    sleeping.cancel()
    await asyncio.gather(sleeping, return_exceptions=True)
    assert await backend(held)
    await held.close()
    async with asyncio.timeout(5):
        await pool.close()
