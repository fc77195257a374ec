"""Group commit on a real PostgreSQL: one statement for many requests, all of it or nothing, one token per card."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from tests.harness.verified import verified
from vault.audit.event import Event, Outcome
from vault.errors import CvcGone, DatabaseFailed
from vault.store.database import Role
from vault.store.records import Content, Mark, NewLease, NewRecord, Records
from vault.store.writer import BATCH_LIMIT, Write, Writer
from vault.tokens import Token, mint, uuid7

ATTEMPTS = 5


def event(tokens: Sequence[Token] = (), action: str = "tokenize") -> Event:
    return Event(at=datetime.now(UTC), action=action, outcome=Outcome.PERMITTED, tokens=tuple(map(str, tokens)))


def record(card: object, *, tenant: str = "default") -> NewRecord:
    mark = hashlib.sha256(f"{tenant} {card}".encode()).digest()
    content = Content(mint("tok"), uuid7(), b"sealed", "visa", "4242")
    return NewRecord([Mark(mark, uuid7())], tenant, "pan", lambda: content)


def lease(of: int | None = None, *, seconds: float = 60) -> NewLease:
    return NewLease(mint("cvc"), of, "default", uuid7(), b"sealed", datetime.now(UTC) + timedelta(seconds=seconds))


def storing(*records: NewRecord, leases: Sequence[NewLease] = ()) -> Write:
    return Write(event, records, leases)


def using(*leases: NewLease) -> Write:
    return Write(lambda tokens: event(tokens, "reveal"), used_leases=[each.token.id for each in leases])


@pytest.fixture
async def open_writer(open_pool) -> AsyncIterator[Callable]:
    """Open writers; each, with a pool of its own, is what one process has."""
    opened: list[Writer] = []

    async def make() -> Writer:
        pool = await open_pool()
        opened.append(Writer(pool, Records(pool), cvc_attempts=ATTEMPTS))
        return opened[-1]

    yield make
    for writer in opened:
        await writer.close()


@pytest.fixture
async def writer(open_writer) -> Writer:
    return await open_writer()


@pytest.fixture(autouse=True)
async def chains_verify_afterwards(database) -> AsyncIterator[None]:
    yield
    assert (await verified(database)).findings == []


def written(statements: Sequence[str]) -> list[str]:
    """Those that write; reading is free of commits."""
    return [sql for sql in statements if "INSERT" in sql or "UPDATE" in sql]


async def counts(owner) -> tuple[int, int, int, int]:
    """Tokens, fingerprints, leases, and events beside the migration's."""
    tables = ("tokens", "fingerprints", "cvc_leases", "audit_events")
    found = [await owner.fetchval(f"SELECT count(*) FROM {table}") for table in tables]
    return found[0], found[1], found[2], found[3] - 1


async def test_200_writes_at_once_take_a_handful_of_statements(statements, open_writer, owner):
    writer = await open_writer()
    await writer.write(storing(record("first")))
    writer.statistics.statements = 0
    statements.restart()
    await asyncio.gather(*(writer.write(storing(record(n))) for n in range(200)))
    seen = statements.seen()
    writes = written(seen)
    # At most the first to come goes alone; all others gather meanwhile.
    assert 1 <= len(writes) <= 2
    assert len(writes) == writer.statistics.statements
    assert len(seen) <= 2 * len(writes)
    assert not [sql for sql in seen if sql.upper().startswith(("BEGIN", "COMMIT", "START"))]
    assert await counts(owner) == (201, 201, 0, 201)


async def test_a_batch_is_exactly_one_statement_and_one_commit(statements, open_pool, owner):
    pool = await open_pool()
    writer = Writer(pool, Records(pool), cvc_attempts=ATTEMPTS)
    held = lease(0)
    await writer.write(storing(record("card"), leases=[held]))
    await writer.close()
    before = await owner.fetchval("SELECT pg_current_xact_id()::text::bigint")
    writer = Writer(pool, Records(pool), cvc_attempts=ATTEMPTS)
    statements.restart()
    await asyncio.gather(
        writer.write(storing(record("card"))),
        writer.write(storing(record("new"), leases=[lease(0)])),
        writer.write(using(held)),
    )
    await writer.close()
    sql = written(statements.seen())
    after = await owner.fetchval("SELECT pg_current_xact_id()::text::bigint")
    # Every transaction that wrote took one id, and so did each of the two questions for it.
    assert len(sql) == writer.statistics.statements == writer.statistics.batches == after - before - 1
    assert writer.statistics.writes == 3
    assert len(sql) <= 2


async def test_the_batch_limit_holds(writer):
    await asyncio.gather(*(writer.write(storing(record(n))) for n in range(BATCH_LIMIT * 2)))
    assert writer.statistics.writes == BATCH_LIMIT * 2
    assert 2 <= writer.statistics.batches <= 4


async def test_a_card_that_comes_many_times_at_once_is_stored_once(writer, owner):
    found = await asyncio.gather(*(writer.write(storing(record("same"), record(n))) for n in range(50)))
    assert len({tokens[0] for tokens in found}) == 1
    assert len({tokens[1] for tokens in found}) == 50
    assert await counts(owner) == (51, 51, 0, 50)


async def test_the_same_card_twice_in_one_request_gives_one_token(writer, owner):
    first, second = await writer.write(storing(record("same"), record("same")))
    assert first == second
    assert await counts(owner) == (1, 1, 0, 1)


async def test_the_event_names_the_token_that_was_there_already(writer, owner):
    (first,) = await writer.write(storing(record("same")))
    (again,) = await writer.write(storing(record("same")))
    assert again == first
    rows = await owner.fetch("SELECT tokens FROM audit_events WHERE action = 'tokenize'")
    assert [row["tokens"] for row in rows] == [[str(first)]] * 2


@pytest.mark.parametrize("cards", [1, 40])
async def test_two_processes_that_see_a_new_card_at_once_agree_on_its_token(open_writer, owner, cards):
    writers = [await open_writer() for _ in range(3)]
    for turn in range(5):
        batches = [
            [writer.write(storing(record(f"{turn} {n}"), leases=[lease(0)])) for n in range(cards)]
            for writer in writers
        ]
        found = await asyncio.gather(*(asyncio.gather(*each) for each in batches))
        assert found[0] == found[1] == found[2]
    stored = cards * 5
    assert await counts(owner) == (stored, stored, stored * 3, stored * 3)
    assert await owner.fetchval("SELECT count(*) FROM cvc_leases JOIN tokens ON tokens.token = card") == stored * 3


async def test_a_conflict_of_one_write_does_not_fail_its_neighbours(open_writer, owner):
    writer, other = await open_writer(), await open_writer()
    gone = lease()
    await writer.write(storing(leases=[gone]))
    await owner.execute("DELETE FROM cvc_leases")
    blocker = asyncio.create_task(writer.write(storing(record("first"))))
    await asyncio.sleep(0)
    outcomes = await asyncio.gather(
        *(writer.write(storing(record(n))) for n in range(10)),
        writer.write(using(gone)),
        *(writer.write(storing(record(n))) for n in range(5, 15)),
        return_exceptions=True,
    )
    await blocker
    assert [type(each) for each in outcomes] == [list] * 10 + [CvcGone] + [list] * 10
    assert outcomes[5] == outcomes[11]
    assert await counts(owner) == (16, 16, 0, 22)
    assert (await other.write(storing(record("first")))) == await blocker


async def test_a_known_card_that_was_taken_away_is_not_promised(writer, owner):
    (before,) = await writer.write(storing(record("card")))
    await owner.execute("DELETE FROM fingerprints")
    await owner.execute("DELETE FROM tokens")
    (after,) = await writer.write(storing(record("card")))
    assert after.id != before.id
    assert await owner.fetchval("SELECT array_agg(token) FROM tokens") == [after.id]


async def test_a_lease_is_used_up_to_its_limit_and_the_rest_are_told(open_writer, owner):
    writers = [await open_writer() for _ in range(2)]
    held, free = lease(), lease()
    await writers[0].write(storing(leases=[held, free]))
    outcomes = await asyncio.gather(
        *(writers[n % 2].write(using(held)) for n in range(ATTEMPTS + 7)),
        *(writers[n % 2].write(using(free)) for n in range(ATTEMPTS)),
        return_exceptions=True,
    )
    of_held, of_free = outcomes[: ATTEMPTS + 7], outcomes[ATTEMPTS + 7 :]
    assert sorted(type(each).__name__ for each in of_held) == ["CvcGone"] * 7 + ["list"] * ATTEMPTS
    assert of_free == [[]] * ATTEMPTS
    attempts = await owner.fetch("SELECT token, attempts FROM cvc_leases")
    assert {row["token"]: row["attempts"] for row in attempts} == {held.token.id: ATTEMPTS, free.token.id: ATTEMPTS}
    # A use that was refused left no event that says it was permitted.
    assert (await counts(owner))[3] == 1 + 2 * ATTEMPTS


async def test_a_lease_past_its_time_cannot_be_used(writer, owner):
    late = lease(seconds=-1)
    await writer.write(storing(leases=[late]))
    with pytest.raises(CvcGone):
        await writer.write(using(late))
    assert await owner.fetchval("SELECT attempts FROM cvc_leases") == 0


async def test_nothing_is_left_of_a_batch_that_failed(writer, owner):
    await writer.write(storing(record("before")))
    await owner.execute("ALTER TABLE cvc_leases ADD CONSTRAINT broken CHECK (tenant <> 'broken')")
    broken = NewLease(mint("cvc"), None, "broken", uuid7(), b"x", datetime.now(UTC))
    try:
        outcomes = await asyncio.gather(
            writer.write(storing(record("alone"))),
            writer.write(storing(record("with"), leases=[lease(0)])),
            writer.write(storing(record("bad"), leases=[broken])),
            return_exceptions=True,
        )
    finally:
        await owner.execute("ALTER TABLE cvc_leases DROP CONSTRAINT broken")
    failed = [each for each in outcomes if isinstance(each, DatabaseFailed)]
    assert len(failed) >= 2
    stored = 1 + len(outcomes) - len(failed)
    assert await counts(owner) == (stored, stored, 0, stored)
    # What failed can be asked for again, and is then stored as if nothing had been.
    assert await writer.write(storing(record("with"), leases=[lease(0)]))
    assert await counts(owner) == (stored + 1, stored + 1, 1, stored + 1)


async def test_after_a_failure_a_new_chain_continues_the_old_one(writer, database, owner):
    await writer.write(storing(record("before")))
    await owner.execute("ALTER TABLE tokens ADD CONSTRAINT broken CHECK (tenant <> 'broken')")
    try:
        with pytest.raises(DatabaseFailed):
            await writer.write(storing(record("bad", tenant="broken")))
    finally:
        await owner.execute("ALTER TABLE tokens DROP CONSTRAINT broken")
    await writer.write(storing(record("after")))
    report = await verified(database)
    assert (report.chains, report.events, report.findings) == (3, 3, [])


async def test_a_caller_that_goes_away_leaves_its_write_whole(writer, owner):
    task = asyncio.create_task(writer.write(storing(record("card"), leases=[lease(0)])))
    async with asyncio.timeout(5):
        while not writer.statistics.statements:  # until the statement is on its way
            await asyncio.sleep(0)
    task.cancel()
    await writer.close()
    assert await counts(owner) == (1, 1, 1, 1)


async def test_closing_finishes_what_was_accepted(open_writer, owner):
    writer = await open_writer()
    tasks = [asyncio.create_task(writer.write(Write(event))) for _ in range(30)]
    await asyncio.sleep(0)
    await writer.close()
    assert await asyncio.gather(*tasks) == [[]] * 30
    assert (await counts(owner))[3] == 30


async def test_two_processes_that_use_the_same_leases_in_opposite_order_do_not_fail(open_writer, database, owner):
    """Each batch locks the rows of its leases; two batches must not wait for each other for ever."""
    writers = [await open_writer() for _ in range(2)]
    many = [lease() for _ in range(5000)]  # as many as make PostgreSQL look each of them up
    await writers[0].write(storing(leases=many))
    await owner.execute("ANALYZE cvc_leases")
    first, middle, last = many[:3]
    holder = await database.connect(Role.OWNER)
    holding = holder.transaction()
    await holding.start()
    await holder.execute("SELECT FROM cvc_leases WHERE token = $1 FOR UPDATE", middle.token.id)
    uses = [
        asyncio.create_task(writers[0].write(using(first, middle, last))),
        asyncio.create_task(writers[1].write(using(last, middle, first))),
    ]
    async with asyncio.timeout(5):
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        while await owner.fetchval(waiting) < len(uses):  # until both have come to the middle
            await asyncio.sleep(0.01)
    await holding.rollback()
    await holder.close()
    assert await asyncio.gather(*uses) == [[], []]
