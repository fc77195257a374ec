"""What an application sends in order to learn a card number, to use another's key, or to hand its key on."""

from __future__ import annotations

import base64

import pytest
from yarl import URL

from tests.harness.upstream import Answer

PAN = "4242424242424242"


async def test_two_panless_keys_or_an_empty_one_are_no_key(world):
    """A right key in the SDK's slot does not make up for a wrong header."""
    card = await world.tokens()
    for given in (
        [("Panless-Key", ""), ("Authorization", f"Bearer {world.key}")],
        [("Panless-Key", world.key), ("Panless-Key", world.foreign_key)],
    ):
        async with world.client.post(f"{world.outbound}/gateway/charges", json={"card": card}, headers=given) as answer:
            assert answer.status == 401
    assert not world.gateway.received


async def test_another_tenants_token_is_refused_whichever_key_comes_second(world):
    card = await world.tokens()
    headers = {"Panless-Key": world.foreign_key, "Authorization": f"Bearer {world.key}"}
    async with world.client.post(f"{world.outbound}/gateway/charges", json={"card": card}, headers=headers) as answer:
        assert answer.status in (403, 404)
    assert not world.gateway.received


@pytest.mark.parametrize("where", ["query", "path", "body"])
async def test_a_panless_key_that_is_escaped_does_not_reach_the_gateway_either(world, where):
    """A gateway undoes the escapes: the key would be in its log."""
    percent = "".join(f"%{ord(char):02x}" for char in world.key)
    escaped = "".join(f"\\u{ord(char):04x}" for char in world.key)
    url, note = f"{world.outbound}/gateway/charges", escaped if where == "body" else "none"
    url += {"query": f"?k={percent}", "path": f"/{percent}"}.get(where, "")
    headers = {"Panless-Key": world.key, "Content-Type": "application/json"}
    async with world.client.post(URL(url, encoded=True), data=f'{{"note": "{note}"}}', headers=headers) as answer:
        assert (answer.status, answer.headers["Panless-Error"]) == (400, "key_misplaced")
    assert world.gateway.received == []


@pytest.mark.parametrize("where", ["body", "query", "path", "header", "basic"])
async def test_a_panless_key_does_not_reach_the_gateway(world, where):
    card = await world.tokens()
    url, body, headers = f"{world.outbound}/gateway/charges", {"card": card}, {"Panless-Key": world.key}
    if where == "body":
        body = body | {"note": world.key}
    elif where == "query":
        url += f"?k={world.key}"
    elif where == "path":
        url += f"/{world.key}"
    elif where == "header":
        headers |= {"X-Other": f"key={world.key}"}
    else:
        headers |= {"X-Other": "Basic " + base64.b64encode(f"a:{world.key}".encode()).decode()}
    async with world.client.post(url, json=body, headers=headers) as answer:
        assert answer.status in (200, 400, 403, 422), await answer.text()
    for each in world.gateway.received:
        whole = each.head + each.body
        assert world.key.encode() not in whole
        assert base64.b64encode(f"a:{world.key}".encode()) not in whole


@pytest.mark.parametrize(
    "echo",
    [
        PAN,
        " ".join(PAN),
        "4242,4242,4242,4242",
        PAN.encode().hex(),
        base64.b64encode(f"x{PAN}".encode()).decode(),
        "".join(f"\\u{ord(digit):04x}" for digit in PAN),
        "".join(f"%{ord(digit):02x}" for digit in PAN),
        "".join(f"&#{ord(digit)};" for digit in PAN),
        "".join(chr(0xFF10 + int(digit)) for digit in PAN),
        f"1{PAN}1",
        "4242<b>4242</b>4242<i>4242</i>",
        "".join(chr(0x660 + int(digit)) for digit in PAN),
        pytest.param(
            "".join(f"\\{ord(digit):03o}" for digit in PAN),
            marks=pytest.mark.xfail(strict=True, reason="octal escapes are not known"),
        ),
        pytest.param(
            PAN[::-1],
            marks=pytest.mark.xfail(strict=True, reason="a gateway that turns numbers around is not expected"),
        ),
    ],
)
async def test_what_a_gateway_quotes_is_not_read_back(world, echo):
    card = await world.tokens()
    world.gateway.answer = Answer(body=f'{{"message": "{echo}"}}'.encode())
    async with world.charge(card) as answer:
        body = await answer.text()
    assert echo not in body
