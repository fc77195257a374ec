"""Unsealing a running vault: what custodians do is recorded, or it is undone."""

from __future__ import annotations

import json

import pytest

from vault.errors import DatabaseFailed, KeyUnavailable, ShareRejected, SharesDoNotFit, VaultSealed
from vault.key_settings import CustodiansSettings, FileSettings
from vault.keys import ceremony
from vault.keys.custodian_record import append_record
from vault.keys.file import FileKeyProvider
from vault.kinds import PAN
from vault.requests import NewValue, Reference
from vault.sensitive import Sensitive
from vault.service import Vault
from vault.settings import VaultSettings
from vault.unsealing import Unsealing

NAMES = ("anna", "bert", "cleo")
CARD = "4242424242424242"


@pytest.fixture
def settings(tmp_path) -> CustodiansSettings:
    return CustodiansSettings(tmp_path / "record.json")


@pytest.fixture
def words(settings) -> list[str]:
    made = ceremony.make(settings.record, 2, NAMES)
    append_record(settings.record, made.record)
    return [share.words for share in made.shares]


@pytest.fixture
async def sealed(database, settings, words, tmp_path):
    vault = await Vault.open(VaultSettings(tmp_path, [settings]), database)
    yield vault
    await vault.close()


async def recorded(owner) -> list[tuple]:
    rows = await owner.fetch("SELECT body FROM audit_events WHERE action LIKE 'keys.%' ORDER BY at, seq")
    bodies = [json.loads(row["body"]) for row in rows]
    return [(b["action"], b["outcome"], b.get("code"), b.get("origin")) for b in bodies]


async def tokenize(vault, context):
    (token,) = await vault.tokenize([NewValue(PAN, Sensitive(CARD), "$.number")], "default", context)
    return token


async def test_a_sealed_vault_opens_and_refuses_until_it_is_unsealed(sealed, words, context, permit, owner):
    with pytest.raises(VaultSealed):
        await sealed.health()
    with pytest.raises(VaultSealed):
        await tokenize(sealed, context)
    assert await owner.fetchval("SELECT count(*) FROM tokens") == 0
    unsealing = Unsealing(sealed)
    await unsealing.started()
    await unsealing.give(words[0], "root")
    with pytest.raises(VaultSealed):
        await tokenize(sealed, context)
    assert (await unsealing.give(words[2], "panless")).opened
    token = await tokenize(sealed, context)
    (revealed,) = await sealed.reveal([Reference(PAN, token, "$.number")], permit, context)
    assert revealed.token == token
    assert await recorded(owner) == [
        ("keys.sealed", "permitted", None, "start"),
        ("keys.share", "permitted", None, "custodian anna, operator root"),
        ("keys.share", "permitted", None, "custodian cleo, operator panless"),
        ("keys.unseal", "permitted", None, "custodian cleo, operator panless"),
    ]


async def test_refused_shares_are_recorded_without_a_word_of_them(sealed, words, owner):
    unsealing = Unsealing(sealed)
    with pytest.raises(ShareRejected):
        await unsealing.give(words[0] + " canary", "root")
    assert await recorded(owner) == [("keys.share", "denied", "share_rejected", "root")]
    bodies = await owner.fetch("SELECT body FROM audit_events")
    assert not any(b"canary" in row["body"] or words[0][:30].encode() in row["body"] for row in bodies)


async def test_shares_that_do_not_fit_are_recorded(sealed, settings, words, owner):
    text = settings.record.read_text()
    settings.record.write_text(text.replace('"bert"', '"mallory"'))
    changed = Unsealing(sealed)
    sealed.keks.sealable[0]._read()
    await changed.give(words[0], "root")
    with pytest.raises(SharesDoNotFit):
        await changed.give(words[1], "root")
    assert (await recorded(owner))[-1] == ("keys.unseal", "denied", "shares_do_not_fit", "root")
    with pytest.raises(VaultSealed):
        await sealed.health()


async def test_what_cannot_be_recorded_is_undone(sealed, words, context, owner):
    unsealing = Unsealing(sealed)
    await unsealing.give(words[0], "root")
    await owner.execute("REVOKE INSERT ON audit_events FROM panless_proxy")
    try:
        with pytest.raises(DatabaseFailed):
            await unsealing.give(words[1], "root")
        with pytest.raises(VaultSealed) as caught:
            await sealed.health()
        assert caught.value.ids["given"] == 0
    finally:
        await owner.execute("GRANT INSERT ON audit_events TO panless_proxy")
    await unsealing.give(words[0], "root")
    assert (await unsealing.give(words[1], "root")).opened


async def test_sealing_forgets_the_keys_that_were_unwrapped_too(sealed, words, context, permit, owner):
    unsealing = Unsealing(sealed)
    for each in words[:2]:
        await unsealing.give(each, "root")
    token = await tokenize(sealed, context)
    assert await unsealing.seal("root")
    for asked in (
        tokenize(sealed, context),
        sealed.reveal([Reference(PAN, token, "$.number")], permit, context),
        sealed.health(),
    ):
        with pytest.raises(VaultSealed):
            await asked
    assert not sealed._keyring._opened._held
    assert (await recorded(owner))[-1] == ("keys.seal", "permitted", None, "operator root")
    for each in words[1:]:
        await unsealing.give(each, "root")
    (revealed,) = await sealed.reveal([Reference(PAN, token, "$.number")], permit, context)
    assert revealed.token == token


async def test_a_share_too_many_is_not_an_event(sealed, words, owner):
    unsealing = Unsealing(sealed)
    for each in words[:2]:
        await unsealing.give(each, "root")
    before = await recorded(owner)
    assert not (await unsealing.give(words[2], "root")).fresh
    assert await recorded(owner) == before


async def test_a_wrong_kek_still_ends_the_start(database, settings, words, tmp_path, context):
    """Only what may answer later is waited for."""
    FileKeyProvider.create(tmp_path / "kek")
    vault = await Vault.open(VaultSettings(tmp_path, [FileSettings(tmp_path / "kek")]), database)
    await tokenize(vault, context)
    assert not Unsealing(vault).offered
    await vault.close()
    with pytest.raises(KeyUnavailable) as caught:
        await Vault.open(VaultSettings(tmp_path, [settings]), database)
    assert caught.value.code == "key_unavailable"


async def test_sealing_does_not_wait_for_the_audit_log(sealed, words, owner):
    unsealing = Unsealing(sealed)
    for each in words[:2]:
        await unsealing.give(each, "root")
    await owner.execute("REVOKE INSERT ON audit_events FROM panless_proxy")
    try:
        assert not await unsealing.seal("root")
        with pytest.raises(VaultSealed):
            await sealed.health()
    finally:
        await owner.execute("GRANT INSERT ON audit_events TO panless_proxy")
