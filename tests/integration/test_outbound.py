"""Outbound routes: tokens become card data only on the way to the gateway (promises 2, 3, 4, 6)."""

from __future__ import annotations

import base64
import gzip
import json
import zlib

import pytest

from tests.harness.configuration import GATEWAY_SECRET
from tests.harness.upstream import Answer

PAN = "4242424242424242"


async def test_the_gateway_gets_the_true_card_and_its_own_secret(world):
    card = await world.tokens(PAN, "737")
    async with world.charge(card) as answer:
        assert answer.status == 200
    received = world.gateway.last
    assert received.target == "/v1/charges"
    assert received.json()["card"] == {"number": PAN, "cvc": "737"}
    assert received.header("Authorization") == f"Bearer {GATEWAY_SECRET}"
    assert received.header("Panless-Key") is None
    assert world.key.encode() not in received.head


@pytest.mark.parametrize("slot", ["Panless-Key", "bearer", "basic"])
async def test_app_identifies_itself_in_any_slot_and_the_secret_takes_its_place(world, slot):
    card = await world.tokens()
    basic = base64.b64encode(f"{world.key}:".encode()).decode()
    credential = {
        "Panless-Key": {"Panless-Key": world.key},
        "bearer": {"Authorization": f"Bearer {world.key}"},
        "basic": {"Authorization": f"Basic {basic}"},
    }[slot]
    url = f"{world.outbound}/gateway/charges"
    async with world.client.post(url, json={"card": card}, headers=credential) as answer:
        assert answer.status == 200
    secret = base64.b64encode(f"{GATEWAY_SECRET}:".encode()).decode()
    expected = f"Basic {secret}" if slot == "basic" else f"Bearer {GATEWAY_SECRET}"
    assert world.gateway.last.header("Authorization") == expected


async def test_values_are_revealed_at_the_selectors_only(world):
    card = await world.tokens(PAN)
    token = card["number"]
    body = {"card": {"number": token}, "note": token, "other": {"number": token}, "list": [token]}
    async with world.client.post(
        f"{world.outbound}/gateway/x", json=body, headers={"Panless-Key": world.key, "X-Note": token}
    ) as answer:
        assert answer.status == 200
    assert world.gateway.last.json() == body | {"card": {"number": PAN}}
    assert world.gateway.last.header("X-Note") == token


async def test_nothing_is_added_to_what_the_gateway_gets(world):
    async with world.client.get(
        f"{world.outbound}/gateway/charges?limit=3",
        headers={"Panless-Key": world.key},
        skip_auto_headers=["User-Agent", "Accept", "Accept-Encoding"],
    ) as answer:
        assert answer.status == 200
    names = [name.lower() for name, _ in world.gateway.last.headers]
    assert sorted(names) == ["authorization", "host"]
    assert world.gateway.last.target == "/v1/charges?limit=3"


async def test_cvc_is_found_through_the_card_when_the_app_sends_a_placeholder(world):
    card = await world.tokens("5555555555554444", "919")
    async with world.charge({"number": card["number"], "cvc": "000"}) as answer:
        assert answer.status == 200
    assert world.gateway.last.json()["card"] == {"number": "5555555555554444", "cvc": "919"}


@pytest.mark.parametrize(
    ("status", "number"),
    [
        (200, "3566002020360505"),
        (201, "6200000000000005"),
        (302, "5066991111111118"),
        (400, "36227206271667"),
        (402, "4000000000009995"),
        (404, "4000000000000341"),
    ],
)
async def test_cvc_is_gone_after_a_definite_answer(world, status, number):
    card = await world.tokens(number, "123")
    world.gateway.answer = Answer(status)
    async with world.charge(card, allow_redirects=False) as answer:
        assert answer.status == status
    async with world.charge(card) as answer:
        assert (answer.status, answer.headers["Panless-Error"]) == (410, "cvc_gone")
    async with world.charge({"number": card["number"], "cvc": "000"}) as answer:
        assert answer.headers["Panless-Error"] == "cvc_gone"
    assert len(world.gateway.received) == 1


@pytest.mark.parametrize("status", [500, 503, 408, 409, 425, 429])
async def test_cvc_stays_while_the_gateway_may_still_take_the_request(world, status):
    card = await world.tokens(PAN, "321")
    world.gateway.answer = Answer(status)
    async with world.charge(card) as answer:
        assert answer.status == status
    world.gateway.answer = Answer(200)
    async with world.charge(card) as answer:
        assert answer.status == 200
    assert world.gateway.last.json()["card"]["cvc"] == "321"


async def test_card_without_cvc_can_be_charged_again_and_again(world):
    card = await world.tokens(PAN, None)
    for _ in range(3):
        async with world.charge(card) as answer:
            assert answer.status == 200
        assert world.gateway.last.json()["card"] == {"number": PAN}


ECHOES = {
    "plain": b'{"number": "4242424242424242"}',
    "json number": b'{"number": 4242424242424242, "amount": 1999}',
    "grouped": b'{"text": "card 4242 4242 4242 4242 declined"}',
    "dashes": b'{"text": "card 4242-4242-4242-4242 declined"}',
    "json escapes": b'{"number": "\\u0034242\\u00342424242\\u00342\\u003424"}'.replace(
        b"2424242\\u0034", b"2424242\\u0034"
    ),
    "percent": b'{"echo": "card%5Bnumber%5D=%34242424242424242"}',
    "html": b"<p>&#52;242424242424242</p>",
    "full width": '{"n": "\uff14242424242424242"}'.encode(),
    "hex": b'{"raw": "' + PAN.encode().hex().encode() + b'"}',
    "base64": b'{"raw": "' + base64.b64encode(b'{"number":"' + PAN.encode() + b'"}') + b'"}',
    "base64 shifted": b'{"raw": "' + base64.b64encode(b'{"numbers":"' + PAN.encode() + b'"}') + b'"}',
    "twice": b'{"a": "4242424242424242", "b": "4242424242424242"}',
}


@pytest.mark.parametrize("name", ECHOES)
async def test_revealed_pan_never_comes_back_in_the_answer(world, name):
    card = await world.tokens(PAN)
    echo = ECHOES[name]
    world.gateway.answer = Answer(200, echo)
    async with world.charge(card) as answer:
        assert answer.status == 200
        body = await answer.read()
    assert body != echo
    assert card["number"].encode() in body
    if name != "html":
        json.loads(body)
    assert not _traces(body)


def _traces(body: bytes) -> list[str]:
    """What is left of the number, in any of the forms above."""
    text = body.decode("utf-8", "replace")
    forms = [PAN, "4242 4242", "4242-4242", PAN.encode().hex(), "242424242"]
    forms += [base64.b64encode(bytes(n) + PAN.encode()).decode()[4:20] for n in range(3)]
    return [form for form in forms if form in text]


@pytest.mark.parametrize(
    ("echo", "expected"),
    [
        (b'{"cvc": "987", "amount": 987}', b'{"cvc": "%s", "amount": 987}'),
        (b'{"cvc": 987}', b'{"cvc": "%s"}'),
        (b'{"security_code":987,"n":1987}', b'{"security_code":"%s","n":1987}'),
        (b'{"raw": "card[cvc]=987&x=1"}', b'{"raw": "card[cvc]=%s&x=1"}'),
        (b'{"error": "CVC 987 is wrong"}', b'{"error": "CVC %s is wrong"}'),
        (
            b'{"at": "2026-11-22T10:00:00.987Z", "id": "order-987"}',
            b'{"at": "2026-11-22T10:00:00.987Z", "id": "order-987"}',
        ),
    ],
)
async def test_revealed_cvc_never_comes_back_and_amounts_stay(world, echo, expected):
    card = await world.tokens(PAN, "987")
    world.gateway.answer = Answer(200, echo)
    async with world.charge(card) as answer:
        body = await answer.read()
    assert body == expected.replace(b"%s", card["cvc"].encode())


async def test_revealed_values_are_taken_out_of_headers(world):
    card = await world.tokens(PAN, "987")
    headers = [("X-Echo", f"card {PAN}"), ("Location", f"/cards/{PAN}?cvc=987"), ("Content-Type", "text/plain")]
    world.gateway.answer = Answer(200, b"ok", headers)
    async with world.charge(card) as answer:
        assert answer.headers["X-Echo"] == f"card {card['number']}"
        assert answer.headers["Location"] == f"/cards/{card['number']}?cvc={card['cvc']}"
        assert await answer.read() == b"ok"


async def test_answer_without_a_revealed_value_passes_untouched_even_compressed(world):
    card = await world.tokens(PAN)
    packed = gzip.compress(b'{"status": "ok"}')
    world.gateway.answer = Answer(200, packed, [("Content-Encoding", "gzip"), ("ETag", '"abc"')])
    async with world.charge(card, headers={"Accept-Encoding": "gzip"}) as answer:
        assert answer.headers["ETag"] == '"abc"'
        assert answer.headers["Content-Encoding"] == "gzip"
        assert await answer.json(content_type=None) == {"status": "ok"}


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "raw deflate"])
async def test_revealed_values_are_taken_out_of_compressed_answers(world, encoding):
    card = await world.tokens(PAN)
    plain = b'{"number": "4242424242424242"}'
    raw = zlib.compressobj(wbits=-15)
    packed = {
        "gzip": gzip.compress(plain),
        "deflate": zlib.compress(plain),
        "raw deflate": raw.compress(plain) + raw.flush(),
    }[encoding]
    world.gateway.answer = Answer(200, packed, [("Content-Encoding", encoding.split()[-1])])
    async with world.charge(card) as answer:
        assert await answer.read() == plain.replace(PAN.encode(), card["number"].encode())
        assert "Content-Encoding" not in answer.headers


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Answer(200, b"x", [("Content-Encoding", "br")]), "answer_unreadable"),
        (Answer(200, b"no gzip", [("Content-Encoding", "gzip")]), "answer_unreadable"),
        (Answer(200, gzip.compress(b"cut off, not whole")[:-9], [("Content-Encoding", "gzip")]), "answer_unreadable"),
        (Answer(200, PAN.encode("utf-16"), [("Content-Type", "text/plain; charset=utf-16")]), "answer_unreadable"),
        (Answer(200, PAN.encode("utf-16"), [("Content-Type", "text/plain")]), "answer_unreadable"),
        (Answer(200, b"x" * 70_000), "answer_too_large"),
        (Answer(200, gzip.compress(b"x" * 10_000_000), [("Content-Encoding", "gzip")]), "answer_too_large"),
    ],
)
async def test_answer_that_cannot_be_searched_is_withheld(world, answer, code):
    card = await world.tokens(PAN)
    world.gateway.answer = answer
    async with world.charge(card) as got:
        assert (got.status, got.headers["Panless-Error"]) == (502, code)
        assert PAN.encode() not in await got.read()


async def test_answers_to_requests_without_tokens_stream_and_may_be_large(world):
    world.gateway.answer = Answer(200, b"y" * 300_000, [("Content-Type", "text/csv")])
    async with world.client.get(f"{world.outbound}/gateway/report", headers={"Panless-Key": world.key}) as answer:
        assert len(await answer.read()) == 300_000


async def test_reveal_is_recorded_with_who_what_where_and_when(world):
    card = await world.tokens(PAN, "123")
    async with world.charge(card, headers={"X-Request-Id": "charge-1"}) as answer:
        assert answer.status == 200
    (event,) = await world.panless.events("--request-id", "charge-1")
    assert event["action"] == "reveal"
    assert event["outcome"] == "permitted"
    assert event["app"] == "shop"
    assert event["tenant"] == "default"
    assert event["route"] == "gateway"
    assert event["destination"] == f"127.0.0.1:{world.gateway.port}"
    assert event["tokens"] == [card["number"], card["cvc"]]
    assert event["origin"] == "127.0.0.1"
    assert event["at"].endswith("Z")


async def test_only_outbound_reveals(world):
    card = await world.tokens(PAN)
    async with world.client.post(f"{world.inbound}/checkout", json={"other": card["number"]}) as answer:
        assert answer.status == 200
    assert PAN.encode() not in world.app.last.body
    async with world.client.post(f"{world.inbound}/checkout", json={"card": card}) as answer:
        assert answer.headers["Panless-Error"] == "pan_invalid"


def _luhn_completions(first: str, last: str, count: int) -> list[str]:
    """Numbers of 16 digits with these ends that pass Luhn: what somebody would try who knows the ends of a card."""
    from vault.kinds import luhn_valid

    numbers = (f"{first}{middle:06}{last}" for middle in range(424242 - 5 * count, 10**6))
    return [number for number, _ in zip(filter(luhn_valid, numbers), range(count), strict=False)]


@pytest.mark.parametrize("holds_it", [True, False])
async def test_app_cannot_find_out_a_card_by_sending_guesses_beside_its_token(world, holds_it):
    """Were guesses echoed, the one that is taken out of the answer would be the card (promise 3)."""
    card = await world.tokens(PAN)
    guesses = [each for each in _luhn_completions("424242", "4242", 200) if holds_it or each != PAN]
    assert (PAN in guesses) is holds_it
    body = {"card": card, "metadata": {"guesses": guesses}}
    world.gateway.answer = lambda received: Answer(200, received.body)
    async with world.client.post(
        f"{world.outbound}/gateway/x", json=body, headers={"Panless-Key": world.key}
    ) as answer:
        assert (answer.status, answer.headers["Panless-Error"]) == (403, "value_guessed")
    assert world.gateway.received == []
    assert (await world.panless.events("--outcome", "denied"))[-1]["code"] == "value_guessed"


@pytest.mark.parametrize("where", ["header", "query", "grouped", "escaped"])
async def test_guess_is_noticed_wherever_it_stands(world, where):
    card = await world.tokens(PAN)
    text = {"grouped": "4242 4242 4242 4242", "escaped": "%34242424242424242"}.get(where, PAN)
    headers = {"Panless-Key": world.key} | ({"X-Note": text} if where == "header" else {})
    url = f"{world.outbound}/gateway/x" + (f"?n={PAN}" if where == "query" else "")
    async with world.client.post(url, json={"card": card, "note": text}, headers=headers) as answer:
        assert answer.headers["Panless-Error"] == "value_guessed"
    assert world.gateway.received == []


async def test_app_cannot_find_out_a_code_by_sending_all_of_them(world):
    card = await world.tokens(PAN, "917")
    body = {"card": card, "metadata": [f"{code:03}" for code in range(1000)]}
    world.gateway.answer = lambda received: Answer(200, json.dumps(json.loads(received.body)["metadata"]).encode())
    async with world.client.post(
        f"{world.outbound}/gateway/x", json=body, headers={"Panless-Key": world.key}
    ) as answer:
        assert await answer.json() == body["metadata"]


async def test_ordinary_numbers_beside_a_token_are_no_guesses(world):
    card = await world.tokens(PAN, "917")
    body = {"card": card, "order": "4242429999999999", "phone": "+49 170 4242 4242", "last4": "4242", "bin": "424242"}
    async with world.client.post(
        f"{world.outbound}/gateway/x", json=body, headers={"Panless-Key": world.key}
    ) as answer:
        assert answer.status == 200


async def test_gateways_secret_is_taken_out_of_an_answer_that_quotes_it(world):
    card = await world.tokens(PAN)
    world.gateway.answer = Answer(401, f'{{"error": "invalid key {GATEWAY_SECRET}"}}'.encode())
    async with world.charge(card) as answer:
        assert await answer.json() == {"error": "invalid key [credential]"}


@pytest.mark.parametrize(
    "answer",
    [Answer(200, b"x", [("Content-Encoding", "br")]), Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")],
)
async def test_code_is_gone_after_an_answer_that_is_withheld(world, answer):
    number = "3566002020360505" if answer.raw is None else "6200000000000005"
    card = await world.tokens(number, "123")
    world.gateway.answer = answer
    async with world.charge(card) as got:
        assert got.status == 502
    async with world.charge(card) as got:
        assert got.headers["Panless-Error"] == "cvc_gone"


@pytest.mark.parametrize(
    "headers",
    [
        [("Content-Encoding", "gzip"), ("Content-Encoding", "gzip")],
        [("Content-Encoding", "gzip, gzip")],
        [("Transfer-Encoding", "gzip, chunked")],
    ],
)
async def test_answer_whose_encoding_is_in_doubt_is_withheld(world, headers):
    card = await world.tokens(PAN)
    packed = gzip.compress(PAN.encode())
    if "Transfer-Encoding" in dict(headers):
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
        world.gateway.answer = Answer(raw=head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(packed), packed))
    else:
        world.gateway.answer = Answer(200, packed, headers)
    async with world.charge(card) as answer:
        assert answer.status == 502


async def test_gateway_is_asked_for_what_can_be_searched(world):
    card = await world.tokens(PAN)
    wanted = {"Accept-Encoding": "br, gzip;q=0.5", "Range": "bytes=0-5"}
    async with world.charge(card, headers=wanted) as answer:
        assert answer.status == 200
    assert world.gateway.last.header("Accept-Encoding") == "gzip, deflate"
    assert world.gateway.last.header("Range") is None


@pytest.mark.parametrize("method", ["TRACE", "CONNECT"])
async def test_methods_that_echo_or_tunnel_are_refused(world, method):
    import asyncio

    host, port = world.outbound.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"{method} /gateway/x HTTP/1.1\r\nHost: x\r\nPanless-Key: {world.key}\r\n\r\n".encode())
    head = await asyncio.wait_for(reader.readuntil(b"\r\n"), 5)
    assert head.split()[1] in (b"400", b"405")
    writer.close()
    assert world.gateway.received == []
