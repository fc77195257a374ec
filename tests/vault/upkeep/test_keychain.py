"""Rotation of each key in a vault that holds cards: nothing is lost, and nothing is left under the old key."""

from __future__ import annotations

import json

import pytest

from tests.harness.keychain import LATE, NUMBERS, SHAPE, THEIRS, actions, keys, pans, revealed
from vault.card_tokens import CardShape
from vault.crypto import signed_note
from vault.errors import (
    KekOutOfReach,
    KeyCompromised,
    KeyDestroyed,
    KeyNotReady,
    KeysBusy,
    ProcessesSilent,
)
from vault.exposure import expose
from vault.key_settings import FileSettings
from vault.keys import keyring as keyring_module
from vault.keys.file import FileKeyProvider
from vault.kinds import CVC, PAN
from vault.requests import NewValue, Reference
from vault.sensitive import Sensitive
from vault.settings import VaultSettings
from vault.upkeep.keychain import work as work_module
from vault.upkeep.keychain.compromise import compromise
from vault.upkeep.keychain.destruction import destroy, destroy_tenant
from vault.upkeep.keychain.fingerprints import rotate_fingerprint_keys
from vault.upkeep.keychain.kek import rotate_kek
from vault.upkeep.keychain.seal import reseal, rotate_data_keys
from vault.upkeep.keychain.signing import rotate_signing_key, signed, verifier_keys
from vault.upkeep.keychain.status import look
from vault.upkeep.keychain.work import work


async def test_the_kek_is_replaced_and_records_stay_as_they_are(working, vault, owner, kek, permit, context):
    tokens = await vault.tokenize(pans(), "default", context)
    before = await owner.fetch("SELECT token, data_key, sealed FROM tokens ORDER BY token")
    (old,) = [row["id"] for row in await owner.fetch("SELECT id FROM keks")]
    async with working() as opened:
        await rotate_kek(opened)
    assert await owner.fetch("SELECT token, data_key, sealed FROM tokens ORDER BY token") == before
    assert await owner.fetchval("SELECT count(*) FROM data_keys WHERE kek = $1", old) == 0
    states = dict(await owner.fetch("SELECT id, state FROM keks"))
    assert sorted(states.values()) == ["active", "deactivated"]
    assert states[old] == "deactivated"
    assert len(kek.read_text().splitlines()) == 2
    assert await revealed(vault, permit, context, tokens) == NUMBERS
    assert await actions(owner) == ["keys.kek.create", "keys.kek.activate", "keys.kek.rewrap"]


async def test_a_destroyed_kek_is_gone_from_its_file_and_opens_no_older_copy(working, open_vault, owner, kek, context):
    vault = await open_vault()
    await vault.tokenize(pans()[:3], "default", context)
    copies = await owner.fetch("SELECT id, tenant, purpose, kek, wrapped, created_at FROM data_keys")
    (old,) = [row["id"] for row in await owner.fetch("SELECT id FROM keks")]
    async with working() as opened:
        with pytest.raises(KeyNotReady):
            await destroy(opened, old)
        await rotate_kek(opened)
        await destroy(opened, old)
    assert old not in kek.read_text()
    provider = FileKeyProvider(FileSettings(kek))
    assert not any(provider.holds(copy["kek"]) for copy in copies)


async def test_every_tenants_keys_move_from_one_provider_to_another(
    working, database, vault, owner, kek, permit, context
):
    """From one KEK file to another: as between any two providers."""
    mine = await vault.tokenize(pans(), "default", context)
    theirs = await vault.tokenize(pans(), "other", context)
    FileKeyProvider.create(kek.with_name("second"))
    both = VaultSettings(kek.parent, [FileSettings(kek), FileSettings(kek.with_name("second"))])
    async with working(both) as opened:
        with pytest.raises(KekOutOfReach):  # the running vault would open nothing any more
            await rotate_kek(opened, to=str(kek.with_name("second")))
    await vault.close()
    async with working(both) as opened:
        await rotate_kek(opened, to=str(kek.with_name("second")))
    kek.unlink()
    alone = VaultSettings(kek.parent, [FileSettings(kek.with_name("second"))])
    from vault.service import Vault

    moved = await Vault.open(alone, database)
    assert await revealed(moved, permit, context, mine) == NUMBERS
    assert await revealed(moved, THEIRS, context, theirs) == NUMBERS
    await moved.close()


async def test_new_data_keys_seal_and_old_records_are_sealed_again(working, vault, owner, permit, context):
    tokens = await vault.tokenize(pans(), "default", context)
    (old,) = await keys(owner, "seal")
    async with working() as opened:
        await rotate_data_keys(opened)
        assert await keys(owner, "seal") == {old: "deactivated"}
        (late,) = await vault.tokenize([NewValue(PAN, Sensitive(LATE), "$")], "default", context)
        assert await owner.fetchval("SELECT data_key <> $1 FROM tokens WHERE token = $2", old, late.id)
        assert await reseal(opened) == len(set(NUMBERS))
    assert await owner.fetchval("SELECT count(*) FROM tokens WHERE data_key = $1", old) == 0
    assert await revealed(vault, permit, context, tokens) == NUMBERS
    assert await vault.tokenize(pans(), "default", context) == tokens


async def test_only_one_tenant_is_concerned_where_one_is_named(working, vault, owner, context):
    for tenant in ("default", "other"):
        await vault.tokenize(pans()[:2], tenant, context)
    async with working() as opened:
        await rotate_data_keys(opened, tenant="other")
        await rotate_fingerprint_keys(opened, tenant="other")
    assert set((await keys(owner, "seal")).values()) == set((await keys(owner, "fingerprint")).values()) == {"active"}
    assert set((await keys(owner, "seal", "other")).values()) == {"deactivated"}
    assert sorted((await keys(owner, "fingerprint", "other")).values()) == ["active", "destroyed"]


async def test_cards_keep_their_tokens_of_either_form_when_the_fingerprint_key_is_replaced(
    working, open_vault, owner, permit, context
):
    vault = await open_vault()
    opaque = await vault.tokenize(pans(), "default", context)
    shaped = await vault.tokenize(pans(SHAPE), "default", context)
    before = {row[0] for row in await owner.fetch("SELECT fingerprint FROM fingerprints")}
    async with working() as opened:
        await rotate_fingerprint_keys(opened)
    after = {row[0] for row in await owner.fetch("SELECT fingerprint FROM fingerprints")}
    assert len(after) == len(before)
    assert not after & before
    for each in (vault, await open_vault()):
        assert await each.tokenize(pans(), "default", context) == opaque
        assert [token.shown for token in await each.tokenize(pans(SHAPE), "default", context)] == [
            token.shown for token in shaped
        ]
        references = [Reference(PAN, None, "$", None, Sensitive(token.shown)) for token in shaped]
        assert [expose(value.value) for value in await each.reveal(references, permit, context)] == NUMBERS
    assert sorted((await keys(owner, "fingerprint")).values()) == ["active", "destroyed"]
    assert await owner.fetchval("SELECT count(*) FROM tokens") == len(set(NUMBERS))


async def test_a_card_keeps_its_card_shaped_token_where_there_are_few_of_its_shape(working, open_vault, context):
    """Ten tokens have this shape: a later key's candidates, but for the first one, are likely to hold the old one."""
    vault, few = await open_vault(), CardShape(12, True, True, True)
    values = [new for new in pans(few) if expose(new.value)[:6] in {"424242", "555555", "378282", "601111", "401288"}]
    before = [(await vault.tokenize([new], "default", context))[0].shown for new in values]
    for _ in range(3):
        async with working() as opened:
            await rotate_fingerprint_keys(opened)
        for each in (vault, await open_vault()):
            assert [(await each.tokenize([new], "default", context))[0].shown for new in values] == before


async def test_what_one_process_gives_is_known_to_the_other_after_a_rotation(working, open_vault, context):
    mine, theirs = await open_vault(), await open_vault()
    first, second = pans(SHAPE)[:3], pans(CardShape(16, False, True, False))[:3]
    await mine.tokenize(first, "default", context)
    async with working() as opened:
        await rotate_fingerprint_keys(opened)
    await mine.tokenize(first, "default", context)
    given = await theirs.tokenize(second, "default", context)
    async with working() as opened:
        await rotate_fingerprint_keys(opened)
    again = await mine.tokenize(second, "default", context)
    assert [token.shown for token in again] == [token.shown for token in given]


@pytest.mark.parametrize("at", range(12))
async def test_a_rotation_of_fingerprints_that_stops_anywhere_goes_on_where_it_was(
    working, vault, owner, context, monkeypatch, at
):
    """It breaks at its Nth access to the table of fingerprints or at its Nth change; cards are stored all the while."""
    from vault.upkeep.keychain import fingerprints as module

    opaque = await vault.tokenize(pans(), "default", context)

    class Stopped(BaseException):
        pass

    count = 0

    def stopping(real):
        async def run(*arguments, **named):
            nonlocal count
            count += 1
            if count == at + 1:
                raise Stopped
            return await real(*arguments, **named)

        return run

    with monkeypatch.context() as patched:
        for name in ("add_marks", "drop_marks", "marks_under", "set_state"):
            patched.setattr(module, name, stopping(getattr(module, name)))
        try:
            async with working() as opened:
                await rotate_fingerprint_keys(opened)
        except Stopped:
            pass
        assert await vault.tokenize(pans(), "default", context) == opaque
    async with working() as opened:
        await rotate_fingerprint_keys(opened)
    assert await vault.tokenize(pans(), "default", context) == opaque
    assert await owner.fetchval("SELECT count(*) FROM tokens") == len(set(NUMBERS))
    states = await keys(owner, "fingerprint")
    active = [key for key, state in states.items() if state == "active"]
    assert len(active) == 1
    assert [str(row[0]) for row in await owner.fetch("SELECT DISTINCT data_key FROM fingerprints")] == active


async def test_a_compromised_data_key_seals_and_opens_nothing_and_its_records_are_sealed_again(
    working, vault, owner, permit, context, monkeypatch
):
    tokens = await vault.tokenize(pans(), "default", context)
    (old,) = await keys(owner, "seal")
    from vault.upkeep.keychain import compromise as module

    async def later(*_):
        with pytest.raises(KeyCompromised):
            await revealed(vault, permit, context, tokens)
        (fresh,) = await vault.tokenize([NewValue(PAN, Sensitive(LATE), "$")], "default", context)
        assert await owner.fetchval("SELECT data_key <> $1 FROM tokens WHERE token = $2", old, fresh.id)

    with monkeypatch.context() as patched:
        patched.setattr(module, "reseal_under", later)
        async with working() as opened:
            await compromise(opened, old)
    async with working() as opened:
        await compromise(opened, old)
    assert (await keys(owner, "seal"))[old] == "compromised"
    assert await owner.fetchval("SELECT count(*) FROM tokens WHERE data_key = $1", old) == 0
    assert await revealed(vault, permit, context, tokens) == NUMBERS


async def test_a_compromised_kek_takes_every_key_that_it_wrapped_with_it(working, vault, owner, permit, context):
    tokens = await vault.tokenize(pans(), "default", context)
    async with working() as opened:
        await signed(opened, "anything\n")
        before = {row[0] for row in await owner.fetch("SELECT id FROM data_keys WHERE purpose <> 'process'")}
        (old,) = [row["id"] for row in await owner.fetch("SELECT id FROM keks")]
        await compromise(opened, old)
    assert await owner.fetchval("SELECT state FROM keks WHERE id = $1", old) == "compromised"
    in_use = await owner.fetch("SELECT data_key FROM tokens UNION SELECT data_key FROM fingerprints")
    assert not before & {row[0] for row in in_use}
    assert await revealed(vault, permit, context, tokens) == NUMBERS
    assert await vault.tokenize(pans(), "default", context) == tokens


async def test_a_key_that_protects_something_or_was_active_a_moment_ago_is_not_destroyed(
    working, vault, owner, context
):
    await vault.tokenize(pans()[:2], "default", context)
    (old,) = await keys(owner, "seal")
    async with working() as opened:
        for how in ("rotate", "reseal", "in a minute"):
            with pytest.raises(KeyNotReady) as refused:
                await destroy(opened, old)
            assert how in refused.value.advice
            await (rotate_data_keys if how == "rotate" else reseal)(opened)
        await owner.execute("UPDATE data_keys SET deactivated_at = deactivated_at - interval '61 seconds'")
        await destroy(opened, old)
    assert await owner.fetchval("SELECT wrapped IS NULL AND state = 'destroyed' FROM data_keys WHERE id = $1", old)


async def test_a_tenant_whose_keys_are_destroyed_cannot_be_read_nor_restored_from_a_backup(
    database, open_vault, owner, kek, permit, context
):
    """With a KEK for each tenant. The backup is a copy of every row, put back after the destruction."""
    settings = VaultSettings(kek.parent, [FileSettings(kek)], tenant_keks=True)
    vault = await open_vault(tenant_keks=True)
    mine = await vault.tokenize(pans(), "default", context)
    theirs = await vault.tokenize(pans(), "other", context)
    backup = await owner.fetch("SELECT * FROM data_keys")
    async with work(settings, database) as opened:
        receipt = await destroy_tenant(opened, "other")
        (verifier,) = (await verifier_keys(opened.connection)).values()
    with pytest.raises(KeyDestroyed):
        await revealed(vault, THEIRS, context, theirs)
    assert await revealed(vault, permit, context, mine) == NUMBERS
    told = json.loads(signed_note.verify(receipt, verifier))
    assert (told["tenant"], told["records_unreadable"]) == ("other", len(set(NUMBERS)))
    assert told["older_backups_open_with"] == []
    for row in backup:
        await owner.execute(
            "UPDATE data_keys SET wrapped = $2, state = $3 WHERE id = $1", row["id"], row["wrapped"], "deactivated"
        )
    restored = await open_vault(tenant_keks=True)
    with pytest.raises(Exception, match="key_unavailable"):
        await revealed(restored, THEIRS, context, theirs)
    assert await revealed(restored, permit, context, mine) == NUMBERS


async def test_without_a_kek_of_its_own_the_receipt_says_what_still_opens_older_backups(working, vault, owner, context):
    await vault.tokenize([*pans(), NewValue(CVC, Sensitive("123"), "$", 0)], "other", context)
    async with working() as opened:
        receipt = await destroy_tenant(opened, "other")
        (verifier,) = (await verifier_keys(opened.connection)).values()
    (kek,) = [row["id"] for row in await owner.fetch("SELECT id FROM keks")]
    assert json.loads(signed_note.verify(receipt, verifier))["older_backups_open_with"] == [kek]
    assert await owner.fetchval("SELECT count(*) FROM cvc_leases") == 0


async def test_what_was_signed_before_is_verified_after_the_signing_key_was_replaced(working, owner):
    async with working() as opened:
        note = await signed(opened, "a receipt\n")
        (old,) = (await verifier_keys(opened.connection)).values()
        await rotate_signing_key(opened)
        again = await signed(opened, "a receipt\n")
        keys_now = list((await verifier_keys(opened.connection)).values())
    assert keys_now[0] == old
    assert signed_note.verify(note, keys_now[0]) == signed_note.verify(again, keys_now[1]) == "a receipt\n"
    with pytest.raises(signed_note.NoteRejected):
        signed_note.verify(again, old)
    assert sorted((await keys(owner, "signing", "")).values()) == ["active", "destroyed"]
    assert await owner.fetchval("SELECT count(*) FROM data_keys WHERE purpose = 'signing' AND wrapped IS NULL") == 1


async def test_two_commands_do_not_change_keys_at_once(working, monkeypatch):
    monkeypatch.setattr(work_module, "LOCK_SECONDS", 0.2)
    async with working():
        with pytest.raises(KeysBusy):
            async with working():
                pass
    async with working():
        pass


async def test_a_process_that_takes_no_notice_stops_the_rotation_before_anything_depends_on_it(
    working, vault, owner, context, monkeypatch
):
    await vault.tokenize(pans(), "default", context)
    monkeypatch.setattr(work_module, "SETTLE_SECONDS", 0.5)
    await owner.execute("UPDATE processes SET id = gen_random_uuid(), seen_at = clock_timestamp() + interval '1 hour'")
    async with working() as opened:
        with pytest.raises(ProcessesSilent):
            await rotate_fingerprint_keys(opened)
    assert sorted((await keys(owner, "fingerprint")).values()) == ["active", "pre-active"]


async def test_a_process_that_cannot_look_for_changes_uses_nothing_that_it_holds(open_vault, owner, permit, context):
    """Its heartbeat has stopped; a key is compromised meanwhile."""
    vault = await open_vault()
    (token,) = await vault.tokenize(pans()[:1], "default", context)
    await revealed(vault, permit, context, [token])
    await vault._heartbeat.stop()
    await owner.execute("UPDATE data_keys SET state = 'compromised' WHERE purpose = 'seal'")
    await owner.execute("UPDATE key_changes SET number = number + 1")
    vault._keyring._seen_at -= keyring_module.STALE_SECONDS
    with pytest.raises(KeyCompromised):
        await revealed(vault, permit, context, [token])


async def test_running_vaults_take_notice_within_seconds(working, vault, owner, context):
    await vault.tokenize(pans()[:1], "default", context)
    (old,) = await keys(owner, "seal")
    async with working() as opened:
        await rotate_data_keys(opened)
    await vault.tokenize([NewValue(PAN, Sensitive(NUMBERS[5]), "$")], "default", context)
    assert await owner.fetchval("SELECT count(*) FROM tokens WHERE data_key = $1", old) == 1


async def test_the_status_tells_what_each_key_is_for_and_what_to_do(working, database, vault, owner, context):
    await vault.tokenize(pans(), "default", context)
    async with working() as opened:
        await rotate_data_keys(opened)
        await rotate_kek(opened)
    found = {key.id: key for key in (await look(database)).keys}
    (old,) = await keys(owner, "seal")
    assert (found[old].what, found[old].state, found[old].protects) == ("dek", "deactivated", len(set(NUMBERS)))
    assert "panless keys reseal" in found[old].next_step
    assert {key.what for key in found.values()} >= {"kek", "dek", "fingerprint", "process"}
    retired = [key for key in found.values() if key.what == "kek" and key.state == "deactivated"]
    assert "panless keys destroy" in retired[0].next_step
    assert len((await look(database)).processes) == 1


async def test_a_rotation_tells_how_far_it_is(working, vault, context):
    await vault.tokenize(pans(), "default", context)
    steps, told = [], []
    async with working(progress=lambda done, total: steps.append((done, total)), report=told.append) as opened:
        await rotate_data_keys(opened)
        await reseal(opened)
    assert steps[0] == (0, len(set(NUMBERS)))
    assert steps[-1] == (len(set(NUMBERS)),) * 2
    assert "sealed again" in told[-1]
