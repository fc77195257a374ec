"""Keys that are changed while requests are under way: no card gets two tokens, and nothing is under an old key."""

from __future__ import annotations

import asyncio

import pytest

from tests.harness.keychain import LATE, NUMBERS, SHAPE, pans
from vault.crypto.data_key import KeyState, Purpose
from vault.errors import (
    KeysChanged,
)
from vault.exposure import expose
from vault.kinds import PAN
from vault.requests import NewValue, Reference
from vault.sensitive import Sensitive
from vault.store.keys import KeyRows
from vault.upkeep.keychain.fingerprints import rotate_fingerprint_keys
from vault.upkeep.keychain.kek import rotate_kek
from vault.upkeep.keychain.seal import reseal, rotate_data_keys


async def test_cards_that_come_while_the_fingerprint_key_is_replaced_have_one_token_each(
    working, open_vault, owner, context
):
    vaults = [await open_vault(), await open_vault()]
    going_on = True
    given: dict[str, set] = {}

    async def shop(vault) -> None:
        while going_on:
            for number in NUMBERS:
                value = NewValue(PAN, Sensitive(number), "$")
                (token,) = await vault.tokenize([value], "default", context)
                given.setdefault(number, set()).add(token)
                await asyncio.sleep(0)

    shops = [asyncio.create_task(shop(vault)) for vault in vaults for _ in range(2)]
    for _ in range(3):
        async with working() as opened:
            await rotate_fingerprint_keys(opened)
    going_on = False
    await asyncio.gather(*shops)
    assert {number: len(tokens) for number, tokens in given.items()} == dict.fromkeys(NUMBERS, 1)


async def test_a_card_that_comes_between_two_steps_is_found_after_the_next_one(
    working, vault, owner, context, monkeypatch
):
    """New after everything was marked by the new key; known when only the new key is looked for."""
    from vault.upkeep.keychain import fingerprints as module

    await vault.tokenize(pans(), "default", context)
    late = [NewValue(PAN, Sensitive(LATE), "$", None, shape) for shape in (None, SHAPE)]
    given = []

    def before(real, at_once: bool):
        async def run(*arguments, **named):
            result = None if at_once else await real(*arguments, **named)
            given.append(await vault.tokenize(late, "default", context))
            return await real(*arguments, **named) if at_once else result

        return run

    monkeypatch.setattr(module, "_mark_all", before(module._mark_all, at_once=False))
    monkeypatch.setattr(module, "_drop_old", before(module._drop_old, at_once=True))
    async with working() as opened:
        await rotate_fingerprint_keys(opened)
    given.append(await vault.tokenize(late, "default", context))
    assert len(given) == 4
    assert all(each == given[0] for each in given)
    assert await owner.fetchval("SELECT count(*) FROM fingerprints WHERE token = $1", given[0][0].id) == 2


async def test_a_key_that_was_wrapped_by_a_kek_that_was_replaced_meanwhile_is_not_added(working, vault, owner, context):
    await vault.tokenize(pans()[:1], "default", context)
    async with working() as opened:
        late = await opened.keyring.made("late", Purpose.SEAL, KeyState.ACTIVE)
        await rotate_kek(opened)
        await KeyRows(opened.connection).add(late)
        assert await KeyRows(opened.connection).find(late.id) is None
    await vault.tokenize(pans()[:1], "late", context)
    assert await owner.fetchval("SELECT count(DISTINCT kek) FROM data_keys") == 1


class Held:
    """Lets a vault do its work up to the write, and waits there."""

    def __init__(self, vault, monkeypatch) -> None:
        self.at_the_write, self.go_on, self.writes = asyncio.Event(), asyncio.Event(), 0
        real = vault._writer.write

        async def write(what):
            if what.changes is not None:
                self.writes += 1
                self.at_the_write.set()
                await self.go_on.wait()
            return await real(what)

        monkeypatch.setattr(vault._writer, "write", write)


@pytest.mark.parametrize("rotate", [rotate_data_keys, rotate_fingerprint_keys], ids=["dek", "fingerprint"])
async def test_a_request_that_stood_still_during_a_change_writes_nothing_under_the_old_keys(
    working, open_vault, owner, context, monkeypatch, rotate
):
    vault, other = await open_vault(), await open_vault()
    await vault.tokenize(pans(), "default", context)
    late = [NewValue(PAN, Sensitive(LATE), "$")]
    held = Held(vault, monkeypatch)
    slow = asyncio.create_task(vault.tokenize(late, "default", context))
    await held.at_the_write.wait()
    async with working() as opened:
        await rotate(opened)
        if rotate is rotate_data_keys:
            await reseal(opened)
    (token,) = await other.tokenize(late, "default", context)
    held.go_on.set()
    assert await slow == [token]
    assert held.writes == 2
    active = {str(row[0]) for row in await owner.fetch("SELECT id FROM data_keys WHERE state = 'active'")}
    for table in ("tokens", "fingerprints"):
        assert {str(row[0]) for row in await owner.fetch(f"SELECT DISTINCT data_key FROM {table}")} <= active


async def test_keys_that_change_all_the_time_refuse_a_request_in_the_end(vault, owner, context, monkeypatch):
    real = vault._writer.write

    async def write(what):
        await owner.execute("UPDATE key_changes SET number = number + 1")
        return await real(what)

    monkeypatch.setattr(vault._writer, "write", write)
    with pytest.raises(KeysChanged):
        await vault.tokenize(pans()[:1], "default", context)
    assert await owner.fetchval("SELECT count(*) FROM tokens") == 0


async def test_digits_are_found_by_a_process_that_has_not_seen_the_change_yet(
    working, open_vault, owner, permit, context
):
    vault = await open_vault()
    shaped = await vault.tokenize(pans(SHAPE)[:1], "default", context)
    await vault._heartbeat.stop()
    async with working() as opened:
        await rotate_fingerprint_keys(opened)
    (value,) = await vault.reveal([Reference(PAN, None, "$", None, Sensitive(shaped[0].shown))], permit, context)
    assert expose(value.value) == NUMBERS[0]
