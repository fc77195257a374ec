"""Data keys over a real PostgreSQL: one active key, used neither too often nor too long, and unwrapped once."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from vault import tokens
from vault.crypto.data_key import DataKey
from vault.errors import KeyUnavailable
from vault.key_settings import FileSettings
from vault.keys import keyring as module
from vault.keys.file import FileKeyProvider
from vault.keys.keks import Keks
from vault.keys.keyring import MAX_USES, RESERVED_USES, Keyring
from vault.store.keys import KeyRows


class CountingProvider(FileKeyProvider):
    """The real one; it counts what it is asked for, takes its time, and can be unplugged."""

    def __init__(self, path) -> None:
        super().__init__(FileSettings(path))
        self.wrapped = 0
        self.unwrapped = 0
        self.plugged = True

    async def wrap(self, kek: str, key: bytes, context: bytes) -> bytes:
        self.wrapped += 1
        return await super().wrap(kek, key, context)

    async def unwrap(self, kek: str, wrapped: bytes, context: bytes) -> bytes:
        self.unwrapped += 1
        await asyncio.sleep(0.01)
        if not self.plugged:
            raise KeyUnavailable(key="kek", reason="it was unplugged")
        return await super().unwrap(kek, wrapped, context)


@pytest.fixture
def provider(kek) -> CountingProvider:
    return CountingProvider(kek)


@pytest.fixture
async def open_keyring(open_pool, provider) -> Callable:
    async def make(cache_seconds: float = 60) -> Keyring:
        table = KeyRows(await open_pool(size=2))
        return Keyring(Keks([provider], table), table, cache_seconds=cache_seconds)

    return make


async def fingerprint_key(keyring: Keyring, tenant: str = "default") -> DataKey:
    return (await keyring.fingerprint_keys(tenant)).active


async def states(owner) -> dict:
    rows = await owner.fetch("SELECT id, state FROM data_keys WHERE purpose = 'seal'")
    return {row["id"]: row["state"] for row in rows}


async def test_two_keyrings_at_once_make_one_active_key(open_keyring, owner):
    keyrings = [await open_keyring() for _ in range(4)]
    keys = await asyncio.gather(*(keyring.sealing_key("default") for keyring in keyrings))
    marks = await asyncio.gather(*(fingerprint_key(keyring) for keyring in keyrings))
    assert len({key.id for key in keys}) == len({key.secret for key in keys}) == 1
    assert len({key.id for key in marks}) == len({key.secret for key in marks}) == 1
    assert keys[0].secret != marks[0].secret
    assert len(keys[0].secret) == 32
    assert await owner.fetchval("SELECT count(*) FROM data_keys WHERE state = 'active'") == 2


async def test_tenants_have_keys_of_their_own(open_keyring):
    keyring = await open_keyring()
    keys = [await keyring.sealing_key(tenant) for tenant in ("default", "other")]
    marks = [await fingerprint_key(keyring, tenant) for tenant in ("default", "other")]
    assert len({key.secret for key in keys + marks}) == 4


async def test_50_callers_at_once_unwrap_once(open_keyring, provider):
    maker = await open_keyring()
    key = await maker.sealing_key("default")
    keyring = await open_keyring()
    provider.unwrapped = 0
    opened = await asyncio.gather(*(keyring.opening_key(key.id) for _ in range(50)))
    assert provider.unwrapped == 1
    assert {each.secret for each in opened} == {key.secret}


async def test_50_callers_at_once_make_and_unwrap_one_sealing_key(open_keyring, provider, owner):
    keyring = await open_keyring()
    keys = await asyncio.gather(*(keyring.sealing_key("default") for _ in range(50)))
    assert len({key.id for key in keys}) == 1
    assert (provider.wrapped, provider.unwrapped) == (1, 1)
    assert await owner.fetchval("SELECT uses FROM data_keys") == RESERVED_USES


async def test_a_caller_that_goes_away_leaves_the_others_their_key(open_keyring, provider):
    keyring = await open_keyring()
    tasks = [asyncio.create_task(keyring.sealing_key("default")) for _ in range(3)]
    async with asyncio.timeout(5):
        while not provider.unwrapped:  # until the first one is at it
            await asyncio.sleep(0.001)
    tasks[0].cancel()
    first, *others = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(first, asyncio.CancelledError)
    assert len({key.id for key in others}) == 1
    assert provider.unwrapped == 1


async def test_no_plaintext_key_is_in_the_database(open_keyring, owner):
    keyring = await open_keyring()
    keys = [await keyring.sealing_key("default"), await fingerprint_key(keyring)]
    for row in await owner.fetch("SELECT data_keys::text AS whole FROM data_keys"):
        for key in keys:
            assert key.secret.hex() not in row["whole"]


def let_pass(monkeypatch, **time: int) -> None:
    """Let the keyring believe that so much time has passed."""
    later = datetime.now(UTC) + timedelta(**time)
    monkeypatch.setattr(module, "datetime", type("Later", (datetime,), {"now": lambda _zone: later}))


async def test_a_key_older_than_24_hours_is_replaced_deactivated_and_still_opens(open_keyring, owner, monkeypatch):
    old = await (await open_keyring()).sealing_key("default")
    let_pass(monkeypatch, hours=24, seconds=1)
    monkeypatch.setattr(tokens.time, "time_ns", lambda: int(module.datetime.now(UTC).timestamp() * 10**9))
    keyring = await open_keyring()
    new = await keyring.sealing_key("default")
    assert new.id != old.id
    assert await states(owner) == {old.id: "deactivated", new.id: "active"}
    assert await owner.fetchval("SELECT deactivated_at IS NOT NULL FROM data_keys WHERE id = $1", old.id)
    assert (await keyring.opening_key(old.id)).secret == old.secret


async def test_a_key_just_younger_than_24_hours_is_kept(open_keyring, monkeypatch):
    old = await (await open_keyring()).sealing_key("default")
    let_pass(monkeypatch, hours=23, minutes=59)
    assert (await (await open_keyring()).sealing_key("default")).id == old.id


async def test_a_keyring_that_runs_notices_that_its_key_has_become_too_old(open_keyring, owner, monkeypatch):
    monkeypatch.setattr(module, "MAX_AGE", timedelta(seconds=0.2))
    keyring = await open_keyring()
    old = await keyring.sealing_key("default")
    assert (await keyring.sealing_key("default")).id == old.id
    await asyncio.sleep(0.25)
    new = await keyring.sealing_key("default")
    assert new.id != old.id
    assert await states(owner) == {old.id: "deactivated", new.id: "active"}


async def test_at_2_to_the_24_uses_the_key_is_replaced(open_keyring, owner):
    first = await (await open_keyring()).sealing_key("default")
    await owner.execute("UPDATE data_keys SET uses = $1", MAX_USES - RESERVED_USES)
    assert (await (await open_keyring()).sealing_key("default")).id == first.id
    assert await owner.fetchval("SELECT uses FROM data_keys") == MAX_USES == 2**24
    second = await (await open_keyring()).sealing_key("default")
    assert second.id != first.id
    assert await states(owner) == {first.id: "deactivated", second.id: "active"}


@pytest.mark.parametrize(("limit", "block"), [(60, 10), (64, 10), (5, 5)])
async def test_blocks_reserved_by_many_keyrings_never_exceed_the_bound(open_keyring, owner, monkeypatch, limit, block):
    monkeypatch.setattr(module, "MAX_USES", limit)
    monkeypatch.setattr(module, "RESERVED_USES", block)
    keyrings = [await open_keyring() for _ in range(4)]

    async def seal(keyring: Keyring, times: int) -> list:
        return [(await keyring.sealing_key("default")).id for _ in range(times)]

    uses = Counter(key_id for ids in await asyncio.gather(*(seal(each, 75) for each in keyrings)) for key_id in ids)
    assert uses.total() == 300
    assert max(uses.values()) <= limit
    rows = await owner.fetch("SELECT id, uses, state FROM data_keys")
    for row in rows:
        assert uses[row["id"]] <= row["uses"] <= limit
        assert row["uses"] % block == 0
    assert [row["state"] for row in rows].count("active") <= 1
    assert len(rows) >= 300 // limit


async def test_while_the_provider_is_away_no_uses_are_reserved_and_the_next_block_needs_no_provider(
    open_keyring, provider, owner, monkeypatch
):
    monkeypatch.setattr(module, "RESERVED_USES", 2)
    first = await open_keyring()
    await first.sealing_key("default")
    provider.plugged = False
    second = await open_keyring()
    for _ in range(3):
        with pytest.raises(KeyUnavailable, match="unplugged"):
            await second.sealing_key("default")
    assert await owner.fetchval("SELECT uses FROM data_keys") == 2
    keys = [await first.sealing_key("default") for _ in range(3)]  # out of two blocks
    assert len({key.id for key in keys}) == 1
    assert await owner.fetchval("SELECT uses FROM data_keys") == 4
    provider.plugged = True
    assert (await second.sealing_key("default")).id == keys[0].id


async def test_each_use_is_counted_against_the_block_also_at_once(open_keyring, owner, monkeypatch):
    monkeypatch.setattr(module, "RESERVED_USES", 7)
    keyring = await open_keyring()
    await asyncio.gather(*(keyring.sealing_key("default") for _ in range(70)))
    assert await owner.fetchval("SELECT uses FROM data_keys") == 70


MOVED = [
    "UPDATE data_keys SET tenant = 'other'",
    "UPDATE data_keys SET purpose = 'fingerprint'",
    "UPDATE data_keys SET id = overlay(id::text placing '00000000' from 29)::uuid",
    "UPDATE data_keys SET wrapped = set_bit(wrapped, 200, 1 - get_bit(wrapped, 200))",
    "UPDATE data_keys SET wrapped = ''",
]


@pytest.mark.parametrize("sql", MOVED)
async def test_a_key_row_that_was_changed_or_moved_does_not_unwrap(open_keyring, owner, sql):
    await (await open_keyring()).sealing_key("default")
    await owner.execute(sql)
    row = await owner.fetchrow("SELECT id, tenant, purpose FROM data_keys")
    keyring = await open_keyring()
    with pytest.raises(KeyUnavailable):
        await keyring.opening_key(row["id"])
    use = keyring.sealing_key if row["purpose"] == "seal" else keyring.fingerprint_keys
    with pytest.raises(KeyUnavailable):
        await use(row["tenant"])


async def test_a_key_that_is_not_there_is_named(open_keyring):
    missing = uuid4()
    with pytest.raises(KeyUnavailable) as caught:
        await (await open_keyring()).opening_key(missing)
    assert caught.value.ids["key"] == str(missing)


async def test_a_cached_key_lasts_for_its_time_and_no_longer(open_keyring, provider):
    key = await (await open_keyring()).sealing_key("default")
    keyring = await open_keyring(cache_seconds=0.3)
    await keyring.opening_key(key.id)
    await keyring.sealing_key("default")
    await fingerprint_key(keyring)
    provider.plugged = False
    assert (await keyring.opening_key(key.id)).secret == key.secret
    assert (await keyring.sealing_key("default")).id == key.id
    await asyncio.sleep(0.35)
    for use in (keyring.opening_key(key.id), keyring.sealing_key("default"), fingerprint_key(keyring)):
        with pytest.raises(KeyUnavailable):
            await use
    provider.plugged = True
    assert (await keyring.opening_key(key.id)).secret == key.secret


async def test_a_failure_is_not_remembered(open_keyring, provider):
    keyring = await open_keyring()
    provider.plugged = False
    with pytest.raises(KeyUnavailable):
        await keyring.sealing_key("default")
    provider.plugged = True
    assert await keyring.sealing_key("default")


async def test_a_key_past_its_time_in_the_cache_is_no_longer_in_memory(open_keyring):
    keyring = await open_keyring(cache_seconds=0.05)
    key_id = (await keyring.sealing_key("default")).id
    await asyncio.sleep(0.1)
    gc.collect()
    held = [each for each in gc.get_objects() if isinstance(each, DataKey) and each.id == key_id]
    assert held == []


async def test_keys_at_hand_are_let_go_with_their_time(open_keyring):
    keyring = await open_keyring(cache_seconds=0.4)
    keys = await keyring.tenant_keys("default", 1)
    assert await keyring.tenant_keys("default", 1) is keys
    async with asyncio.timeout(5):
        while keyring._at_hand or keyring._opened._held:
            await asyncio.sleep(0.02)
    assert await keyring.tenant_keys("default", 1) is not keys
    keyring.forget()
    assert not keyring._at_hand


async def test_uses_for_many_records_are_reserved_at_once(open_keyring, owner):
    keyring = await open_keyring()
    await keyring.tenant_keys("default", RESERVED_USES + 5)
    assert await owner.fetchval("SELECT uses FROM data_keys WHERE purpose = 'seal'") == RESERVED_USES + 5
    await keyring.tenant_keys("default", 1)
    assert await owner.fetchval("SELECT uses FROM data_keys WHERE purpose = 'seal'") == 2 * RESERVED_USES + 5
