"""Erasure: of a token nothing is left but the fact that it was erased, and a receipt that anybody can verify."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import asynccontextmanager

import pytest

from tests.harness.cards import cards
from vault import sealing
from vault.card_tokens import CardShape
from vault.crypto import signed_note
from vault.errors import KeyUnavailable, PanlessError, TokenErased, TokenOfOtherTenant, TokensNotFound
from vault.exposure import expose
from vault.kinds import CVC, PAN
from vault.policy import Permit, Principal
from vault.requests import NewValue, Reference
from vault.sensitive import Sensitive
from vault.tokens import mint, type_id
from vault.upkeep.erasure import EndedToken, TokenRow, erase, known, show, wanted
from vault.upkeep.keychain.fingerprints import rotate_fingerprint_keys
from vault.upkeep.keychain.signing import signed, verifier_keys
from vault.upkeep.keychain.work import Work

VISA, OTHER = cards()[:2]
SHAPE = CardShape(16, True, True, False)


def pan(number: str = VISA, shape: CardShape | None = None) -> NewValue:
    return NewValue(PAN, Sensitive(number), "$", None, shape)


def reference(token) -> Reference:
    return Reference(PAN, token, "$.number")


@pytest.fixture
def signing(working) -> Callable:
    @asynccontextmanager
    async def opened():
        async with working() as made:
            await signed(made, "a first one\n")  # the signing key is there
            yield made

    return opened


async def erased(work: Work, *tokens: str, customers=(), tenant: str = "default") -> dict:
    """Erase, and return the receipt's document, verified."""
    note = await erase(work, await wanted(work, tokens, customers, tenant), tenant)
    (verifier,) = (await verifier_keys(work.connection)).values()
    return json.loads(signed_note.verify(note, verifier))


async def counts(owner) -> dict[str, int]:
    tables = ("tokens", "fingerprints", "cvc_leases", "token_customers", "ended_tokens")
    return {table: await owner.fetchval(f"SELECT count(*) FROM {table}") for table in tables}


async def test_record_fingerprint_and_leases_are_gone_and_a_later_use_is_told_so(
    vault, signing, owner, permit, context
):
    card, code, other = await vault.tokenize(
        [pan(), NewValue(CVC, Sensitive("123"), "$", 0), pan(OTHER)], "default", context, customer="c-1"
    )
    async with signing() as work:
        receipt = await erased(work, str(card))
    assert receipt["erased"] == [str(card)]
    assert receipt["type"] == "panless token erasure receipt"
    assert await counts(owner) == {
        "tokens": 1,
        "fingerprints": 1,
        "cvc_leases": 0,
        "token_customers": 1,
        "ended_tokens": 1,
    }
    for references in ([reference(card)], [reference(card), Reference(CVC, code, "$.cvc", 0)]):
        with pytest.raises(TokenErased):
            await vault.reveal(references, permit, context)
    with pytest.raises(TokenOfOtherTenant):
        await vault.reveal([reference(card)], Permit(Principal("x", "other"), "reveal", "r", "d"), context)
    (revealed,) = await vault.reveal([reference(other)], permit, context)
    assert expose(revealed.value) == OTHER
    rows = await owner.fetch("SELECT body FROM audit_events WHERE action = 'erase'")
    assert [json.loads(row["body"])["tokens"] for row in rows] == [[str(card)]]


async def test_the_same_card_gets_another_token_afterwards_on_every_worker(open_vault, signing, permit, context):
    vaults = [await open_vault() for _ in range(2)]
    tokens = [(await vault.tokenize([pan()], "default", context))[0] for vault in vaults]
    assert tokens[0] == tokens[1]
    async with signing() as work:
        await erased(work, str(tokens[0]))
    again = [(await vault.tokenize([pan()], "default", context))[0] for vault in vaults]
    assert again[0] == again[1] != tokens[0]
    (revealed,) = await vaults[1].reveal([reference(again[0])], permit, context)
    assert expose(revealed.value) == VISA


async def test_nobody_else_gets_the_digits_of_a_card_shaped_token(
    open_vault, signing, owner, permit, context, monkeypatch
):
    real = sealing.derived
    monkeypatch.setattr(sealing, "CANDIDATES", 2)
    # The first candidate of every card is the same one.
    monkeypatch.setattr(
        sealing, "derived", lambda key, label, seed, n: bytes(32) if n == b"\0" else real(key, label, seed, n)
    )
    vault = await open_vault()
    alike = ["4111111111111111", "4111110000001111"]
    alike[1] = next(n for n in (f"411111{m:06}1111" for m in range(10**6)) if luhn(n) and n != alike[0])
    (first,) = await vault.tokenize([pan(alike[0], SHAPE)], "default", context)
    async with signing() as work:
        await erased(work, first.shown)
        (second,) = await vault.tokenize([pan(alike[1], SHAPE)], "default", context)
        assert second.shown != first.shown
        # Not after the fingerprint key was replaced, either.
        await rotate_fingerprint_keys(work)
        assert isinstance(await show(work, first.shown, "default"), EndedToken)
    (again,) = await vault.tokenize([pan(alike[0], SHAPE)], "default", context)
    assert again.shown not in (first.shown, second.shown)
    by_digits = Reference(PAN, None, "$", None, Sensitive(first.shown))
    with pytest.raises(TokenErased):
        await vault.reveal([by_digits], permit, context)
    (revealed,) = await vault.reveal([Reference(PAN, None, "$", None, Sensitive(again.shown))], permit, context)
    assert expose(revealed.value) == alike[0]


def luhn(number: str) -> bool:
    digits = [int(d) for d in reversed(number)]
    return sum(d if n % 2 == 0 else sum(divmod(2 * d, 10)) for n, d in enumerate(digits)) % 10 == 0


async def test_a_customer_is_erased_and_what_is_shared_stays_for_the_others(vault, signing, owner, permit, context):
    mine, shared = await vault.tokenize([pan(), pan(OTHER)], "default", context, customer="c-1")
    await vault.tokenize([pan(OTHER)], "default", context, customer="c-2")
    await vault.tokenize([pan()], "other", context, customer="c-1")
    async with signing() as work:
        receipt = await erased(work, customers=["c-1"])
        assert (receipt["erased"], receipt["kept_for_other_customers"]) == ([str(mine)], [str(shared)])
        forgotten = await owner.fetch("SELECT tokens FROM audit_events WHERE action = 'erase.customer'")
        assert [row["tokens"] for row in forgotten] == [[str(shared)]]
        with pytest.raises(TokensNotFound):
            await erased(work, customers=["c-1"])
        (revealed,) = await vault.reveal([reference(shared)], permit, context)
        assert expose(revealed.value) == OTHER
        assert (await erased(work, customers=["c-2"]))["erased"] == [str(shared)]
    assert await owner.fetchval("SELECT array_agg(tenant || customer) FROM token_customers") == ["otherc-1"]
    assert await owner.fetchval("SELECT count(*) FROM tokens") == 1


async def test_erasing_goes_on_where_it_was(vault, signing, context):
    tokens = await vault.tokenize([pan(number) for number in cards()[:10]], "default", context)
    async with signing() as work:
        await erased(work, *map(str, tokens[:4]))
        receipt = await erased(work, *map(str, tokens))
    assert sorted(receipt["erased"]) == sorted(map(str, tokens[4:]))
    assert sorted(receipt["gone_before"]) == sorted(map(str, tokens[:4]))


async def test_nothing_is_erased_if_one_of_them_is_not_known_or_there_can_be_no_receipt(vault, signing, owner, context):
    (token,) = await vault.tokenize([pan()], "default", context)
    async with signing() as work:
        for wrong in (str(mint("tok")), type_id("cvc", mint("cvc").id), VISA, "x", ""):
            with pytest.raises(TokensNotFound) as refused:
                await erased(work, str(token), wrong)
            assert not wrong or wrong not in str(refused.value) or wrong == "x"
        await owner.execute("UPDATE data_keys SET wrapped = '\\x00' WHERE purpose = 'signing'")
        work.keyring.forget()
        with pytest.raises(KeyUnavailable):
            await erased(work, str(token))
    assert await owner.fetchval("SELECT count(*) FROM tokens") == 1


async def test_a_token_that_is_erased_while_it_is_revealed_and_written_leaves_nothing_half(
    vault, signing, owner, permit, context
):
    (token,) = await vault.tokenize([pan()], "default", context)

    async def keep_asking() -> set[str]:
        found = set()
        for _ in range(40):
            try:
                await vault.reveal([reference(token)], permit, context)
                await vault.tokenize([pan()], "default", context)
            except PanlessError as error:
                found.add(error.code)
        return found

    async with signing() as work:
        asking = asyncio.create_task(keep_asking())
        await erased(work, str(token))
        assert await asking <= {"token_erased"}
    orphans = (
        "SELECT count(*) FROM fingerprints WHERE NOT EXISTS (SELECT FROM tokens t WHERE t.token = fingerprints.token)"
    )
    assert await owner.fetchval(orphans) == 0


async def test_what_is_shown_of_a_token_is_never_its_value(vault, signing, database, context):
    card = (await vault.tokenize([pan(VISA, SHAPE)], "default", context, customer="c-1"))[0]
    found = await known(database, str(card))
    assert isinstance(found, TokenRow)
    assert (found.last4, found.customers, found.shown) == (VISA[-4:], ["c-1"], card.digits)
    assert VISA not in repr(found)
    assert await known(database, card.shown) is None
    async with signing() as work:
        assert await show(work, card.shown, "default") == found
        with pytest.raises(TokensNotFound):
            await show(work, card.shown, "other")


async def test_the_last_customers_of_a_token_can_be_erased_together(vault, signing, context, owner):
    for customer in ("c-1", "c-2"):
        (token,) = await vault.tokenize([pan()], "default", context, customer=customer)
    async with signing() as work:
        receipt = await erased(work, customers=["c-1", "c-2"])
    assert (receipt["erased"], receipt["kept_for_other_customers"]) == ([str(token)], [])
    assert (await counts(owner))["token_customers"] == 0


async def test_a_token_that_another_customer_gets_meanwhile_stays(vault, signing, context, owner):
    """Between the question and the answer of an operator there may be minutes."""
    mine, named = await vault.tokenize([pan(), pan(OTHER)], "default", context, customer="c-1")
    async with signing() as work:
        erasure = await wanted(work, [str(named)], ["c-1"], "default")
        await vault.tokenize([pan(), pan(OTHER)], "default", context, customer="c-2")
        note = await erase(work, erasure, "default")
        assert isinstance(await show(work, str(mine), "default"), TokenRow)
    receipt = json.loads(note.partition("\n\n")[0])
    assert (receipt["erased"], receipt["kept_for_other_customers"]) == ([str(named)], [str(mine)])
    assert await owner.fetchval("SELECT string_agg(customer, ' ') FROM token_customers") == "c-2"


async def test_a_token_of_another_tenant_is_not_erased_by_mistake(vault, signing, owner, context):
    (foreign,) = await vault.tokenize([pan()], "other", context)
    async with signing() as work:
        with pytest.raises(TokensNotFound):
            await erased(work, str(foreign))
        assert (await erased(work, str(foreign), tenant="other"))["erased"] == [str(foreign)]
