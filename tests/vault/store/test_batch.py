"""What concurrent requests ask for travels together, and each gets its own answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from vault.errors import CvcGone, DatabaseFailed, DatabaseUnavailable
from vault.store.batch import Batcher


class Work:
    """A `run` that keeps every batch, and ends one when it is told to."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.answers = lambda items: [item * 10 for item in items]

    async def __call__(self, items: Sequence[int]) -> Sequence[int | BaseException]:
        self.batches.append(list(items))
        await self.gate.wait()
        return self.answers(items)


async def until_idle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_one_request_is_a_batch_at_once():
    work = Work()
    work.gate.set()
    batcher: Batcher[int, int] = Batcher(work, limit=10)
    assert await batcher.submit(1) == 10
    assert await batcher.submit(2) == 20
    assert work.batches == [[1], [2]]


async def test_while_one_batch_is_under_way_the_next_one_gathers():
    work = Work()
    batcher: Batcher[int, int] = Batcher(work, limit=10)
    first = asyncio.create_task(batcher.submit(1))
    await until_idle()
    later = [asyncio.create_task(batcher.submit(n)) for n in range(2, 7)]
    await until_idle()
    assert work.batches == [[1]]
    work.gate.set()
    assert await asyncio.gather(first, *later) == [10, 20, 30, 40, 50, 60]
    assert work.batches == [[1], [2, 3, 4, 5, 6]]


async def test_a_batch_is_never_larger_than_its_limit():
    work = Work()
    work.gate.set()
    batcher: Batcher[int, int] = Batcher(work, limit=3)
    assert await asyncio.gather(*(batcher.submit(n) for n in range(8))) == [n * 10 for n in range(8)]
    assert work.batches == [[0, 1, 2], [3, 4, 5], [6, 7]]


async def test_an_exception_among_the_results_reaches_only_its_item():
    work = Work()
    work.gate.set()
    work.answers = lambda items: [CvcGone(at="$.cvc") if item == 2 else item for item in items]
    batcher: Batcher[int, int] = Batcher(work, limit=10)
    outcomes = await asyncio.gather(*(batcher.submit(n) for n in (1, 2, 3)), return_exceptions=True)
    assert outcomes[::2] == [1, 3]
    assert isinstance(outcomes[1], CvcGone)


async def test_an_exception_of_the_run_reaches_all_of_the_batch_and_nobody_else():
    work = Work()

    def fail_first(items):
        if len(work.batches) == 1:
            raise DatabaseFailed(sqlstate="XX000")
        return items

    work.answers = fail_first
    batcher: Batcher[int, int] = Batcher(work, limit=2)
    waiting = [asyncio.create_task(batcher.submit(n)) for n in range(4)]
    await until_idle()
    work.gate.set()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(each) for each in outcomes[:2]] == [DatabaseFailed] * 2
    assert outcomes[2:] == [2, 3]


async def test_a_caller_that_goes_away_does_not_stop_its_batch():
    work = Work()
    batcher: Batcher[int, int] = Batcher(work, limit=10)
    gone, stays = (asyncio.create_task(batcher.submit(n)) for n in (1, 2))
    await until_idle()
    gone.cancel()
    await until_idle()
    assert gone.cancelled()
    work.gate.set()
    assert await asyncio.wait_for(stays, 5) == 20
    assert work.batches == [[1, 2]]


async def test_a_caller_that_goes_away_before_its_batch_is_still_served_with_it():
    work = Work()
    batcher: Batcher[int, int] = Batcher(work, limit=10)
    first, gone = asyncio.create_task(batcher.submit(1)), None
    await until_idle()
    gone = asyncio.create_task(batcher.submit(2))
    await until_idle()
    gone.cancel()
    work.gate.set()
    assert await asyncio.wait_for(first, 5) == 10
    await asyncio.wait_for(batcher.close(), 5)
    assert work.batches == [[1], [2]]


async def test_closing_finishes_what_was_submitted_and_takes_nothing_more():
    work = Work()
    batcher: Batcher[int, int] = Batcher(work, limit=2)
    waiting = [asyncio.create_task(batcher.submit(n)) for n in range(5)]
    await until_idle()
    closing = asyncio.create_task(batcher.close())
    await until_idle()
    with pytest.raises(DatabaseUnavailable):
        await batcher.submit(9)
    assert not closing.done()
    work.gate.set()
    await closing
    assert [task.result() for task in waiting] == [0, 10, 20, 30, 40]
    assert work.batches == [[0, 1], [2, 3], [4]]


async def test_closing_twice_or_unused_is_nothing():
    batcher: Batcher[int, int] = Batcher(Work(), limit=2)
    await batcher.close()
    await batcher.close()


@pytest.mark.parametrize("answers", [[], [1]])
async def test_a_run_with_the_wrong_number_of_results_leaves_nobody_waiting(answers):
    work = Work()
    work.gate.set()
    work.answers = lambda _items: answers
    batcher: Batcher[int, int] = Batcher(work, limit=10)
    async with asyncio.timeout(0.2):
        outcomes = await asyncio.gather(*(batcher.submit(n) for n in (1, 2)), return_exceptions=True)
    assert any(isinstance(each, BaseException) for each in outcomes)
