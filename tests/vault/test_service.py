"""The vault against a real PostgreSQL: what goes in comes out for whoever may have it, and nothing else does."""

from __future__ import annotations

import asyncio
import json
import traceback
from datetime import timedelta
from uuid import UUID

import pytest

from tests.harness.cards import cards
from tests.harness.verified import verified
from vault.errors import (
    AppKeyRevoked,
    AppUnknown,
    CvcGone,
    DatabaseFailed,
    KeyUnavailable,
    NotACardNumber,
    NotACvc,
    PanlessError,
    RecordDoesNotOpen,
    TokenExpired,
    TokenOfOtherTenant,
    TokenOfWrongKind,
    TokenUnknown,
)
from vault.exposure import expose
from vault.key_settings import FileSettings
from vault.keys.file import FileKeyProvider
from vault.kinds import CVC, PAN
from vault.policy import Permit, Policy, Principal
from vault.requests import NewValue, Reference
from vault.rules import Action
from vault.sensitive import Sensitive
from vault.service import Vault
from vault.settings import VaultSettings
from vault.store.database import Role
from vault.tokens import Token, mint, uuid7
from vault.upkeep.apps import add_app, revoke_app

VISA, AMEX = "4242424242424242", "378282246310005"


def pan(number: str = VISA) -> NewValue:
    return NewValue(PAN, Sensitive(number), "$.card.number")


def cvc(of: int | None = 0, code: str = "7319") -> NewValue:
    return NewValue(CVC, Sensitive(code), "$.card.cvc", of)


def for_pan(token: Token) -> Reference:
    return Reference(PAN, token, "$.card.number")


def for_cvc(token: Token | None, of: int | None = None) -> Reference:
    return Reference(CVC, token, "$.card.cvc", of)


def plain(revealed) -> list[str]:
    return [expose(each.value) for each in revealed]


async def events(owner) -> list[dict]:
    rows = await owner.fetch("SELECT body FROM audit_events ORDER BY at, chain, seq")
    return [json.loads(row["body"]) for row in rows][1:]  # after the migration's


def assert_silent(error: BaseException, *values: str) -> None:
    """Neither the error, nor what led to it, nor its traceback, shows a value."""
    shown = "".join(traceback.format_exception(error))
    seen: BaseException | None = error
    while seen is not None:
        shown += f"{seen} {seen!r} {vars(seen)} {seen.args}"
        seen = seen.__cause__ or seen.__context__
    for value in values:
        assert value not in shown


async def test_every_card_goes_in_and_comes_out_in_one_call(vault, permit, context):
    numbers = cards()
    tokens = await vault.tokenize([pan(number) for number in numbers], "default", context)
    assert len(set(tokens)) == len(set(numbers)) > 60
    assert {token.prefix for token in tokens} == {"tok"}
    assert plain(await vault.reveal([for_pan(token) for token in tokens], permit, context)) == numbers


async def test_a_call_takes_the_same_few_statements_for_one_value_and_for_many(statements, vault, permit, context):
    async def sent(count: int) -> list[str]:
        # Afterwards there are keys and chain, and the connection knows the types.
        first = await vault.tokenize([pan("4000000000000002")], "default", context)
        await vault.reveal([for_pan(token) for token in first], permit, context)
        numbers = cards()[:count]
        statements.restart()
        tokens = await vault.tokenize([pan(number) for number in numbers], "default", context)
        await vault.reveal([for_pan(token) for token in tokens], permit, context)
        return statements.seen()

    one, many = await sent(1), await sent(60)
    assert len(one) == len(many) == 4, many
    look_up, write, find, record = many
    assert look_up.startswith("SELECT fingerprint")
    assert write.startswith("WITH events_part")
    assert "INSERT INTO tokens" in write
    assert "FROM tokens WHERE token = ANY" in find
    assert record.startswith("WITH events_part")


async def test_what_is_stored_shows_no_value(vault, owner, context):
    await vault.tokenize([pan(), cvc()], "default", context)
    for table in ("tokens", "fingerprints", "cvc_leases", "data_keys", "audit_events"):
        rows = await owner.fetch(f"SELECT t.*, t::text AS whole FROM {table} t")
        assert rows
        for row in rows:
            assert VISA not in row["whole"]
            assert VISA.encode().hex() not in row["whole"]
    (lease,) = await owner.fetch("SELECT sealed FROM cvc_leases")
    assert b"7319" not in lease["sealed"]
    row = await owner.fetchrow("SELECT brand, last4, expires_at FROM tokens")
    assert tuple(row) == ("visa", "4242", None)


async def test_the_same_card_gives_the_same_token_and_is_stored_once(vault, owner, context):
    first = await vault.tokenize([pan()], "default", context)
    again = await vault.tokenize([pan("4242 4242-4242\u00a04242"), pan()], "default", context)
    assert again == first * 2
    assert await owner.fetchval("SELECT count(*) FROM tokens") == 1


async def test_the_same_card_of_two_tenants_gives_two_tokens_and_two_fingerprints(vault, owner, context):
    (ours,), (theirs,) = [await vault.tokenize([pan()], tenant, context) for tenant in ("default", "other")]
    assert ours != theirs
    assert await owner.fetchval("SELECT count(DISTINCT fingerprint) FROM fingerprints") == 2


async def test_without_reuse_each_time_gives_another_token_and_no_fingerprint_is_kept(
    open_vault, owner, permit, context
):
    vault = await open_vault(reuse_tokens=False)
    tokens = await vault.tokenize([pan(), pan()], "default", context)
    tokens += await vault.tokenize([pan()], "default", context)
    assert len(set(tokens)) == 3
    assert await owner.fetchval("SELECT count(*) FROM fingerprints") == 0
    assert plain(await vault.reveal([for_pan(token) for token in tokens], permit, context)) == [VISA] * 3


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ([pan(AMEX), pan("4242424242424241")], NotACardNumber),
        ([pan(AMEX), cvc(0, "73194")], NotACvc),
    ],
)
async def test_one_refused_value_keeps_the_whole_call_out(vault, owner, context, values, error):
    with pytest.raises(error) as caught:
        await vault.tokenize(values, "default", context)
    assert_silent(caught.value, AMEX, "4242424242424241", "73194")
    for table in ("tokens", "fingerprints", "cvc_leases"):
        assert await owner.fetchval(f"SELECT count(*) FROM {table}") == 0


async def test_a_card_and_its_code_come_back_by_token_and_by_placeholder(vault, permit, context):
    card, code = await vault.tokenize([pan(), cvc()], "default", context)
    assert plain(await vault.reveal([for_pan(card), for_cvc(code)], permit, context)) == [VISA, "7319"]
    assert plain(await vault.reveal([for_pan(card), for_cvc(None, 0)], permit, context)) == [VISA, "7319"]
    assert plain(await vault.reveal([for_cvc(None, 1), for_pan(card)], permit, context)) == ["7319", VISA]


async def test_of_two_codes_for_one_card_the_newest_is_used(vault, permit, context):
    await vault.tokenize([pan(), cvc(0, "1111")], "default", context)
    card, _ = await vault.tokenize([pan(), cvc(0, "2222")], "default", context)
    assert plain(await vault.reveal([for_pan(card), for_cvc(None, 0)], permit, context))[1] == "2222"


async def test_settling_deletes_the_code_and_leaves_the_card(vault, owner, permit, context):
    card, code = await vault.tokenize([pan(), cvc()], "default", context)
    revealed = await vault.reveal([for_pan(card), for_cvc(None, 0)], permit, context)
    await vault.settle(revealed)
    assert await owner.fetchval("SELECT count(*) FROM cvc_leases") == 0
    for reference in (for_cvc(code), for_cvc(None, 0)):
        with pytest.raises(CvcGone):
            await vault.reveal([for_pan(card), reference], permit, context)
    assert plain(await vault.reveal([for_pan(card)], permit, context)) == [VISA]


async def test_a_code_is_gone_when_its_time_is_up(open_vault, owner, permit, context):
    vault = await open_vault(cvc_lifetime=timedelta(milliseconds=300))
    card, code = await vault.tokenize([pan(), cvc()], "default", context)
    await asyncio.sleep(0.35)
    with pytest.raises(TokenExpired):
        await vault.reveal([for_cvc(code)], permit, context)
    with pytest.raises(CvcGone):
        await vault.reveal([for_pan(card), for_cvc(None, 0)], permit, context)
    assert await vault.purge_leases() == 1
    assert await owner.fetchval("SELECT count(*) FROM cvc_leases") == 0
    with pytest.raises(TokenExpired):
        await vault.reveal([for_cvc(code)], permit, context)


async def test_a_code_can_be_used_as_often_as_configured_and_never_once_more(open_vault, owner, permit, context):
    vault = await open_vault(cvc_attempts=3)
    card, code = await vault.tokenize([pan(), cvc()], "default", context)
    for reference in (for_cvc(code), for_cvc(None, 0), for_cvc(code)):
        assert plain(await vault.reveal([for_pan(card), reference], permit, context))[1] == "7319"
    with pytest.raises(TokenExpired):
        await vault.reveal([for_cvc(code)], permit, context)
    with pytest.raises(CvcGone):
        await vault.reveal([for_pan(card), for_cvc(None, 0)], permit, context)
    assert await owner.fetchval("SELECT attempts FROM cvc_leases") == 3


async def test_many_at_once_cannot_use_a_code_more_often_than_configured(open_vault, permit, context):
    vaults = [await open_vault(cvc_attempts=5) for _ in range(2)]
    card, code = await vaults[0].tokenize([pan(), cvc()], "default", context)
    outcomes = await asyncio.gather(
        *(vaults[n % 2].reveal([for_pan(card), for_cvc(code)], permit, context) for n in range(20)),
        return_exceptions=True,
    )
    assert [plain(each) for each in outcomes if isinstance(each, list)] == [[VISA, "7319"]] * 5
    assert all(isinstance(each, CvcGone | TokenExpired | list) for each in outcomes), outcomes


async def test_reveal_of_what_is_not_there_is_refused_and_recorded(vault, owner, permit, context):
    (card,) = await vault.tokenize([pan()], "default", context)
    foreign = Permit(Principal("shop", "other"), "reveal", "gateway", "api.example")
    refused = [
        (for_pan(mint("tok")), permit, TokenUnknown),
        (for_cvc(mint("cvc")), permit, CvcGone),
        (for_cvc(Token("cvc", UUID(int=uuid7().int - (7200_000 << 80)))), permit, TokenExpired),
        (for_cvc(card), permit, TokenOfWrongKind),
        (Reference(PAN, Token("cvc", card.id), "$.a"), permit, TokenOfWrongKind),
        (Reference(CVC, Token("cvc", card.id), "$.a"), permit, TokenOfWrongKind),
        (for_cvc(None), permit, CvcGone),
        (for_pan(card), foreign, TokenOfOtherTenant),
    ]
    for reference, used, error in refused:
        with pytest.raises(error):
            await vault.reveal([for_pan(card), reference], used, context)
        last = (await events(owner))[-1]
        assert (last["action"], last["outcome"], last["code"]) == ("reveal", "denied", error.code)
        assert str(card) in last["tokens"]


async def test_a_code_is_not_found_through_the_card_of_another_tenant(vault, permit, context):
    card, _ = await vault.tokenize([pan(), cvc()], "other", context)
    with pytest.raises(CvcGone):
        await vault.reveal([for_cvc(None, 1), for_pan(card)], permit, context)


async def test_a_made_up_code_token_of_the_far_future_is_refused_and_recorded(vault, owner, permit, context):
    made_up = Token("cvc", UUID(int=mint("cvc").id.int | (0xFFFFFFFFFFFF << 80)))
    with pytest.raises(PanlessError):
        await vault.reveal([for_cvc(made_up)], permit, context)
    assert (await events(owner))[-1]["outcome"] == "denied"


async def test_the_event_of_a_reveal_says_who_what_where_and_which(vault, owner, permit, context):
    card, code = await vault.tokenize([pan(), cvc()], "default", context)
    await vault.reveal([for_pan(card), for_cvc(None, 0)], permit, context)
    stored, revealed = await events(owner)
    assert (stored["action"], stored["outcome"], stored["tokens"]) == ("tokenize", "permitted", [str(card), str(code)])
    expected = {
        "action": "reveal",
        "outcome": "permitted",
        "app": "shop",
        "tenant": "default",
        "route": "gateway",
        "destination": "api.example",
        "origin": "192.0.2.1",
        "request_id": "req-1",
        "tokens": [str(card), str(code)],
    }
    assert revealed | expected == revealed
    assert "7319" not in json.dumps(expected)


# Each changes a row of `tokens` behind the vault's back; {other} is another row, of the same tenant and key.
TAMPERINGS = {
    "first byte": "UPDATE tokens SET sealed = set_byte(sealed, 0, 2) WHERE token = $1",
    "one bit": "UPDATE tokens SET sealed = set_bit(sealed, 150, 1 - get_bit(sealed, 150)) WHERE token = $1",
    "cut": "UPDATE tokens SET sealed = substr(sealed, 1, length(sealed) - 1) WHERE token = $1",
    "empty": "UPDATE tokens SET sealed = '' WHERE token = $1",
    "another row's value": "UPDATE tokens SET sealed = (SELECT sealed FROM tokens WHERE token = $2) WHERE token = $1",
    "swapped with another row": """
        UPDATE tokens a SET sealed = b.sealed FROM tokens b
        WHERE (a.token, b.token) IN (($1, $2), ($2, $1))""",
    "another key": """
        UPDATE tokens SET data_key = (SELECT id FROM data_keys WHERE tenant = 'other' AND purpose = 'seal')
        WHERE token = $1""",
    "the fingerprint key": """
        UPDATE tokens SET data_key = (SELECT id FROM data_keys WHERE tenant = 'default' AND purpose = 'fingerprint')
        WHERE token = $1""",
    "moved to the token of another row": """
        WITH gone AS (DELETE FROM tokens WHERE token = $2 RETURNING token)
        UPDATE tokens SET token = gone.token FROM gone WHERE tokens.token = $1""",
}


@pytest.mark.parametrize("name", TAMPERINGS)
async def test_a_tampered_row_does_not_open_and_the_attempt_is_recorded(vault, owner, permit, context, name):
    mine, other = await vault.tokenize([pan(VISA), pan(AMEX)], "default", context)
    await vault.tokenize([pan("5555555555554444")], "other", context)
    sql = TAMPERINGS[name]
    await owner.execute(sql, *([mine.id, other.id] if "$2" in sql else [mine.id]))
    asked = other if name.startswith("moved") else mine
    with pytest.raises(RecordDoesNotOpen) as caught:
        await vault.reveal([for_pan(asked)], permit, context)
    assert_silent(caught.value, VISA, AMEX)
    assert caught.value.ids == {"token": str(asked)}
    before, last = (await events(owner))[-2:]
    assert (last["outcome"], last["code"], last["tokens"]) == ("failed", "record_corrupt", [str(asked)])
    # The permit to open it was on record before that was tried.
    assert (before["action"], before["outcome"], before["tokens"]) == ("reveal", "permitted", [str(asked)])


async def test_a_row_moved_to_another_tenant_does_not_open_there(vault, owner, context):
    (card,) = await vault.tokenize([pan()], "default", context)
    await owner.execute("UPDATE tokens SET tenant = 'other' WHERE token = $1", card.id)
    other = Permit(Principal("spy", "other"), "reveal", "gateway", "api.example")
    with pytest.raises(RecordDoesNotOpen):
        await vault.reveal([for_pan(card)], other, context)
    assert (await events(owner))[-1]["app"] == "spy"


async def test_a_row_of_another_kind_is_never_opened(vault, owner, permit, context):
    (card,) = await vault.tokenize([pan()], "default", context)
    await owner.execute("UPDATE tokens SET kind = 'cvc' WHERE token = $1", card.id)
    for reference in (for_pan(card), Reference(CVC, card, "$.a")):
        with pytest.raises(TokenOfWrongKind):
            await vault.reveal([reference], permit, context)
    # Under the name of a code it is found, and does not open: the kind is part of what was sealed.
    with pytest.raises(RecordDoesNotOpen):
        await vault.reveal([Reference(CVC, Token("cvc", card.id), "$.a")], permit, context)


async def test_a_row_whose_key_is_gone_does_not_open(vault, owner, permit, context):
    (card,) = await vault.tokenize([pan()], "default", context)
    await owner.execute("UPDATE tokens SET data_key = gen_random_uuid()")
    with pytest.raises(KeyUnavailable):
        await vault.reveal([for_pan(card)], permit, context)
    assert (await events(owner))[-1]["code"] == "key_unavailable"


async def test_a_lease_moved_to_another_token_does_not_open(vault, owner, permit, context):
    _, first, second = await vault.tokenize([pan(), cvc(0, "1111"), cvc(0, "2222")], "default", context)
    await owner.execute("DELETE FROM cvc_leases WHERE token = $1", second.id)
    await owner.execute("UPDATE cvc_leases SET token = $1", second.id)
    with pytest.raises(RecordDoesNotOpen):
        await vault.reveal([for_cvc(second)], permit, context)
    assert first != second


async def test_one_bad_row_of_many_reveals_none(vault, owner, permit, context):
    good, bad = await vault.tokenize([pan(VISA), pan(AMEX)], "default", context)
    await owner.execute(
        "UPDATE tokens SET sealed = set_bit(sealed, 130, 1 - get_bit(sealed, 130)) WHERE token = $1", bad.id
    )
    with pytest.raises(RecordDoesNotOpen) as caught:
        await vault.reveal([for_pan(good), for_pan(bad)], permit, context)
    assert_silent(caught.value, VISA, AMEX)


BREAK_AUDIT = """
CREATE FUNCTION refuse_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'no events today' USING DETAIL = 'Key (pan)=(4242424242424242) is canary'; END $$;
CREATE TRIGGER refuse_events BEFORE INSERT ON audit_events FOR EACH ROW WHEN (NEW.outcome = 'permitted')
EXECUTE FUNCTION refuse_events();
"""
MEND_AUDIT = "DROP TRIGGER refuse_events ON audit_events; DROP FUNCTION refuse_events();"


async def test_without_its_event_nothing_is_revealed_opened_or_stored(vault, owner, permit, context):
    card, code = await vault.tokenize([pan(), cvc()], "default", context)
    (corrupt,) = await vault.tokenize([pan(AMEX)], "default", context)
    await owner.execute("UPDATE tokens SET sealed = set_byte(sealed, 0, 9) WHERE token = $1", corrupt.id)
    await owner.execute(BREAK_AUDIT)
    try:
        with pytest.raises(DatabaseFailed) as caught:
            await vault.reveal([for_pan(card), for_cvc(code)], permit, context)
        # Had this one been opened before its event was written, it would say that it does not open: the event of
        # a refusal can be written.
        with pytest.raises(DatabaseFailed):
            await vault.reveal([for_pan(corrupt)], permit, context)
        with pytest.raises(DatabaseFailed):
            await vault.tokenize([pan("5555555555554444"), cvc()], "default", context)
        with pytest.raises(DatabaseFailed):
            await vault.record("start", context)
    finally:
        await owner.execute(MEND_AUDIT)
    assert "4242424242424242" not in "".join(traceback.format_exception(caught.value))
    assert caught.value.ids == {"sqlstate": "P0001"}
    assert await owner.fetchval("SELECT attempts FROM cvc_leases") == 0
    assert await owner.fetchval("SELECT count(*) FROM tokens") == 2
    assert len(await events(owner)) == 2
    with pytest.raises(RecordDoesNotOpen):
        await vault.reveal([for_pan(corrupt)], permit, context)
    assert plain(await vault.reveal([for_pan(card), for_cvc(code)], permit, context)) == [VISA, "7319"]


async def test_a_store_error_keeps_what_postgresql_said_out_of_its_context(vault, owner, context):
    await owner.execute(BREAK_AUDIT)
    try:
        with pytest.raises(DatabaseFailed) as caught:
            await vault.record("start", context)
    finally:
        await owner.execute(MEND_AUDIT)
    assert_silent(caught.value, "no events today", "4242424242424242")


async def test_a_caller_that_goes_away_does_not_undo_what_was_written(vault, owner, context):
    task = asyncio.create_task(vault.tokenize([pan()], "default", context))
    async with asyncio.timeout(5):
        while not vault.statistics.statements:  # until the statement is on its way
            await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (again,) = await vault.tokenize([pan()], "default", context)
    assert await owner.fetchval("SELECT array_agg(token) FROM tokens") == [again.id]


async def test_what_was_tokenized_outlives_the_process(open_vault, permit, context):
    first = await open_vault()
    (card,) = await first.tokenize([pan()], "default", context)
    await first.close()
    second = await open_vault()
    assert plain(await second.reveal([for_pan(card)], permit, context)) == [VISA]
    assert await second.tokenize([pan()], "default", context) == [card]


async def test_a_dump_opens_nothing_under_another_kek(open_vault, database, tmp_path, permit, context):
    (card,) = await (await open_vault()).tokenize([pan()], "default", context)
    FileKeyProvider.create(tmp_path / "another")
    settings = VaultSettings(tmp_path, [FileSettings(tmp_path / "another")])
    with pytest.raises(KeyUnavailable):
        await Vault.open(settings, database)
    # Without that check it has to end in the same way.
    thief = Vault(settings, await database.pool(Role.PROXY, size=2))
    with pytest.raises(KeyUnavailable):
        await thief.reveal([for_pan(card)], permit, context)
    await thief.close()


async def test_an_application_is_known_by_its_key_until_it_is_revoked(vault, database, owner, context):
    key = await add_app(database, "shop", "default")
    assert await vault.identify(key, context) == Principal("shop", "default")
    for wrong in ("", "plk_", key[:-1], key[:-1] + ("a" if key[-1] != "a" else "b"), key.upper(), f"{key}\n"):
        with pytest.raises(AppUnknown) as caught:
            await vault.identify(wrong, context)
        assert_silent(caught.value, key[8:40])
    await revoke_app(database, "shop")
    with pytest.raises(AppKeyRevoked):
        await vault.identify(key, context)
    denied = [each for each in await events(owner) if each["outcome"] == "denied"]
    assert [each["code"] for each in denied] == ["app_unknown"] * 6 + ["app_key_revoked"]
    assert key not in json.dumps(await events(owner))


async def test_a_denial_of_policy_is_recorded(vault, owner, context):
    denial = Policy().decide(
        Principal("spy", "default"), Action("reveal", "gateway", frozenset({"shop"})), "api.example"
    )
    await vault.record_denial(denial, context)
    last = (await events(owner))[-1]
    assert (last["app"], last["outcome"], last["code"]) == ("spy", "denied", "not_permitted")


async def test_after_all_that_the_log_verifies(vault, database, permit, context):
    card, _ = await vault.tokenize([pan(), cvc()], "default", context)
    await asyncio.gather(
        *(vault.reveal([for_pan(card)], permit, context) for _ in range(20)),
        *(vault.reveal([for_pan(mint("tok"))], permit, context) for _ in range(5)),
        return_exceptions=True,
    )
    report = await verified(database)
    assert (report.events, report.findings) == (1 + 1 + 20 + 5, [])
