"""Keys of verification codes: every running process has them, and nothing else does (promise 6)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from vault.crypto import aead, sharing
from vault.crypto.data_key import DataKey
from vault.crypto.envelope import Binding, unseal
from vault.errors import CvcGone, RecordDoesNotOpen
from vault.exposure import expose
from vault.key_settings import FileSettings
from vault.keys.file import FileKeyProvider
from vault.keys.lease_keys import LeaseKeys
from vault.kinds import CVC, PAN
from vault.requests import NewValue, Reference
from vault.sensitive import Sensitive
from vault.store.processes import ProcessRows
from vault.tokens import Token, uuid7

VISA = "4242424242424242"
LIFETIME = timedelta(hours=1)


async def entered(vault, context, code: str = "7319") -> list[Token]:
    values = [NewValue(PAN, Sensitive(VISA), "$.number"), NewValue(CVC, Sensitive(code), "$.cvc", 0)]
    return await vault.tokenize(values, "default", context)


async def code_of(vault, permit, context, tokens: list[Token]) -> str:
    (revealed,) = await vault.reveal([Reference(CVC, tokens[1], "$.cvc")], permit, context)
    return expose(revealed.value)


async def test_a_code_is_opened_by_every_process_that_runs_when_it_comes_or_starts_later(open_vault, permit, context):
    first, second = await open_vault(), await open_vault()
    tokens = await entered(first, context)
    third = await open_vault()
    for vault in (second, third, first):
        assert await code_of(vault, permit, context, tokens) == "7319"
    await first.close()
    fourth = await open_vault()
    assert await code_of(fourth, permit, context, tokens) == "7319"


async def test_a_restart_of_all_processes_loses_the_codes_though_their_rows_are_there(
    open_vault, owner, permit, context
):
    vault = await open_vault()
    tokens = await entered(vault, context)
    await vault.close()
    assert await owner.fetchval("SELECT count(*) FROM cvc_leases") == 1
    again = await open_vault()
    with pytest.raises(CvcGone):
        await code_of(again, permit, context, tokens)


async def test_whoever_has_the_whole_database_and_the_kek_cannot_open_a_code(open_vault, owner, kek, context):
    """Copies on their way to other processes included: one stands still here."""
    vault, stopped = await open_vault(), await open_vault()
    await stopped._heartbeat.stop()
    await owner.execute(
        "INSERT INTO processes SELECT $1, host, pid, providers, $2, $3, changes, now(), now() FROM processes",
        stopped._lease_keys.id,
        stopped._lease_keys.public_key,
        await stopped._lease_keys.mac(),
    )
    tokens = await entered(vault, context)
    await asyncio.sleep(0)
    copies = await owner.fetch("SELECT encrypted FROM lease_keys")
    assert len(copies) == 1
    provider, secrets = FileKeyProvider(FileSettings(kek)), []
    for row in await owner.fetch("SELECT id, tenant, purpose, kek, wrapped FROM data_keys"):
        from vault.crypto.data_key import WrappedKey

        whole = WrappedKey(row["id"], row["tenant"], row["purpose"], row["kek"], row["wrapped"], datetime.now(UTC))
        secrets.append(await provider.unwrap(whole.kek, whole.wrapped, whole.context))
    stored = b"".join(copy["encrypted"] for copy in copies) + kek.read_bytes()
    secrets += [stored[at : at + 32] for at in range(len(stored) - 31)]
    (lease,) = await owner.fetch("SELECT token, data_key, sealed FROM cvc_leases")
    binding = Binding("default", tokens[1], "cvc")
    for secret in secrets:
        with pytest.raises(RecordDoesNotOpen):
            unseal(DataKey(lease["data_key"], secret), lease["sealed"], binding)
    held = await vault._lease_keys.opening_key(lease["data_key"])
    assert expose(unseal(held, lease["sealed"], binding)) == "7319"


async def test_a_process_without_access_to_the_kek_gets_no_copy(open_vault, owner, context):
    pair = sharing.PrivateKey()
    for mac in (None, bytes(32)):
        await owner.execute(
            """INSERT INTO processes (id, host, pid, providers, public_key, mac, changes, started_at, seen_at)
               VALUES ($1, 'h', 1, '{}', $2, $3, 0, now(), now() + interval '1 hour')""",
            uuid7(),
            pair.public,
            mac,
        )
    vault = await open_vault()
    await entered(vault, context)
    await vault._lease_keys.beat()
    assert await owner.fetchval("SELECT count(*) FROM lease_keys") == 0
    (mac,) = [await vault._lease_keys.mac()]
    await owner.execute("UPDATE processes SET mac = $1 WHERE pid = 1", mac)  # another process's
    await vault._lease_keys.beat()
    assert await owner.fetchval("SELECT count(*) FROM lease_keys") == 0


async def test_a_copy_that_was_left_by_somebody_without_the_kek_is_not_taken(open_vault, owner, context):
    vault = await open_vault()
    key, secret = uuid7(), aead.new_key()
    for context_of_copy in (b"", key.bytes + vault._lease_keys.id.bytes):
        encrypted = sharing.encrypt_to(vault._lease_keys.public_key, secret, context_of_copy)
        await owner.execute(
            "INSERT INTO lease_keys VALUES ($1, $2, $3, now() + interval '1 hour')",
            key,
            vault._lease_keys.id,
            encrypted,
        )
        await vault._lease_keys.beat()
        assert await owner.fetchval("SELECT count(*) FROM lease_keys") == 0
        assert await vault._lease_keys.opening_key(key) is None


async def test_copies_do_not_stay_in_the_table(open_vault, owner, context):
    first, second = await open_vault(), await open_vault()
    await entered(first, context)
    for vault in (second, first):
        await vault._lease_keys.beat()
    assert await owner.fetchval("SELECT count(*) FROM lease_keys") == 0


@pytest.fixture
async def lease_keys(open_vault, open_pool) -> LeaseKeys:
    vault = await open_vault()
    return LeaseKeys(vault._keyring, ProcessRows(await open_pool(size=1)), LIFETIME)


async def test_a_key_seals_for_a_while_and_is_forgotten_with_its_last_code(lease_keys, monkeypatch):
    from vault.keys import lease_keys as module

    now = datetime.now(UTC)

    class Clock(datetime):
        @classmethod
        def now(cls, _tz=None):
            return now

    monkeypatch.setattr(module, "datetime", Clock)
    first, pair = await lease_keys.sealing_key(), lease_keys.public_key
    now += LIFETIME / 4 - timedelta(seconds=1)
    assert await lease_keys.sealing_key() == first
    now += timedelta(seconds=1)
    second = await lease_keys.sealing_key()
    assert second != first
    now += LIFETIME - timedelta(seconds=1)
    await lease_keys.beat()
    assert await lease_keys.opening_key(first.id) == first
    now += timedelta(seconds=1)
    await lease_keys.beat()
    assert first.id not in lease_keys._held
    assert second.id in lease_keys._held
    assert lease_keys.public_key != pair


async def test_a_key_seals_at_most_2_to_the_24_codes(lease_keys, monkeypatch):
    from vault.keys import lease_keys as module

    monkeypatch.setattr(module, "MAX_USES", 3)
    used = [(await lease_keys.sealing_key()).id for _ in range(7)]
    assert [used.count(each) for each in dict.fromkeys(used)] == [3, 3, 1]
