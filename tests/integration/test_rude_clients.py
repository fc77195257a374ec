"""Clients that break off, ask for odd things, or go away: what they get, and what is done for them."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.harness.serving import reset
from tests.harness.upstream import Answer
from tests.harness.waiting import until

SECONDS = 10
CARD = b'{"card": {"number": "4242424242424242"}}'
CHECKOUT = b"POST /checkout HTTP/%b\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
KELVIN = "Transfer-Encoding: chun\u212aed\r\n".encode()


async def _connect(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = url.removeprefix("http://").partition(":")
    return await asyncio.open_connection(host, int(port))


async def _answers(url: str, data: bytes) -> bytes:
    reader, writer = await _connect(url)
    writer.write(data)
    try:
        return await asyncio.wait_for(reader.read(), SECONDS)
    finally:
        writer.close()


async def test_nothing_is_smuggled_behind_a_coding_that_is_chunked_only_to_some(world):
    got = await _answers(
        world.inbound,
        b"POST /healthy HTTP/1.1\r\nHost: x\r\nUpgrade: a\r\nConnection: upgrade\r\n" + KELVIN + b"\r\n"
        b"5\r\nabcde\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    )
    assert got.count(b"HTTP/1.1 ") == 1
    assert got.startswith(b"HTTP/1.1 400")
    assert world.app.received == []


async def test_a_body_that_cannot_be_read_has_one_answer(world):
    head = b"POST /checkout HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    got = await _answers(world.inbound, head + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\nzz\r\n")
    assert got.count(b"HTTP/1.1 ") == 1
    assert b"body_incomplete" in got


async def test_many_requests_that_are_never_forwarded_are_each_answered(world):
    tunnels = b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n" * 600
    got = await _answers(world.inbound, tunnels + b"junk\r\n\r\n")
    assert got.count(b"HTTP/1.1 405") == 600
    assert "request_failed" not in world.panless.log


@pytest.mark.parametrize(
    ("leaves", "expected"),
    [
        (reset, (499, "client_gone")),
        (asyncio.StreamWriter.close, (200, None)),
    ],
    ids=["resets", "closes"],
)
async def test_a_request_whose_client_went_away_is_done_and_logged(world, leaves, expected):
    world.app.answer = Answer(delay=0.3)
    name = f"leaves-{expected[0]}"
    _, writer = await _connect(world.inbound)
    writer.write(
        (CHECKOUT % (b"1.1", len(CARD), CARD)).replace(b"Host: x", b"Host: x\r\nX-Request-Id: " + name.encode())
    )

    async def arrived() -> bool:
        return len(world.app.received) == 1

    async def logged() -> bool:
        lines = [json.loads(line) for line in world.panless.log.splitlines() if name in line]
        return [(each["status"], each["code"]) for each in lines] == [expected]

    await until(arrived)
    leaves(writer)
    await until(logged)


async def test_an_answer_that_breaks_off_does_not_look_whole_to_http_1_0(world):
    async def breaks(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n")
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.transport.abort()

    world.app.answer = Answer(stream=breaks)
    with pytest.raises(ConnectionError):
        await _answers(world.inbound, CHECKOUT % (b"1.0", len(CARD), CARD))


async def test_a_body_that_nobody_asked_for_does_not_swallow_the_next_request(world):
    got = await _answers(
        world.inbound,
        b"POST /nowhere HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n",
    )
    assert got.startswith(b"HTTP/1.1 404")
    assert b"connection: close" in got.lower()


@pytest.mark.parametrize("goes", [True, False], ids=["goes away", "stays"])
async def test_a_charge_that_is_under_way_is_ended_before_a_stop(world, goes):
    """Whether or not its client is still there: the gateway does its work, and what came of it has to be known."""
    card = await world.tokens()
    world.gateway.answer = Answer(delay=1.0)
    body, name = json.dumps({"card": card}).encode(), f"order-{goes}"
    reader, writer = await _connect(world.outbound)
    writer.write(
        b"POST /gateway/charges HTTP/1.1\r\nHost: x\r\nIdempotency-Key: %b\r\nPanless-Key: %b\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
        % (name.encode(), world.key.encode(), len(body), body)
    )

    async def arrived() -> bool:
        return len(world.gateway.received) == 1

    await until(arrived)
    if goes:
        reset(writer)
    await world.panless.stop()
    assert goes or b"HTTP/1.1 200" in await asyncio.wait_for(reader.read(), SECONDS)
    world.gateway.answer = Answer()
    await world.panless.start()
    async with world.charge(card, headers={"Idempotency-Key": name}) as answer:
        assert (answer.status, len(world.gateway.received)) == (200, 1)
