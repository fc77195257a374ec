"""Sessions of hosted fields, as the vault makes, recognises and spends them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.harness.keychain import NUMBERS
from vault import field_sessions
from vault.collecting import FieldRules
from vault.errors import (
    FieldSessionEnded,
    OriginNotAllowed,
    PublishableKeyUnknown,
    TokenExpired,
    TokenOfWrongKind,
    TokenUnknown,
    VelocityExceeded,
)
from vault.field_sessions import FieldSession
from vault.kinds import CVC, IBAN, PAN
from vault.requests import NewValue, TokenLimits
from vault.sensitive import Sensitive
from vault.tokens import mint
from vault.upkeep.keychain.fingerprints import rotate_fingerprint_keys
from vault.upkeep.publishable_keys import add_publishable_key, revoke_publishable_key

SHOP = "https://shop.example"
HOUR = timedelta(hours=1)
RULES = FieldRules()
CARD = [NewValue(PAN, Sensitive(NUMBERS[0]), "number"), NewValue(CVC, Sensitive("123"), "cvc", 0)]


@pytest.fixture
async def key(database):
    return await add_publishable_key(database, "page", "default", [SHOP])


async def test_a_session_is_spent_with_what_it_was_for(vault, owner, key, context):
    text, ends = await vault.field_sessions.begin(key, SHOP, HOUR)
    assert abs(ends - datetime.now(UTC) - HOUR) < timedelta(minutes=1)
    assert await owner.fetchval("SELECT count(*) FROM used_sessions") == 0
    opened = await vault.field_sessions.open(text)
    await vault.collecting.tokenize(opened, CARD, context, RULES)
    assert await owner.fetchval("SELECT count(*) FROM used_sessions") == 1
    with pytest.raises(FieldSessionEnded):
        await vault.collecting.tokenize(await vault.field_sessions.open(text), CARD, context, RULES)
    assert await owner.fetchval("SELECT count(*) FROM tokens") == 1


async def test_two_processes_do_not_take_one_session_twice(open_vault, key, context, owner):
    first, second = await open_vault(), await open_vault()
    text, _ = await first.field_sessions.begin(key, SHOP, HOUR)
    for vault in (first, second):
        opened = await vault.field_sessions.open(text)
        try:
            await vault.collecting.tokenize(opened, CARD, context, RULES)
        except FieldSessionEnded:
            assert vault is second
    assert await owner.fetchval("SELECT count(*) FROM tokens") == 1


async def test_a_session_ends_with_its_time(vault, key):
    text, _ = await vault.field_sessions.begin(key, SHOP, timedelta(seconds=-1))
    with pytest.raises(FieldSessionEnded):
        await vault.field_sessions.open(text)


async def test_nobody_lends_a_session_to_another_page_or_makes_one(vault, key, database):
    """What it says of itself is changed, and sealed with another tenant's key: neither is taken."""
    theirs = await add_publishable_key(database, "theirs", "other", [SHOP, "https://evil.example"])
    text, _ = await vault.field_sessions.begin(theirs, SHOP, HOUR)
    session, mac = field_sessions.read(text)
    mine = await vault.field_sessions.key(key, SHOP)
    forged = FieldSession(session.id, session.ends, mine.id, SHOP)
    later = FieldSession(session.id, session.ends + HOUR, session.key, SHOP)
    moved = FieldSession(session.id, session.ends, session.key, "https://evil.example")
    for changed, tenant in ((forged, "default"), (later, "other"), (moved, "other")):
        with pytest.raises(FieldSessionEnded):
            await field_sessions.verify(changed, mac, vault._keyring, tenant)
    await field_sessions.verify(session, mac, vault._keyring, "other")


async def test_a_session_outlives_a_rotation_that_is_under_way(working, open_vault, key, context):
    vault = await open_vault()
    text, _ = await vault.field_sessions.begin(key, SHOP, HOUR)
    async with working() as opened:
        await rotate_fingerprint_keys(opened)
    # Its key is gone: the page gets another session, and nothing is lost.
    with pytest.raises(FieldSessionEnded):
        await vault.field_sessions.open(text)
    again, _ = await vault.field_sessions.begin(key, SHOP, HOUR)
    assert (await vault.field_sessions.open(again)).session.origin == SHOP


async def test_a_key_is_for_its_origins_until_it_is_revoked(vault, key, database):
    with pytest.raises(OriginNotAllowed):
        await vault.field_sessions.begin(key, "https://shop.example.evil.example", HOUR)
    await revoke_publishable_key(database, "page")
    with pytest.raises(PublishableKeyUnknown):
        await vault.field_sessions.begin(key, SHOP, HOUR)
    for wrong in ("", "pk_", key[:-1], key.upper(), "plk_" + key[3:]):
        with pytest.raises(PublishableKeyUnknown):
            await vault.field_sessions.begin(wrong, SHOP, HOUR)


async def test_what_goes_over_the_limit_is_not_stored_and_leaves_the_session(open_vault, owner, key, context):
    vault, another = await open_vault(), await open_vault()
    rules = FieldRules({60: 10**6, 86400: 1})
    text, _ = await vault.field_sessions.begin(key, SHOP, HOUR)
    await vault.collecting.tokenize(await vault.field_sessions.open(text), CARD, context, rules)
    text, _ = await vault.field_sessions.begin(key, SHOP, HOUR)
    for _ in range(3):
        with pytest.raises(VelocityExceeded):
            await vault.collecting.tokenize(await vault.field_sessions.open(text), CARD, context, rules)
    assert await owner.fetchval("SELECT count(*) FROM tokens") == 1
    assert await owner.fetchval("SELECT count(*) FROM used_sessions") == 1
    told = "SELECT count(*) FROM audit_events WHERE convert_from(body, 'utf8') LIKE '%velocity.throttle%'"
    assert await owner.fetchval(told) == 1
    await another.collecting.tokenize(await another.field_sessions.open(text), CARD, context, RULES)


async def test_sessions_that_are_over_are_forgotten(vault, owner, key, context):
    await owner.execute("INSERT INTO used_sessions VALUES (gen_random_uuid(), now() - interval '2 hours')")
    await owner.execute("INSERT INTO used_sessions VALUES (gen_random_uuid(), now() - interval '1 minute')")
    await vault._brakes._rows.clean(datetime.now(UTC))
    assert await owner.fetchval("SELECT count(*) FROM used_sessions") == 1


async def test_a_code_is_for_a_card_that_can_be_used_still(vault, owner, key, context):
    limited = NewValue(PAN, Sensitive(NUMBERS[0]), "number", limits=TokenLimits(lifetime=HOUR))
    iban = NewValue(IBAN, Sensitive("DE89370400440532013000"), "iban")
    card, account = await vault.tokenize([limited, iban], "default", context)
    code = [NewValue(CVC, Sensitive("123"), "cvc")]

    async def leased(token: str) -> None:
        text, _ = await vault.field_sessions.begin(key, SHOP, HOUR)
        await vault.collecting.tokenize(await vault.field_sessions.open(text), code, context, RULES, card=token)

    await leased(str(card))
    with pytest.raises(TokenOfWrongKind):
        await leased(str(account))
    await owner.execute("UPDATE tokens SET expires_at = now() - interval '1 second' WHERE token = $1", card.id)
    with pytest.raises(TokenExpired):
        await leased(str(card))
    await owner.execute("DELETE FROM tokens WHERE token = $1", card.id)
    with pytest.raises(TokenUnknown):
        await leased(str(card))
    assert await owner.fetchval("SELECT count(*) FROM cvc_leases") == 1


async def test_guesses_count_as_what_they_are_and_end(vault, owner, key, context):
    """Whether a token exists is nothing that one may ask a million times, or fill the log with."""
    rules, code = FieldRules({60: 3}), [NewValue(CVC, Sensitive("123"), "cvc")]
    text, _ = await vault.field_sessions.begin(key, SHOP, HOUR)
    opened, told = await vault.field_sessions.open(text), []
    for _ in range(9):
        with pytest.raises((TokenUnknown, VelocityExceeded)) as refused:
            await vault.collecting.tokenize(opened, code, context, rules, card=str(mint("tok")))
        told.append(type(refused.value))
    assert told == [TokenUnknown] * 3 + [VelocityExceeded] * 6
    sql = "SELECT count(*) FROM audit_events WHERE convert_from(body, 'utf8') LIKE '%token_unknown%'"
    assert await owner.fetchval(sql) == 3


async def test_what_is_refused_again_writes_nothing_and_leaves_others_alone(vault, key, context):
    rules = FieldRules({60: 1})
    spent, _ = await vault.field_sessions.begin(key, SHOP, HOUR)
    await vault.collecting.tokenize(await vault.field_sessions.open(spent), CARD, context, rules)
    other, _ = await vault.field_sessions.begin(key, SHOP, HOUR)
    with pytest.raises(VelocityExceeded):
        await vault.collecting.tokenize(await vault.field_sessions.open(other), CARD, context, rules)
    before = vault.statistics.statements
    for text, error in ((spent, FieldSessionEnded), (other, VelocityExceeded)):
        opened = await vault.field_sessions.open(text)
        for _ in range(5):
            with pytest.raises(error):
                await vault.collecting.tokenize(opened, CARD, context, rules)
    assert vault.statistics.statements == before
