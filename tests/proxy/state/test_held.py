"""What a process has under way: held on, given up in time, and written later where it could not be written."""

from __future__ import annotations

import time

import pytest

from proxy.state.errors import LeaseLost
from proxy.state.held import Held
from proxy.state.idempotency import HELD
from vault.errors import DatabaseUnavailable, KeyDestroyed, KeyUnavailable
from vault.tokens import uuid7


class Table:
    """Stands for a table of a database that may be away."""

    def __init__(self) -> None:
        self.away = False
        self.held: list[list] = []

    async def hold(self, runs):
        if self.away:
            raise DatabaseUnavailable
        self.held.append(list(runs))

    async def sweep(self):
        pass


@pytest.fixture
def table():
    return Table()


@pytest.fixture
def held(table):
    return Held(table, table)


async def test_a_run_may_be_sent_while_it_is_held(held, monkeypatch):
    run, now = uuid7(), time.monotonic()
    held.begin(run)
    held.check(run)
    monkeypatch.setattr(time, "monotonic", lambda: now + HELD.total_seconds())
    with pytest.raises(LeaseLost):
        held.check(run)
    await held.once()
    held.check(run)


async def test_not_while_the_database_does_not_take_that_it_is_held(held, table, monkeypatch):
    run, now = uuid7(), time.monotonic()
    held.begin(run)
    table.away = True
    monkeypatch.setattr(time, "monotonic", lambda: now + HELD.total_seconds())
    with pytest.raises(DatabaseUnavailable):
        await held.once()
    with pytest.raises(LeaseLost):
        held.check(run)


async def test_what_is_not_held_is_not_sent(held):
    run = uuid7()
    with pytest.raises(LeaseLost):
        held.check(run)
    held.begin(run)
    held.abandon(run)
    with pytest.raises(LeaseLost):
        held.check(run)


async def test_an_end_that_could_not_be_written_is_written_later_and_held_until_then(held, table):
    run, written = uuid7(), []

    async def write():
        if table.away:
            raise DatabaseUnavailable
        written.append(run)

    held.begin(run)
    table.away = True
    await held.end(run, write)
    assert written == []
    table.away = False
    await held.once()
    assert (written, table.held) == ([run], [[run], [run]])
    await held.once()
    assert written == [run]
    with pytest.raises(LeaseLost):
        held.check(run)


async def test_what_cannot_be_written_keeps_nothing_else_from_being_written(held, table):
    """The keys of one tenant are gone, and those of another one away: all others' outcomes are written."""
    written, swept = [], []

    async def sweep():
        swept.append(True)

    def writing(error):
        async def write():
            if table.away or error is not None:
                raise error or DatabaseUnavailable
            written.append(True)

        return write

    table.sweep, table.away = sweep, True
    for error in (KeyDestroyed(key="k"), KeyUnavailable(key="k", reason="away"), None):
        run = uuid7()
        held.begin(run)
        await held.end(run, writing(error))
    table.away = False
    await held.once()
    assert (written, swept) == ([True], [True])
    await held.once()
    assert len(table.held[-1]) == 1  # that of the keys which may come back


async def test_what_is_left_is_written_when_panless_stops(held, table):
    run, written = uuid7(), []

    async def write():
        if table.away:
            raise DatabaseUnavailable
        written.append(run)

    held.begin(run)
    table.away = True
    await held.end(run, write)
    table.away = False
    await held.close()
    assert written == [run]
