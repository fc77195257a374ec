"""The server on real sockets: requests one after the other, and clients that are slow, rude or gone."""

from __future__ import annotations

import asyncio

import pytest
from multidict import CIMultiDict

from proxy.errors import BodyIncomplete
from proxy.serving import receiving, sending
from proxy.serving.answer import Answer, answer_of
from proxy.serving.request import Request
from proxy.serving.server import Server
from tests.harness.serving import GET, POST, SECONDS, echo, pieces, serving


async def test_answers_come_in_the_order_of_requests_that_were_sent_at_once():
    waiting = asyncio.Event()

    async def slow_first(request: Request) -> Answer:
        if request.target == "/0":
            await waiting.wait()
        return await echo(request)

    async with serving(slow_first) as connect:
        client = await connect()
        client.send(b"".join(GET % number for number in range(50)))
        await asyncio.sleep(0)
        waiting.set()
        assert [await client.answer() for _ in range(50)] == [(200, b"/%d " % number) for number in range(50)]


async def test_a_body_arrives_in_pieces_and_slowly_read_ones_wait():
    size = 3 * 1024 * 1024
    held: list[int] = []

    async def slow(request: Request) -> Answer:
        got = 0
        while piece := await request.piece():
            got += len(piece)
            await asyncio.sleep(0.005)
            held.append(request.held)
        return answer_of(str(got), "text/plain")

    async with serving(slow) as connect:
        client = await connect()
        client.send(POST % (0, size) + b"a" * size)
        assert await client.answer() == (200, b"%d" % size)
        assert max(held) <= 1024 * 1024


async def test_who_asks_whether_to_send_a_body_is_told():
    async def asks(request: Request) -> Answer:
        assert request.expects
        request.client.interim()
        return await echo(request)

    async with serving(asks) as connect:
        client = await connect()
        client.send(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert await client.head() == ["http/1.1 100 continue"]
        client.send(b"hi")
        assert await client.answer() == (200, b"/a hi")


async def test_what_is_left_of_a_body_that_nobody_read_is_dropped_and_the_connection_goes_on():
    async def early(request: Request) -> Answer:
        return answer_of("early" if request.method == "POST" else "next", "text/plain")

    async with serving(early) as connect:
        client = await connect()
        client.send(POST % (0, 1_000_000) + b"a" * 10)
        assert await client.answer() == (200, b"early")
        client.send(b"a" * 999_990 + GET % 1)
        assert await client.answer() == (200, b"next")


async def test_a_client_that_sends_on_and_on_after_its_answer_is_cut_off(monkeypatch):
    monkeypatch.setattr(receiving, "LINGER_SECONDS", 0.05)

    async def early(_request: Request) -> Answer:
        return answer_of("early", "text/plain")

    async with serving(early) as connect:
        client = await connect()
        client.send(POST % (0, 1_000_000) + b"a")
        assert await client.answer() == (200, b"early")
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await client.answer()


async def test_a_head_that_does_not_end_is_answered_and_the_connection_closed(monkeypatch):
    monkeypatch.setattr(receiving, "HEAD_SECONDS", 0.05)
    async with serving(echo) as connect:
        client = await connect()
        client.send(b"GET / HTTP/1.1\r\nHost:")
        status, body = await client.answer()
        assert (status, b"head_timeout" in body) == (408, True)
        assert await client.rest() == b""


async def test_a_connection_that_nobody_uses_is_closed(monkeypatch):
    monkeypatch.setattr(receiving, "KEEP_SECONDS", 0.05)
    async with serving(echo) as connect:
        fresh, used = await connect(), await connect()
        used.send(GET % 1)
        assert await used.answer() == (200, b"/1 ")
        assert [await fresh.rest(), await used.rest()] == [b"", b""]


async def test_what_cannot_be_read_is_answered_after_what_came_before():
    async with serving(echo) as connect:
        client = await connect()
        client.send(GET % 1 + b"junk\r\n\r\n" + GET % 2)
        assert await client.answer() == (200, b"/1 ")
        status, body = await client.answer()
        assert (status, b"request_malformed" in body) == (400, True)
        assert await client.rest() == b""


async def test_a_body_that_breaks_off_or_cannot_be_read_is_incomplete():
    broken: list[bool] = []

    async def reads(request: Request) -> Answer:
        try:
            return await echo(request)
        except BodyIncomplete:
            broken.append(True)
            return answer_of("incomplete", "text/plain", status=400)

    async with serving(reads) as connect:
        client, other = await connect(), await connect()
        client.send(POST % (0, 10) + b"abc")
        client.writer.write_eof()
        other.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\nzz\r\n")
        assert await client.answer() == await other.answer() == (400, b"incomplete")
        assert broken == [True, True]


async def test_who_has_said_all_still_gets_the_answer():
    async def slow(request: Request) -> Answer:
        await asyncio.sleep(0.05)
        return await echo(request)

    async with serving(slow) as connect:
        client = await connect()
        client.send(GET % 1)
        client.writer.write_eof()
        assert await client.answer() == (200, b"/1 ")
        assert await client.rest() == b""


async def test_what_is_handled_goes_on_when_the_client_goes_away():
    begun, done = asyncio.Event(), asyncio.Event()

    async def works(_request: Request) -> Answer:
        begun.set()
        await asyncio.sleep(0.05)
        done.set()
        return answer_of("nobody", "text/plain")

    async with serving(works) as connect:
        client = await connect()
        client.send(GET % 1)
        await begun.wait()
        client.writer.transport.abort()
        await asyncio.wait_for(done.wait(), SECONDS)


async def test_a_client_that_takes_nothing_is_cut_off(monkeypatch):
    monkeypatch.setattr(sending, "STALL_SECONDS", 0.1)
    ended: list[Exception] = []

    async def large(_request: Request) -> Answer:
        return Answer(200, None, CIMultiDict(), b"a" * 50_000_000)

    async def handle(request: Request) -> Answer:
        answer = await large(request)
        try:
            await request.client.send(request, answer)
        except ConnectionError as error:
            ended.append(error)
            raise
        return answer

    async with serving(handle) as connect:
        client = await connect()
        client.writer.transport.pause_reading()
        client.send(GET % 1)
        for _ in range(200):
            if ended:
                break
            await asyncio.sleep(0.05)
        assert isinstance(ended[0], sending.ClientGone)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", ["http/1.1 200 ok", "content-length: 7"]),
        (b"GET / HTTP/1.0\r\n\r\n", ["http/1.1 200 ok", "content-length: 7", "connection: close"]),
        (
            b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            ["http/1.1 200 ok", "content-length: 7", "connection: keep-alive"],
        ),
        (
            b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            ["http/1.1 200 ok", "content-length: 7", "connection: close"],
        ),
    ],
    ids=["HEAD", "HTTP/1.0", "HTTP/1.0 that stays", "close"],
)
async def test_each_client_gets_an_answer_of_its_kind(request_, expected):
    async def answers(_request: Request) -> Answer:
        return answer_of("7 bytes", "text/plain")

    async with serving(answers) as connect:
        client = await connect()
        client.send(request_)
        lines = await client.head()
        assert set(expected) <= set(lines)
        assert (
            sum(line.startswith(("content-length", "transfer-encoding", "connection")) for line in lines)
            == len(expected) - 1
        )
        body = b"" if request_.startswith(b"HEAD") else b"7 bytes"
        assert await asyncio.wait_for(client.reader.readexactly(len(body)), SECONDS) == body
        if "connection: close" in expected:
            assert await client.rest() == b""


@pytest.mark.parametrize(
    ("version", "length", "wire"),
    [
        (b"1.1", None, b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"),
        (b"1.1", "3", b"abc"),
        (b"1.0", None, b"abc"),
        (b"1.0", "3", b"abc"),
    ],
)
async def test_a_body_that_streams_is_framed_as_the_client_can_read_it(version, length, wire):
    async def streams(_request: Request) -> Answer:
        headers = CIMultiDict({"Content-Length": length} if length else {})
        return Answer(200, "Fine", headers, pieces(b"ab", b"", b"c"))

    async with serving(streams) as connect:
        client = await connect()
        client.send(b"GET / HTTP/%b\r\nHost: x\r\nConnection: close\r\n\r\n" % version)
        await client.head()
        assert await client.rest() == wire


@pytest.mark.parametrize("length", [None, "2", "4"], ids=["broken", "longer than said", "shorter than said"])
async def test_a_body_that_is_not_whole_does_not_look_whole(length):
    async def streams(_request: Request) -> Answer:
        headers = CIMultiDict({"Content-Length": length} if length else {})
        return Answer(200, None, headers, pieces(b"ab", b"c", breaks=length is None))

    async with serving(streams) as connect:
        client = await connect()
        client.send(GET % 1)
        await client.head()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await client.reader.readuntil(b"0\r\n\r\n" if length is None else b"abcd")


async def test_a_stop_lets_what_is_handled_end_and_closes_the_rest():
    begun, go_on, server = asyncio.Event(), asyncio.Event(), []

    async def waits(request: Request) -> Answer:
        begun.set()
        await go_on.wait()
        return await echo(request)

    async with serving(waits, server) as connect:
        idle, busy = await connect(), await connect()
        busy.send(GET % 1)
        await begun.wait()
        stopping = asyncio.ensure_future(server[0].stop(SECONDS))
        assert await idle.rest() == b""
        go_on.set()
        assert "connection: close" in await busy.head()
        assert await busy.rest() == b"/1 "
        await stopping


async def test_a_stop_does_not_wait_for_ever():
    server: list[Server] = []
    begun = asyncio.Event()

    async def never(_request: Request) -> Answer:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with serving(never, server) as connect:
        client = await connect()
        client.send(GET % 1)
        await begun.wait()
        await server[0].stop(0.05)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await client.answer()
