"""Card-shaped tokens in the vault: each stands for one card, and no card number ever equals one."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.harness.cards import cards
from vault import sealing
from vault.card_tokens import CardShape
from vault.errors import CardTokenGiven, CardTokensExhausted, CvcGone, NotAToken, PanlessError
from vault.exposure import expose
from vault.kinds import CVC, KINDS, NETWORK_TOKEN, PAN, luhn_valid
from vault.policy import Permit, Principal
from vault.requests import NewValue, Reference
from vault.sensitive import Sensitive

VISA, AMEX = "4242424242424242", "378282246310005"
PLAIN, KEEPING, PASSING = CardShape(), CardShape(16, True, True, False), CardShape(16, True, True, True)
THEIRS = Permit(Principal("foreign", "other"), "reveal", "gateway", "api.example")


def pan(number: str = VISA, shape: CardShape | None = PLAIN, kind=PAN) -> NewValue:
    return NewValue(kind, Sensitive(number), "$.card.number", None, shape)


def by_digits(digits: str, kind=PAN) -> Reference:
    return Reference(kind, None, "$.card.number", None, Sensitive(digits))


async def digits_for(vault, context, number=VISA, shape=PLAIN, tenant="default") -> str:
    (token,) = await vault.tokenize([pan(number, shape)], tenant, context)
    assert token.digits is not None
    return token.shown


async def shown(vault, permit, context, *digits: str) -> list[str]:
    return [expose(each.value) for each in await vault.reveal([by_digits(each) for each in digits], permit, context)]


@pytest.fixture
def colliding(monkeypatch):
    """Make all cards' first candidates the same ones; `own` more are each card's own."""

    def make(same: int, own: int = 0) -> None:
        real = sealing.derived

        def derived(key, label, seed, number):
            if number[0] < same:
                return bytes([number[0]]) * 32
            return real(key, label, seed, number)

        monkeypatch.setattr(sealing, "CANDIDATES", same + own)
        monkeypatch.setattr(sealing, "derived", derived)

    return make


# All of them end alike and have one length: with the same entropy they have the same candidates.
ALIKE = [f"4{middle:03}00000000" for middle in range(1000)]
ALIKE = [
    number
    for first in ALIKE
    for check in range(10)
    if luhn_valid(number := f"{first[:11]}{check}1111") and len(set(number)) > 1
]


@pytest.mark.parametrize("shape", [PLAIN, KEEPING, PASSING], ids=str)
async def test_every_card_goes_in_and_comes_out_by_its_digits(vault, permit, context, shape):
    tokens = await vault.tokenize([pan(number, shape) for number in cards()], "default", context)
    digits = [token.shown for token in tokens]
    assert len(set(digits)) == len(cards())
    assert not set(digits) & set(cards())
    assert await shown(vault, permit, context, *digits) == cards()
    assert [
        token.digits for token in await vault.tokenize([pan(n, shape) for n in cards()], "default", context)
    ] == digits


async def test_other_shapes_give_other_tokens_of_the_same_card(vault, owner, permit, context):
    digits = [await digits_for(vault, context, shape=shape) for shape in (PLAIN, KEEPING, PASSING, CardShape(13))]
    assert len(set(digits)) == 4
    assert await shown(vault, permit, context, *digits) == [VISA] * 4
    assert await owner.fetchval("SELECT count(*) FROM tokens") == 1


async def test_an_opaque_and_a_card_shaped_token_stand_for_one_record(vault, permit, context):
    (opaque,) = await vault.tokenize([pan(shape=None)], "default", context)
    (shaped,) = await vault.tokenize([pan()], "default", context)
    assert opaque.id == shaped.id
    revealed = await vault.reveal([Reference(PAN, opaque, "$"), by_digits(shaped.shown)], permit, context)
    assert [expose(each.value) for each in revealed] == [VISA, VISA]


async def test_without_reuse_each_token_is_another_one(open_vault, permit, context):
    vault = await open_vault(reuse_tokens=False)
    digits = [await digits_for(vault, context) for _ in range(5)]
    assert len(set(digits)) == 5
    assert await shown(vault, permit, context, *digits) == [VISA] * 5


async def test_a_collision_takes_the_next_candidate_and_never_anothers_card(colliding, vault, permit, context):
    colliding(5)
    numbers = ALIKE[:5]
    digits = [await digits_for(vault, context, number) for number in numbers]
    assert len(set(digits)) == 5
    assert await shown(vault, permit, context, *digits) == numbers
    with pytest.raises(CardTokensExhausted) as error:
        await digits_for(vault, context, ALIKE[5])
    assert ALIKE[5] not in str(error.value) + repr(error.value)
    assert [await digits_for(vault, context, number) for number in numbers] == digits


async def test_50_concurrent_collisions_in_two_processes_give_50_tokens(colliding, open_vault, permit, context):
    colliding(3, 2)
    vaults = [await open_vault(), await open_vault()]
    numbers = ALIKE[:50]
    digits = await asyncio.gather(*(digits_for(vaults[i % 2], context, number) for i, number in enumerate(numbers)))
    assert len(set(digits)) == 50
    for vault in vaults:
        assert await shown(vault, permit, context, *digits) == numbers
    again = await asyncio.gather(*(digits_for(vaults[i % 2 - 1], context, n) for i, n in enumerate(numbers)))
    assert again == digits


async def test_two_processes_race_for_the_last_candidates_and_none_gets_anothers(
    colliding, open_vault, permit, context
):
    colliding(4)
    vaults = [await open_vault(), await open_vault()]
    tries = (digits_for(vaults[i % 2], context, number) for i, number in enumerate(ALIKE[:12]))
    results = await asyncio.gather(*tries, return_exceptions=True)
    given = {number: each for number, each in zip(ALIKE[:12], results, strict=True) if isinstance(each, str)}
    assert len(set(given.values())) == len(given) == 4
    assert {type(each) for each in results if not isinstance(each, str)} == {CardTokensExhausted}
    assert await shown(vaults[0], permit, context, *given.values()) == list(given)


async def test_the_same_new_card_in_two_processes_at_once_gives_one_token(open_vault, owner, context):
    vaults = [await open_vault(), await open_vault()]
    digits = await asyncio.gather(*(digits_for(vaults[i % 2], context, AMEX) for i in range(40)))
    assert len(set(digits)) == 1
    assert await owner.fetchval("SELECT count(*) FROM tokens") == 1


async def test_a_token_that_equals_a_card_of_the_vault_is_not_given_out(colliding, vault, permit, context):
    colliding(2)
    about = PAN.describe(Sensitive(VISA))
    taken = sealing.card_token(PASSING, about, b"\0" * 32)
    assert luhn_valid(taken)
    await vault.tokenize([pan(taken, None)], "default", context)
    digits = await digits_for(vault, context, VISA, PASSING)
    assert digits != taken
    assert await shown(vault, permit, context, digits) == [VISA]
    with pytest.raises(NotAToken):
        await shown(vault, permit, context, taken)


async def test_in_one_call_a_card_and_a_token_that_equals_it_do_not_meet(colliding, vault, permit, context):
    colliding(2)
    taken = sealing.card_token(PASSING, PAN.describe(Sensitive(VISA)), b"\0" * 32)
    card, token = await vault.tokenize([pan(taken, None), pan(VISA, PASSING)], "default", context)
    assert token.shown != taken
    assert await shown(vault, permit, context, token.shown) == [VISA]
    assert expose((await vault.reveal([Reference(PAN, card, "$")], permit, context))[0].value) == taken


@pytest.mark.parametrize("shape", [None, PLAIN, PASSING], ids=str)
async def test_a_card_number_that_equals_a_token_is_refused(vault, owner, context, shape):
    digits = await digits_for(vault, context, VISA, PASSING)
    before = await owner.fetchval("SELECT count(*) FROM tokens")
    with pytest.raises(CardTokenGiven) as error:
        await vault.tokenize([pan(digits, shape)], "default", context)
    assert digits not in str(error.value)
    assert await owner.fetchval("SELECT count(*) FROM tokens") == before


async def test_another_tenants_token_and_a_card_number_are_no_tokens_and_that_is_recorded(
    vault, owner, permit, context
):
    digits = await digits_for(vault, context)
    for number, asking in ((digits, THEIRS), (VISA, permit), (AMEX, permit), ("9" * 16, permit)):
        with pytest.raises(NotAToken) as error:
            await shown(vault, asking, context, number)
        assert number not in str(error.value) + repr(error.value)
        body = await owner.fetchval("SELECT body FROM audit_events ORDER BY seq DESC, at DESC LIMIT 1")
        event = json.loads(body)
        assert (event["outcome"], event["code"], event["app"]) == ("denied", NotAToken.code, asking.principal.app)
        assert number.encode() not in body
    assert await shown(vault, permit, context, digits) == [VISA]


async def test_a_code_is_found_through_its_cards_token_and_ends(vault, permit, context):
    values = [pan(), NewValue(CVC, Sensitive("7319"), "$.card.cvc", 0, PLAIN)]
    card, code = await vault.tokenize(values, "default", context)
    assert code.shown == "0000"
    wanted = [by_digits(card.shown), Reference(CVC, None, "$.card.cvc", 0)]
    revealed = await vault.reveal(wanted, permit, context)
    assert [expose(each.value) for each in revealed] == [VISA, "7319"]
    await vault.settle(revealed)
    with pytest.raises(CvcGone):
        await vault.reveal(wanted, permit, context)
    assert await shown(vault, permit, context, card.shown) == [VISA]


async def test_network_tokens_have_card_shaped_tokens_of_their_own(vault, permit, context):
    (token,) = await vault.tokenize([pan(VISA, PLAIN, NETWORK_TOKEN)], "default", context)
    (card,) = await vault.tokenize([pan(VISA, PLAIN)], "default", context)
    assert token.shown != card.shown
    (value,) = await vault.reveal([by_digits(token.shown, NETWORK_TOKEN)], permit, context)
    assert expose(value.value) == VISA
    with pytest.raises(PanlessError):
        await vault.reveal([by_digits(token.shown, PAN)], permit, context)


@pytest.mark.parametrize(
    ("kind", "value"),
    [("expiry", "12/30"), ("cardholder_name", "Jane Doe"), ("text", "x"), ("routing_number", "011000015")],
)
async def test_values_of_which_there_are_few_get_a_new_token_each_time(vault, owner, permit, context, kind, value):
    values = [NewValue(KINDS[kind], Sensitive(value), "$.x")] * 2
    tokens = await vault.tokenize(values, "default", context) + await vault.tokenize(values, "default", context)
    assert len(set(tokens)) == 4
    assert await owner.fetchval("SELECT count(*) FROM fingerprints") == 0
    revealed = await vault.reveal([Reference(KINDS[kind], token, "$.x") for token in tokens], permit, context)
    assert [expose(each.value) for each in revealed] == [value] * 4


@pytest.mark.parametrize(("kind", "value"), [("iban", "DE89370400440532013000"), ("bank_account", "12345678")])
async def test_the_same_account_gives_the_same_token(vault, context, kind, value):
    values = [NewValue(KINDS[kind], Sensitive(value), "$.x")]
    assert await vault.tokenize(values, "default", context) == await vault.tokenize(values, "default", context)
