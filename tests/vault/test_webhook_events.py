"""The table of webhook events: taken once, leased to one process at a time, in order, kept as long as needed."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from proxy.state.store import State
from proxy.state.webhook_events import OPERATION, WEBHOOK, NewEvent, Outcome, WebhookEvents
from proxy.state.webhook_keeping import WebhookKeeping
from vault.errors import KeysChanged, RecordDoesNotOpen
from vault.tokens import uuid7
from vault.upkeep.keychain.seal import rotate_data_keys

NOW = datetime(2030, 1, 1, tzinfo=UTC)
LEASE = timedelta(seconds=10)
HOUR = timedelta(hours=1)
TO = (WEBHOOK, "hook")
ME, OTHER = uuid7(), uuid7()
FAILED = Outcome(500, "application_refused")


@pytest.fixture
async def events(open_pool) -> WebhookEvents:
    return WebhookEvents(await open_pool())


@pytest.fixture
def add(vault, events):
    async def added(key: str, **more) -> bool:
        document = await vault.documents.seal("webhook", "default", key.encode())
        told = {"kind": WEBHOOK, "route": "hook", "received_at": NOW, "deliver_until": NOW + HOUR} | more
        return await events.add(NewEvent(key=key, document=document, **told))

    return added


@pytest.fixture
def claim(events):
    async def claimed(run=ME, at=NOW, limit=10, but=(), to=TO):
        return await events.claim(to, run, at, at + LEASE, limit=limit, but=but)

    return claimed


async def count(owner, table: str = "webhook_events", where: str = "true") -> int:
    return await owner.fetchval(f"SELECT count(*) FROM {table} WHERE {where}")


async def test_an_event_is_taken_once_also_at_the_same_time_and_a_replay_leaves_no_document(add, owner):
    assert sorted(await asyncio.gather(*(add("one") for _ in range(8)))) == [False] * 7 + [True]
    assert await add("two") is True
    assert await add("one", route="other") is True
    assert await add("one", kind=OPERATION) is True
    assert (await count(owner), await count(owner, "documents")) == (4, 4)


async def test_a_document_of_keys_that_were_replaced_stores_nothing(add, vault, events, working, owner):
    document = await vault.documents.seal("webhook", "default", b"x")
    async with working() as work:
        await rotate_data_keys(work)
    with pytest.raises(KeysChanged):
        await events.add(NewEvent(WEBHOOK, "hook", "one", document, NOW, NOW + HOUR))
    assert (await count(owner), await count(owner, "documents")) == (0, 0)
    await vault._keyring.refresh()
    assert await add("one")


async def test_what_is_added_in_a_transaction_that_is_undone_is_not_there(vault, events, owner):
    document = await vault.documents.seal("webhook", "default", b"x")
    async with events.pool.acquire() as connection:
        undone = connection.transaction()
        await undone.start()
        assert await events.add(NewEvent(OPERATION, "hook", "one", document, NOW, NOW + HOUR), connection)
        await undone.rollback()
    assert (await count(owner), await count(owner, "documents")) == (0, 0)


async def test_no_two_processes_get_the_same_event_and_none_waits_for_another(add, claim, events):
    for number in range(4):
        await add(str(number))
    async with events.pool.acquire() as connection, connection.transaction(), asyncio.timeout(10):
        mine = await WebhookEvents(connection).claim(TO, ME, NOW, NOW + LEASE, limit=2, but=())
        others = await claim(run=OTHER)
    assert len(mine) == len(others) == 2
    assert not {each.id for each in mine} & {each.id for each in others}
    assert await claim(run=uuid7()) == []


async def test_an_event_of_a_process_that_died_is_anothers_when_its_lease_is_over(add, claim, events):
    await add("one")
    (mine,) = await claim()
    assert await claim(run=OTHER, at=NOW + LEASE) == []
    (others,) = await claim(run=OTHER, at=NOW + LEASE + timedelta(seconds=1))
    assert (others.id, others.attempts) == (mine.id, 2)
    assert not await events.delivered(mine.id, ME, Outcome(200, None), NOW, NOW + HOUR), "the lease was lost"
    assert not await events.again(mine.id, ME, FAILED, NOW)
    assert not await events.dead(mine.id, ME, FAILED, NOW)
    assert await events.delivered(mine.id, OTHER, Outcome(200, None), NOW, NOW + HOUR)
    assert await claim(at=NOW + HOUR) == []


async def test_a_lease_that_is_renewed_or_given_back(add, claim, events):
    await add("one")
    (mine,) = await claim()
    await events.renew(ME, NOW + HOUR, [mine.id])
    assert await claim(run=OTHER, at=NOW + HOUR) == []
    await events.release(ME)
    assert len(await claim(run=OTHER)) == 1


async def test_of_one_object_the_next_waits_for_the_one_before_and_others_do_not(add, claim, events):
    for key, sequence in (("a1", "a"), ("a2", "a"), ("b1", "b"), ("free", None), ("a3", "a")):
        await add(key, sequence=sequence)
    first = await claim()
    assert len(first) == 3
    assert await claim(run=OTHER) == []
    a1 = first[0]
    await events.again(a1.id, ME, FAILED, NOW + HOUR)
    assert await claim(at=NOW + LEASE / 2) == [], "while the first one is tried again, the second waits"
    (a1,) = await claim(at=NOW + HOUR, but=[each.id for each in first[1:]])
    await events.dead(a1.id, ME, FAILED, NOW)
    (a2,) = await claim(at=NOW + HOUR, but=[each.id for each in first[1:]])
    await events.delivered(a2.id, ME, Outcome(200, None), NOW, NOW + HOUR)
    assert len(await claim(at=NOW + HOUR, but=[each.id for each in first[1:]])) == 1


async def test_an_event_is_held_by_one_at_a_time_until_it_was_passed_on(events):
    async def hold(at):
        return await events.hold(*TO, "one", timeless=True, now=at, until=at + LEASE)

    held = await hold(NOW)
    assert await hold(NOW + LEASE) is None
    assert await events.state_of(*TO, "one") == "passing"
    await events.let_go(held)
    assert await events.state_of(*TO, "one") is None
    await hold(NOW)
    again = await hold(NOW + 2 * LEASE)
    assert again is not None, "who held it is gone"
    await events.passed(again, NOW, NOW + HOUR)
    await events.let_go(again)
    assert await events.state_of(*TO, "one") == "passed"
    assert await hold(NOW + HOUR) is None


class TestKeeping:
    @pytest.fixture
    def keeping(self, events) -> WebhookKeeping:
        return WebhookKeeping(events.pool)

    async def test_of_an_event_that_could_come_again_for_ever_the_mark_stays(self, add, claim, events, keeping, owner):
        await add("timed", timeless=False)
        await add("timeless", timeless=True)
        await add("pending")
        for each in await claim(limit=2):
            await events.delivered(each.id, ME, Outcome(200, None), NOW, NOW + HOUR)
        assert await keeping.purge(NOW) == 0
        assert await keeping.purge(NOW + HOUR) == 2
        assert await keeping.purge(NOW + HOUR) == 0
        assert await count(owner, "documents") == 1
        assert [await events.state_of(*TO, key) for key in ("timed", "timeless")] == [None, "delivered"]
        assert await add("timeless") is False
        assert (
            await keeping.replay([row["id"] for row in await owner.fetch("SELECT id FROM webhook_events")], NOW, NOW)
            == 0
        )

    async def test_what_no_route_delivers_any_more_dies(self, add, keeping, claim):
        await add("one")
        assert await keeping.expire(NOW + HOUR, timedelta(0)) == []
        assert await keeping.expire(NOW + HOUR + LEASE, timedelta(0)) == [TO]
        (listed,) = await keeping.look()
        assert (listed.state, listed.code, listed.kept) == ("dead", "not_delivered", True)
        assert await claim() == []

    async def test_a_dead_event_can_be_sent_again(self, add, claim, events, keeping):
        await add("one")
        (mine,) = await claim()
        await events.dead(mine.id, ME, FAILED, NOW)
        assert await keeping.purge(NOW + 1000 * HOUR) == 0, "a dead one is kept until somebody has looked"
        assert await keeping.replay([mine.id], NOW, NOW + HOUR) == 1
        (again,) = await claim()
        assert (again.id, again.attempts) == (mine.id, 1)

    async def test_what_waits_is_counted(self, add, keeping):
        await add("one")
        await add("two", received_at=NOW - HOUR)
        (waiting,) = await keeping.pending()
        assert (waiting.route, waiting.count, waiting.since) == ("hook", 2, NOW - HOUR)


async def test_the_table_names_no_event_and_no_object(add, owner):
    await add("evt_secret", sequence="ch_secret")
    row = await owner.fetchval("SELECT row::text FROM webhook_events AS row")
    assert not any(text in row or text.encode().hex() in row for text in ("evt_secret", "ch_secret"))


async def test_a_document_that_is_gone_is_no_endless_attempt(add, claim, open_pool, owner):
    await add("one")
    (mine,) = await claim()
    await owner.execute("DELETE FROM documents")
    with pytest.raises(RecordDoesNotOpen):
        await State(await open_pool()).document(mine.document, "webhook")
