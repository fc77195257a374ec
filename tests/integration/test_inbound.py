"""Inbound routes: card data becomes tokens, everything else passes as it was sent (promises 1 and 4)."""

from __future__ import annotations

import asyncio

import pytest

from vault.tokens import recognise


async def test_json_body_reaches_the_app_with_tokens_and_otherwise_unchanged(world):
    body = b'{ "order" : 1.10,\n  "card": {"number": "4242 4242 4242 4242", "cvc":"123", "x": "\\u00e9"}, "n": 1e2 }'
    async with world.client.post(
        f"{world.inbound}/checkout?a=1&b=%20", data=body, headers={"Content-Type": "application/json"}
    ) as answer:
        assert answer.status == 200
        assert await answer.read() == b'{"ok": true}'
    received = world.app.last
    card = received.json()["card"]
    assert recognise(card["number"]).prefix == "tok"
    assert recognise(card["cvc"]).prefix == "cvc"
    assert received.target == "/checkout?a=1&b=%20"
    restored = received.body.replace(card["number"].encode(), b"4242 4242 4242 4242").replace(
        card["cvc"].encode(), b"123"
    )
    assert restored == body


async def test_form_body(world):
    body = b"a=%7e&card%5Bnumber%5D=4242+4242+4242+4242&card[cvc]=123&z=+"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    async with world.client.post(f"{world.inbound}/checkout", data=body, headers=headers) as answer:
        assert answer.status == 200
    before, number, cvc, after = (
        world.app.last.body.replace(b"=", b"&").split(b"&")[1],
        *[pair.split(b"=")[1] for pair in world.app.last.body.split(b"&")[1:3]],
        world.app.last.body.split(b"&")[3],
    )
    assert (before, after) == (b"%7e", b"z=+")
    assert recognise(number.decode()).prefix == "tok"
    assert recognise(cvc.decode()).prefix == "cvc"


async def test_same_card_gives_the_same_token_however_it_is_written(world):
    first = await world.tokens("5555555555554444")
    second = await world.tokens("5555-5555-5555-4444")
    third = await world.tokens("\uff15555 5555\u00a05555 4444")
    assert first["number"] == second["number"] == third["number"]
    assert len({first["cvc"], second["cvc"], third["cvc"]}) == 3, "each verification code has a lease of its own"


async def test_200_concurrent_requests_for_one_new_card_give_one_token(world):
    cards = await asyncio.gather(*(_post(world, "6011000990139424", f"{n:03}") for n in range(200)))
    assert cards == [200] * 200
    tokens = {received.json()["card"]["number"] for received in world.app.received}
    assert len(tokens) == 1
    assert len(world.app.received) == 200


async def _post(world, number, cvc):
    async with world.client.post(f"{world.inbound}/checkout", json={"card": {"number": number, "cvc": cvc}}) as answer:
        return answer.status


async def test_tenants_have_tokens_of_their_own(world):
    ours = await world.tokens("4000056655665556")
    theirs = await world.tokens("4000056655665556", path="/other/checkout")
    assert ours["number"] != theirs["number"]


async def test_body_without_a_field_passes_byte_for_byte(world):
    body = b'{"hello":  "world" , "n": 1.000}'
    async with world.client.post(
        f"{world.inbound}/checkout", data=body, headers={"Content-Type": "application/json"}
    ) as answer:
        assert answer.status == 200
    assert world.app.last.body == body


async def test_route_without_fields_passes_anything_and_replaces_the_path(world):
    body = bytes(range(256)) * 1000
    async with world.client.put(f"{world.inbound}/upload/a%2Fb/c?d=e", data=body) as answer:
        assert answer.status == 200
    assert world.app.last.target == "/files/a%2Fb/c?d=e"
    assert world.app.last.method == "PUT"
    assert world.app.last.body == body


async def test_chunked_upload_stays_chunked_and_whole(world):
    async def pieces():
        for n in range(50):
            yield b"x" * n

    async with world.client.post(f"{world.inbound}/upload/x", data=pieces()) as answer:
        assert answer.status == 200
    assert world.app.last.header("Transfer-Encoding") == "chunked"
    assert world.app.last.body == b"x" * sum(range(50))


async def test_the_app_learns_where_the_request_came_from(world):
    async with world.client.post(
        f"{world.inbound}/checkout", json={}, headers={"X-Request-Id": "order-7", "X-Forwarded-For": "192.0.2.1"}
    ) as answer:
        assert answer.headers["X-Request-Id"] == "order-7"
    received = world.app.last
    assert received.header("X-Request-Id") == "order-7"
    assert received.header("X-Forwarded-For") == "192.0.2.1, 127.0.0.1"
    assert received.header("X-Forwarded-Host") == world.inbound.removeprefix("http://")


@pytest.mark.parametrize("smuggled", ["4242424242424242", "4242-4242-4242-4242", "a b", "x" * 200])
async def test_a_request_id_cannot_smuggle_a_card_number(world, smuggled):
    async with world.client.post(f"{world.inbound}/checkout", json={}, headers={"X-Request-Id": smuggled}) as answer:
        assert answer.headers["X-Request-Id"].startswith("req_")


async def test_hop_by_hop_headers_stay_behind_and_others_keep_their_spelling(world):
    headers = {"Connection": "close, X-Mine", "X-Mine": "1", "TE": "trailers", "x-CuStOm": "kept", "Cookie": "a=b"}
    async with world.client.post(f"{world.inbound}/checkout", json={}, headers=headers):
        pass
    names = [name for name, _ in world.app.last.headers]
    assert "x-CuStOm" in names
    assert "Cookie" in names
    assert not {"TE", "X-Mine"} & set(names)


async def test_answers_pass_with_status_headers_and_body_untouched(world):
    from tests.harness.upstream import Answer

    world.app.answer = Answer(
        418, b"\x00teapot", [("Content-Type", "x/y"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
    )
    async with world.client.post(f"{world.inbound}/checkout", json={}) as answer:
        assert answer.status == 418
        assert await answer.read() == b"\x00teapot"
        assert answer.headers.getall("Set-Cookie") == ["a=1", "b=2"]
        assert "Server" not in answer.headers
        assert "Panless-Error" not in answer.headers


async def test_expect_100_continue_is_answered(world):
    host, port = world.inbound.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        b"POST /checkout HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    )
    assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5) == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"{}")
    assert (await asyncio.wait_for(reader.readline(), 5)).startswith(b"HTTP/1.1 200")
    writer.close()


async def test_protected_path_in_another_spelling_reaches_nobody(world):
    """The route `/upload/` has no fields; a path that an application may read as `/checkout` must not slip past it."""
    from yarl import URL

    for path in ("/%63heckout", "/checkout#x", "//checkout", "/Checkout", "/checkout/"):
        request = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}"
        host, port = URL(world.inbound).host, URL(world.inbound).port
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(request.encode())
        status = (await asyncio.wait_for(reader.readline(), 5)).split()[1]
        assert status in (b"400", b"404"), path
        writer.close()
    assert world.app.received == []


async def test_panless_keys_and_connection_headers_do_not_reach_the_app(world):
    headers = {"Panless-Key": world.key, "Connection": "close, content-type"}
    async with world.client.post(f"{world.inbound}/checkout", json={}, headers=headers):
        pass
    assert world.app.last.header("Panless-Key") is None
    assert world.app.last.header("Content-Type") == "application/json"
