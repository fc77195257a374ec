"""Attacks on the key hierarchy, against a real PostgreSQL: by whoever writes to it, and by commands that are killed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from tests.harness.cards import cards
from vault.crypto.data_key import KeyState, Purpose
from vault.crypto.fingerprint import fingerprint
from vault.exposure import expose
from vault.keys.keyring import Keyring
from vault.keys.lease_keys import LeaseKeys
from vault.kinds import CVC, PAN
from vault.requests import NewValue, Reference
from vault.sensitive import Sensitive
from vault.settings import VaultSettings
from vault.store.keys import KeyRows
from vault.store.processes import ProcessRows
from vault.upkeep.keychain.compromise import compromise
from vault.upkeep.keychain.destruction import destroy, destroy_tenant
from vault.upkeep.keychain.fingerprints import rotate_fingerprint_keys
from vault.upkeep.keychain.kek import rotate_kek
from vault.upkeep.keychain.seal import reseal, rotate_data_keys
from vault.upkeep.keychain.work import Work

NUMBERS = cards()[:6]
KNOWN, GUESSED = NUMBERS[:2]


class KilledError(Exception):
    """The command was killed here."""


def pans(numbers: list[str] = NUMBERS) -> list[NewValue]:
    return [NewValue(PAN, Sensitive(number), "$") for number in numbers]


async def revealed(vault, permit, context, tokens) -> list[str]:
    references = [Reference(PAN, each, "$") for each in tokens]
    return [expose(each.value) for each in await vault.reveal(references, permit, context)]


async def killed_at(working: Callable, action: str, job: Callable, monkeypatch) -> None:
    """Run a job that is killed right after the change that is recorded as `action`."""
    change = Work.change

    @asynccontextmanager
    async def killing(self, done: str, about: str, tenant: str | None = None):
        async with change(self, done, about, tenant) as at:
            yield at
        if done == action:
            raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr(Work, "change", killing)
        async with working() as opened:
            with pytest.raises(KilledError):
                await job(opened)


async def ids(owner, purpose: str, state: str = "active") -> list[UUID]:
    sql = "SELECT id FROM data_keys WHERE purpose = $1 AND state = $2 ORDER BY id"
    return [row["id"] for row in await owner.fetch(sql, purpose, state)]


async def test_a_kek_is_compromised_while_a_rotation_to_it_was_killed(
    working, vault, owner, permit, context, monkeypatch
):
    tokens = await vault.tokenize(pans(), "default", context)
    await killed_at(working, "keys.kek.activate", rotate_kek, monkeypatch)
    known = await owner.fetchval("SELECT id FROM keks WHERE state = 'active'")
    async with working() as opened:
        await compromise(opened, known)
    assert dict(await owner.fetch("SELECT state, id FROM keks"))["active"] != known
    assert await owner.fetchval("SELECT count(*) FROM data_keys WHERE kek = $1 AND wrapped IS NOT NULL", known) == 0
    assert await revealed(vault, permit, context, tokens) == NUMBERS
    assert await vault.tokenize(pans(), "default", context) == tokens


async def test_a_vault_whose_active_kek_was_marked_as_compromised_by_others_can_be_rotated(
    working, vault, owner, permit, context
):
    tokens = await vault.tokenize(pans(), "default", context)
    await owner.execute("UPDATE keks SET state = 'compromised'")
    async with working() as opened:
        await rotate_kek(opened)
        await rotate_data_keys(opened)
    assert await revealed(vault, permit, context, tokens) == NUMBERS
    assert await vault.tokenize(pans(), "default", context) == tokens


async def test_a_compromised_kek_takes_the_processes_key_with_it(working, vault, owner, context):
    """Who has both could join the processes, and be given every key of verification codes."""
    await vault.tokenize(pans(), "default", context)
    known = await ids(owner, "process")
    async with working() as opened:
        await compromise(opened, await owner.fetchval("SELECT id FROM keks"))
    await vault._heartbeat._beat()
    assert known
    assert not set(known) & set(await ids(owner, "process"))


async def test_codes_are_opened_by_every_process_after_the_processes_key_was_replaced(
    working, open_vault, owner, permit, context
):
    first, second = await open_vault(), await open_vault()
    values = [*pans([KNOWN]), NewValue(CVC, Sensitive("7319"), "$.cvc", 0)]
    before = await first.tokenize(values, "default", context)
    async with working() as opened:
        await compromise(opened, await owner.fetchval("SELECT id FROM keks"))
    after = await first.tokenize(values, "default", context)
    for tokens in (before, after):
        (found,) = await second.reveal([Reference(CVC, tokens[1], "$.cvc")], permit, context)
        assert expose(found.value) == "7319"


@pytest.mark.parametrize("what", ["kek", "fingerprint"])
@pytest.mark.parametrize("point", ["keys.fingerprint.create", "keys.fingerprint.activate"])
async def test_what_is_compromised_while_a_rotation_was_killed_is_replaced(
    working, vault, owner, context, monkeypatch, what, point
):
    tokens = await vault.tokenize(pans(), "default", context)
    await killed_at(working, point, rotate_fingerprint_keys, monkeypatch)
    known = {*await ids(owner, "fingerprint"), *await ids(owner, "fingerprint", "pre-active")}
    found = {"kek": "SELECT id FROM keks", "fingerprint": "SELECT id FROM data_keys WHERE purpose = 'fingerprint'"}
    lost = str(await owner.fetchval(f"{found[what]} AND state = 'active'" if what != "kek" else found[what]))
    async with working() as opened:
        await compromise(opened, lost)
    (active,) = await ids(owner, "fingerprint")
    assert active not in known if what == "kek" else str(active) != lost
    assert await owner.fetchval("SELECT count(*) FROM fingerprints WHERE data_key <> $1", active) == 0
    assert await vault.tokenize(pans(), "default", context) == tokens


async def test_a_rotation_of_fingerprints_is_no_oracle_for_who_writes_to_the_database(working, vault, owner, context):
    """Rows with guesses, as if they were card-shaped tokens: fingerprints of them would tell which cards are there."""
    (token,) = await vault.tokenize(pans([KNOWN]), "default", context)
    (key,) = await ids(owner, "fingerprint")
    for number, guess in enumerate((KNOWN, GUESSED)):
        await owner.execute("INSERT INTO fingerprints VALUES ($1, $2, $3, $4)", bytes([number]), token.id, guess, key)
    async with working() as opened:
        await rotate_fingerprint_keys(opened)
        (rotated,) = await ids(owner, "fingerprint")
        secret = await opened.keyring.opening_key(rotated)
    stored = {row[0] for row in await owner.fetch("SELECT fingerprint FROM fingerprints")}
    assert stored == {fingerprint(secret, PAN.name, Sensitive(KNOWN))}


async def test_the_receipt_names_every_kek_that_opens_older_backups(working, settings, owner, open_vault, context):
    """Copies of the database were made while another KEK wrapped the tenant's keys, and that one is still there."""
    vault = await open_vault()
    await vault.tokenize(pans(), "default", context)
    first = await owner.fetchval("SELECT id FROM keks")
    own = VaultSettings(settings.data_dir, settings.providers, tenant_keks=True)
    async with working() as opened:
        await rotate_kek(opened)
    second = await owner.fetchval("SELECT id FROM keks WHERE state = 'active'")
    await vault.close()
    async with working(own) as opened:
        await rotate_kek(opened)
        receipt = json.loads((await destroy_tenant(opened, "default")).split("\n")[0])
    assert {first, second} <= set(receipt["older_backups_open_with"])
    assert set(receipt["keks_destroyed"]).isdisjoint(receipt["older_backups_open_with"])


def at_all_times(now: datetime) -> type[datetime]:
    return type("Standing", (datetime,), {"now": lambda _zone: now})


async def test_a_data_key_does_not_come_back_by_changing_its_row(open_vault, owner, context, monkeypatch):
    """Its age is that of its id, which is part of what the KEK has wrapped; `created_at` is not."""
    vault = await open_vault()
    later = datetime.now(UTC) + timedelta(hours=25)

    await vault.tokenize(pans([KNOWN]), "default", context)
    (known,) = await ids(owner, "seal")
    monkeypatch.setattr("vault.keys.keyring.datetime", at_all_times(later))
    monkeypatch.setattr("vault.tokens.time.time_ns", lambda: int(later.timestamp() * 10**9))
    await vault.tokenize(pans([GUESSED]), "default", context)
    (fresh,) = await ids(owner, "seal")
    assert fresh != known
    await owner.execute("UPDATE data_keys SET state = 'deactivated' WHERE id = $1", fresh)
    await owner.execute("UPDATE data_keys SET state = 'active', created_at = $2, uses = 0 WHERE id = $1", known, later)
    vault.forget_keys()
    await vault.tokenize(pans([NUMBERS[2]]), "default", context)
    assert await owner.fetchval("SELECT count(*) FROM tokens WHERE data_key = $1", known) == 1


async def test_a_data_key_from_the_future_is_replaced(open_vault, owner, context, monkeypatch):
    """The clock of a machine was wrong once: its key would have sealed until that day."""
    vault = await open_vault()
    future = datetime.now(UTC) + timedelta(days=400)
    with monkeypatch.context() as patched:
        patched.setattr("vault.tokens.time.time_ns", lambda: int(future.timestamp() * 10**9))
        patched.setattr("vault.keys.keyring.datetime", at_all_times(future))
        await vault.tokenize(pans([KNOWN]), "default", context)
    (known,) = await ids(owner, "seal")
    vault.forget_keys()
    await vault.tokenize(pans([GUESSED]), "default", context)
    assert known not in await ids(owner, "seal")


async def test_a_key_of_codes_ends_when_its_maker_said(open_pool, keks_of, owner):
    """Whoever writes to the database has a process hold the key of a code for a year."""
    first, second = [await keks_of() for _ in range(2)]
    await first.sealing_key()
    await owner.execute("UPDATE lease_keys SET expires_at = now() + interval '1 year'")
    await second._take()
    limit = datetime.now(UTC) + timedelta(hours=2)
    assert all(each.expires_at < limit for each in second._held.values())


@pytest.fixture
async def keks_of(open_pool, settings):
    """Make the lease keys of further processes, all alive."""
    from vault.crypto.sharing import Peer
    from vault.keys.keks import Keks
    from vault.keys.providers import build_all

    async def make() -> LeaseKeys:
        pool = await open_pool(size=1)
        keyring = Keyring(Keks(build_all(settings.providers), KeyRows(pool)), KeyRows(pool), cache_seconds=60)
        made = LeaseKeys(keyring, ProcessRows(pool), timedelta(hours=1))
        await ProcessRows(pool).beat(Peer(made.id, made.public_key, await made.mac()), [], 0)
        return made

    return make


@asynccontextmanager
async def stopped_before_writing(vault, owner, call):
    """Begin `call` in a process that is stopped (SIGSTOP) just before it writes, for so long that it counts as gone."""
    reached, go_on = asyncio.Event(), asyncio.Event()
    write = vault._writer.write

    async def late(what):
        vault._writer.write = write
        reached.set()
        await go_on.wait()
        return await write(what)

    vault._writer.write = late
    under_way = asyncio.create_task(call)
    await asyncio.wait_for(reached.wait(), 10)
    vault._heartbeat._beating.cancel()
    await owner.execute("DELETE FROM processes WHERE id = $1", vault._lease_keys.id)

    async def finished():
        go_on.set()
        return await asyncio.wait_for(under_way, 10)

    yield finished


async def test_a_process_that_hangs_during_a_rotation_of_fingerprints_gives_no_card_a_second_token(
    working, open_vault, owner, context
):
    vault, other = await open_vault(), await open_vault()
    await vault.tokenize(pans([KNOWN]), "default", context)
    async with stopped_before_writing(vault, owner, vault.tokenize(pans([GUESSED]), "default", context)) as finished:
        async with working() as opened:
            await rotate_fingerprint_keys(opened)
        tokens = await other.tokenize(pans([GUESSED]), "default", context)
        assert await finished() == tokens
    (key,) = await ids(owner, "fingerprint")
    assert await owner.fetchval("SELECT count(*) FROM fingerprints WHERE data_key <> $1", key) == 0


async def test_what_a_process_writes_after_its_key_was_destroyed_can_be_read(
    working, open_vault, owner, permit, context, monkeypatch
):
    monkeypatch.setattr("vault.upkeep.keychain.destruction.WAIT", timedelta())
    vault = await open_vault()
    await vault.tokenize(pans([KNOWN]), "default", context)
    (key,) = await ids(owner, "seal")
    async with stopped_before_writing(vault, owner, vault.tokenize(pans([GUESSED]), "default", context)) as finished:
        async with working() as opened:
            await rotate_data_keys(opened)
            await reseal(opened)
            await destroy(opened, str(key))
        tokens = await finished()
        vault.forget_keys()
        assert await revealed(vault, permit, context, tokens) == [GUESSED]


async def test_what_is_stored_while_a_tenant_is_destroyed_can_be_read_or_was_refused(
    working, settings, open_vault, permit, context, monkeypatch
):
    vault, tokens, settle = await open_vault(tenant_keks=True), [], Work.settle
    await vault.tokenize(pans([KNOWN]), "default", context)

    async def busy(self):
        await settle(self)
        if not tokens:
            tokens.extend(await vault.tokenize(pans([KNOWN, GUESSED]), "default", context))

    monkeypatch.setattr(Work, "settle", busy)
    async with working(VaultSettings(settings.data_dir, settings.providers, tenant_keks=True)) as opened:
        await destroy_tenant(opened, "default")
    other = await open_vault(tenant_keks=True)  # it never had the KEK that is gone
    assert await revealed(other, permit, context, tokens) == [KNOWN, GUESSED]


async def test_what_was_looked_up_before_a_change_is_not_held_after_it(open_vault, working, owner, context):
    vault = await open_vault()
    await vault.tokenize(pans([KNOWN]), "default", context)
    keyring, reached, go_on = vault._keyring, asyncio.Event(), asyncio.Event()
    keyring.forget()
    table, successor = keyring._table, keyring._table.successor

    async def slow(*about):
        found = await successor(*about)
        reached.set()
        await go_on.wait()
        return found

    table.successor = slow
    asking = asyncio.create_task(keyring.fingerprint_keys("default"))
    await asyncio.wait_for(reached.wait(), 10)
    table.successor = successor
    async with working() as opened:
        made = await opened.keyring.made("default", Purpose.FINGERPRINT, KeyState.PRE_ACTIVE)
        async with opened.change("keys.fingerprint.create", str(made.id), "default"):
            await KeyRows(opened.connection).add(made)
    await keyring.refresh()
    go_on.set()
    await asking
    assert (await keyring.fingerprint_keys("default")).successor.id == made.id


async def test_limit_a_compromised_key_of_today_is_used_again_by_whoever_writes_to_the_database(
    working, open_vault, owner, context
):
    """Nothing in the database says in which state a key has to be, but the row itself. Its id ends that after a day."""
    vault = await open_vault()
    await vault.tokenize(pans([KNOWN]), "default", context)
    (known,) = await ids(owner, "seal")
    async with working() as opened:
        await compromise(opened, str(known))
    await owner.execute("UPDATE data_keys SET state = 'deactivated' WHERE purpose = 'seal'")
    await owner.execute("UPDATE data_keys SET state = 'active', uses = 0 WHERE id = $1", known)
    vault.forget_keys()
    await vault.tokenize(pans([GUESSED]), "default", context)
    assert await owner.fetchval("SELECT count(*) FROM tokens WHERE data_key = $1", known) == 1


async def test_limit_a_receipt_tells_what_the_database_said(working, open_vault, owner, permit, context):
    """Whoever writes to the database takes a copy of a wrapped key first, and puts it back: the KEK opens it still."""
    vault = await open_vault()
    tokens = await vault.tokenize(pans([KNOWN]), "default", context)
    copy = await owner.fetchrow("SELECT id, wrapped FROM data_keys WHERE purpose = 'seal'")
    async with working() as opened:
        kek = await owner.fetchval("SELECT id FROM keks")
        receipt = json.loads((await destroy_tenant(opened, "default")).split("\n")[0])
    await owner.execute("UPDATE data_keys SET state = 'deactivated', wrapped = $2 WHERE id = $1", *copy)
    vault.forget_keys()
    assert await revealed(vault, permit, context, tokens) == [KNOWN]
    assert receipt["older_backups_open_with"] == [kek]
