"""Many cards in one call: copied in with their event, all or nothing, and one token a card whoever else is at work."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.harness.verified import verified
from vault.bulk import LEAST
from vault.errors import DatabaseFailed, NotACardNumber
from vault.exposure import expose
from vault.kinds import PAN, luhn_valid
from vault.requests import NewValue, Reference
from vault.sensitive import Sensitive
from vault.upkeep.keychain.seal import rotate_data_keys

COUNT = LEAST + 50


def number(n: int) -> str:
    head = f"400000{n:09}"
    return next(head + digit for digit in "0123456789" if luhn_valid(head + digit))


NUMBERS = [number(n) for n in range(COUNT)]


def values(numbers=NUMBERS) -> list[NewValue]:
    return [NewValue(PAN, Sensitive(each), "$") for each in numbers]


@pytest.fixture(autouse=True)
async def chains_verify_afterwards(database):
    yield
    assert (await verified(database)).findings == []


async def stored(owner) -> tuple[int, int, int]:
    """Tokens, fingerprints, and events of tokenizing."""
    events = await owner.fetchval("SELECT count(*) FROM audit_events WHERE action = 'tokenize'")
    return (
        await owner.fetchval("SELECT count(*) FROM tokens"),
        await owner.fetchval("SELECT count(*) FROM fingerprints"),
        events,
    )


async def shown(vault, tokens, permit, context) -> list[str]:
    revealed = await vault.reveal([Reference(PAN, each, "$") for each in tokens], permit, context)
    return [expose(each.value) for each in revealed]


def after_look_up(vault, monkeypatch, happens) -> None:
    """Let something happen once, after a call has looked its cards up and before it writes them."""
    plain, done = vault._bulk._records.find_fingerprints, []

    async def find(wanted):
        found = await plain(wanted)
        if not done:
            done.append(True)
            await happens()
        return found

    monkeypatch.setattr(vault._bulk._records, "find_fingerprints", find)


async def test_each_card_has_a_token_that_reveals_it_and_one_event_names_them_all(vault, owner, permit, context):
    tokens = await vault.tokenize(values(), "default", context)
    assert len(set(tokens)) == COUNT
    assert await stored(owner) == (COUNT, COUNT, 1)
    body = await owner.fetchval("SELECT body FROM audit_events WHERE action = 'tokenize'")
    assert json.loads(body)["tokens"] == [str(token) for token in tokens]
    assert await shown(vault, tokens, permit, context) == NUMBERS
    assert len(await owner.fetch("SELECT DISTINCT substr(sealed, 2, 12) FROM tokens")) == COUNT


async def test_it_is_what_the_ordinary_way_stores(vault, owner, context):
    await vault.tokenize(values(), "default", context)
    await vault.tokenize(values([number(COUNT)]), "default", context)
    last4 = await owner.fetch("SELECT token, last4 FROM tokens")
    assert sorted(row["last4"] for row in last4) == sorted(each[-4:] for each in [*NUMBERS, number(COUNT)])
    about = "tenant, kind, data_key, length(sealed), brand, expires_at, max_uses, uses, routes, gateways"
    assert len(await owner.fetch(f"SELECT DISTINCT {about} FROM tokens")) == 1
    assert len(await owner.fetch("SELECT DISTINCT data_key, card_token FROM fingerprints")) == 1
    times = "SELECT max(abs(extract(epoch FROM now() - created_at))) FROM tokens"
    assert await owner.fetchval(times) < 60
    assert await vault.tokenize(values([NUMBERS[7]]), "default", context) == [
        (await vault.tokenize(values(), "default", context))[7]
    ]


async def test_cards_and_event_are_of_one_commit(vault, owner, statements, context):
    await vault.tokenize(values(), "default", context)
    committed = "SELECT DISTINCT xmin::text FROM {}"
    tables = ("tokens", "fingerprints", "audit_events WHERE action = 'tokenize'")
    found = {row[0] for table in tables for row in await owner.fetch(committed.format(table))}
    assert len(found) == 1


async def test_a_call_is_a_look_up_and_one_transaction_of_three_statements(statements, open_vault, context):
    vault = await open_vault()
    await vault.tokenize(values([number(COUNT + n) for n in range(COUNT)]), "default", context)
    statements.restart()
    await vault.tokenize(values(), "default", context)
    kinds = [each.split(" ", 1)[0].rstrip(";") for each in statements.seen()]
    assert kinds == ["SELECT", "BEGIN", "COPY", "COPY", "WITH", "COMMIT"]


async def test_known_cards_and_cards_that_come_twice_keep_one_token(vault, owner, context):
    before = await vault.tokenize(values(NUMBERS[:20]), "default", context)
    ordinary = vault.statistics.batches
    tokens = await vault.tokenize(values([*NUMBERS, *NUMBERS[100:130]]), "default", context)
    assert vault.statistics.batches == ordinary
    assert tokens[:20] == before
    assert tokens[COUNT:] == tokens[100:130]
    assert await stored(owner) == (COUNT, COUNT, 2)


async def test_two_processes_that_take_in_the_same_cards_at_once_agree(open_vault, owner, context):
    vaults = [await open_vault() for _ in range(3)]
    found = await asyncio.gather(*(each.tokenize(values(), "default", context) for each in vaults))
    assert found[0] == found[1] == found[2]
    assert await stored(owner) == (COUNT, COUNT, 3)


async def test_a_card_that_another_process_stores_meanwhile_keeps_its_token(
    vault, open_vault, owner, context, monkeypatch
):
    other, given = await open_vault(), []

    async def faster() -> None:
        given.extend(await other.tokenize(values([NUMBERS[9]]), "default", context))

    after_look_up(vault, monkeypatch, faster)
    tokens = await vault.tokenize(values(), "default", context)
    assert tokens[9] == given[0]
    assert await stored(owner) == (COUNT, COUNT, 2)


async def test_a_known_card_that_is_erased_meanwhile_is_not_promised(vault, owner, context, monkeypatch):
    (before,) = await vault.tokenize(values([NUMBERS[9]]), "default", context)

    async def erase() -> None:
        await owner.execute("DELETE FROM tokens; DELETE FROM fingerprints")

    after_look_up(vault, monkeypatch, erase)
    tokens = await vault.tokenize(values(), "default", context)
    assert tokens[9] != before
    assert await owner.fetchval("SELECT count(*) FROM tokens WHERE token = $1", tokens[9].id) == 1
    assert await stored(owner) == (COUNT, COUNT, 2)


async def test_nothing_is_written_with_keys_that_were_replaced_meanwhile(vault, owner, working, context, monkeypatch):
    await vault.tokenize(values([number(COUNT)]), "default", context)
    (old,) = await owner.fetchrow("SELECT data_key FROM tokens")

    async def rotate() -> None:
        async with working() as opened:
            await rotate_data_keys(opened)

    after_look_up(vault, monkeypatch, rotate)
    await vault.tokenize(values(), "default", context)
    assert await owner.fetchval("SELECT count(*) FROM tokens WHERE data_key = $1", old) <= 1
    assert await stored(owner) == (COUNT + 1, COUNT + 1, 2)


async def test_what_is_refused_or_fails_leaves_nothing(vault, owner, context):
    with pytest.raises(NotACardNumber):
        await vault.tokenize(values([*NUMBERS, "4242424242424241"]), "default", context)
    for table, check in (("tokens", "last4 <> '{}'"), ("audit_events", "action <> 'tokenize'")):
        broken = check.format(NUMBERS[-1][-4:])
        await owner.execute(f"ALTER TABLE {table} ADD CONSTRAINT broken CHECK ({broken})")
        try:
            with pytest.raises(DatabaseFailed):
                await vault.tokenize(values(), "default", context)
        finally:
            await owner.execute(f"ALTER TABLE {table} DROP CONSTRAINT broken")
        assert await stored(owner) == (0, 0, 0)
    await vault.tokenize(values(), "default", context)
    assert await stored(owner) == (COUNT, COUNT, 1)


async def test_events_of_single_requests_are_chained_between_bulks(vault, owner, context):
    calls = [values(NUMBERS[at : at + LEAST // 4]) for at in range(0, LEAST, LEAST // 4)]
    many = [values([number(1000 * n + m) for m in range(LEAST)]) for n in range(1, 4)]
    await asyncio.gather(*(vault.tokenize(each, "default", context) for each in [*many, *calls]))
    assert (await stored(owner))[2] == len(many) + len(calls)
    assert await owner.fetchval("SELECT count(DISTINCT chain) FROM audit_events WHERE action = 'tokenize'") == 1
