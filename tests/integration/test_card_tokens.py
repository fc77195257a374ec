"""Card-shaped tokens, numbers and every kind, through a running Panless and back."""

from __future__ import annotations

import json

import pytest

from vault.kinds import luhn_valid
from vault.tokens import recognise

VISA, CVC = "4242424242424242", "7319"
VALUES = {
    "expiry": "05/2030", "name": "Jane D\u00f6e", "iban": "DE89370400440532013000", "account": "000123456789",
    "routing": "011000015", "text": "any \"text\" <&>", "network": "4111111111111111",
}  # fmt: skip
CRYPTOGRAM = "AgAAAAAABk4DWZ4C28yUQAAAAAA="


async def send(world, path, body, *, out: bool = False):
    url = world.outbound if out else world.inbound
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", "Panless-Key": world.key}
    async with world.client.post(url + path, data=raw, headers=headers) as answer:
        return answer.status, answer.headers.get("Panless-Error")


async def test_a_card_shaped_token_goes_back_with_any_placeholder_for_the_code(guarded):
    assert await send(guarded, "/shaped", {"card": {"number": VISA, "cvc": CVC}}) == (200, None)
    card = guarded.app.last.json()["card"]
    assert len(card["number"]) == 16 and card["number"].endswith("4242") and card["number"].startswith("9")
    assert not luhn_valid(card["number"])
    assert card["cvc"] == "0000"
    for out in ({**card, "cvc": "123"},):
        assert await send(guarded, "/gw-shaped/x", {"card": out}, out=True) == (200, None)
        assert guarded.gateway.last.json() == {"card": {"number": VISA, "cvc": CVC}}
    assert await send(guarded, "/gw-shaped/x", {"card": card}, out=True) == (410, "cvc_gone")
    assert len(guarded.gateway.received) == 1


async def test_a_token_that_passes_luhn_keeps_what_is_configured_and_is_no_card_number_again(guarded):
    assert await send(guarded, "/shaped", {"keeping": VISA}) == (200, None)
    token = guarded.app.last.json()["keeping"]
    assert luhn_valid(token) and token[:6] == VISA[:6] and token[-4:] == VISA[-4:] and token != VISA
    guarded.app.reset()
    assert await send(guarded, "/shaped", {"keeping": token}) == (422, "pan_is_token")
    assert await send(guarded, "/gw-shaped/x", {"keeping": token}, out=True) == (200, None)
    assert guarded.gateway.last.json() == {"keeping": VISA}
    assert guarded.app.received == []


async def test_a_raw_card_number_is_no_token_and_nothing_is_forwarded(guarded):
    for number in (VISA, "4000056655665556", "9" * 16):
        answer = await send(guarded, "/gw-shaped/x", {"card": {"number": number}}, out=True)
        assert answer == (422, "token_malformed")
    assert guarded.gateway.received == []
    assert VISA not in guarded.panless.log


async def test_a_number_stays_a_number_where_that_is_configured(guarded):
    assert await send(guarded, "/shaped", b'{"a": 1.10, "plain":%b, "b": 1e2}' % VISA.encode()) == (200, None)
    body = guarded.app.last.body
    token = json.loads(body)["plain"]
    assert isinstance(token, int)
    assert body == b'{"a": 1.10, "plain":%d, "b": 1e2}' % token
    assert await send(guarded, "/gw-shaped/x", body, out=True) == (200, None)
    assert guarded.gateway.last.body == b'{"a": 1.10, "plain":%b, "b": 1e2}' % VISA.encode()


async def test_a_number_without_that_becomes_a_string(guarded):
    status, code = await send(guarded, "/refuse", b'{"card": {"number": %b}}' % VISA.encode())
    assert (status, code) == (200, None)
    assert recognise(guarded.app.last.json()["card"]["number"])


async def test_every_kind_goes_in_and_comes_out(guarded):
    assert await send(guarded, "/kinds", VALUES | {"cryptogram": CRYPTOGRAM, "other": 1}) == (200, None)
    first = guarded.app.last.json()
    assert first.pop("cryptogram") == CRYPTOGRAM
    assert first.pop("other") == 1
    assert all(recognise(each).prefix == "tok" for each in first.values())
    assert await send(guarded, "/kinds", VALUES) == (200, None)
    again = guarded.app.last.json()
    assert {name for name in VALUES if first[name] == again[name]} == {"iban", "account", "network"}
    assert await send(guarded, "/gw-kinds/x", first | {"cryptogram": CRYPTOGRAM}, out=True) == (200, None)
    assert guarded.gateway.last.json() == VALUES | {"cryptogram": CRYPTOGRAM}
    assert not any(secret in guarded.panless.log for secret in (CRYPTOGRAM, VALUES["iban"], "Jane"))
    assert CRYPTOGRAM not in json.dumps(await guarded.panless.events())


@pytest.mark.parametrize(
    ("field", "value"),
    [("expiry", "soon"), ("name", " "), ("iban", "DE88370400440532013000"), ("account", "1"), ("routing", "011000016"),
     ("text", ""), ("network", "4111111111111112")],
)  # fmt: skip
async def test_a_value_that_is_not_of_its_kind_is_refused(guarded, field, value):
    status, code = await send(guarded, "/kinds", {field: value})
    assert status == 422, code
    assert code == ("pan_invalid" if field == "network" else "value_invalid")
    assert guarded.app.received == []
