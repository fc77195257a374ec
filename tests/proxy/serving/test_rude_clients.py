"""What attackers once got a server of ours to do."""

from __future__ import annotations

import asyncio

import pytest
from multidict import CIMultiDict

from proxy.errors import BodyIncomplete, RequestMalformed
from proxy.serving import receiving, sending
from proxy.serving.answer import Answer, answer_of
from proxy.serving.server import Server
from tests.harness.serving import GET, POST, SECONDS, echo, pieces, read, reset, serving

KELVIN = "Transfer-Encoding: chun\u212aed\r\n".encode()
UPGRADE = b"GET /%d HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: a\r\n\r\n"


@pytest.mark.parametrize("head", [b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n", UPGRADE[:-2] % 0], ids=["CONNECT", "Upgrade"])
def test_a_coding_that_is_chunked_only_to_python_is_refused(head):
    with pytest.raises(RequestMalformed):
        read(head + KELVIN + b"\r\n5\r\nabcde\r\n0\r\n\r\n" + b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")


async def test_many_upgrades_at_once_are_all_answered():
    told = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context))
    async with serving(echo) as connect:
        client = await connect()
        client.send(b"".join(UPGRADE % number for number in range(700)))
        assert [await client.answer() for _ in range(700)] == [(200, b"/%d " % number) for number in range(700)]
    assert not told


async def test_a_body_without_length_that_breaks_off_does_not_look_whole_to_http_1_0():
    async def streams(_request):
        return Answer(200, None, CIMultiDict(), pieces(b"ab", b"c", breaks=True))

    async with serving(streams) as connect:
        client = await connect()
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        await client.head()
        with pytest.raises(ConnectionError):
            await client.rest()


@pytest.mark.parametrize(
    "data",
    [
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\nmore",
    ],
    ids=["chunk", "close", "1.0"],
)
async def test_an_answer_that_closes_is_the_last(data):
    async def reads(request):
        try:
            return await echo(request)
        except BodyIncomplete:
            return answer_of("incomplete", "text/plain", status=400)

    async with serving(reads) as connect:
        client = await connect()
        client.send(data)
        assert "connection: close" in (lines := await client.head())
        rest = await client.rest()
        assert b"HTTP/1.1" not in rest, (lines, rest)


async def test_who_was_not_asked_for_the_body_is_not_waited_for():
    async def early(request):
        return answer_of("no", "text/plain", status=404) if request.expects else await echo(request)

    async with serving(early) as connect:
        client = await connect()
        client.send(b"POST /0 HTTP/1.1\r\nHost: x\r\nContent-Length: 31\r\nExpect: 100-continue\r\n\r\n")
        lines = await client.head()
        await client.reader.readexactly(2)
        if "connection: close" not in lines:  # then the next request is one
            client.send(GET % 1 + GET % 2)
            assert await client.answer() == (200, b"/1 ")


async def test_an_answer_that_is_taken_slowly_but_steadily_is_not_cut_off(monkeypatch):
    monkeypatch.setattr(sending, "STALL_SECONDS", 0.5)
    size = 24_000_000

    async def large(_request):
        return Answer(200, None, CIMultiDict(), b"a" * size)

    async with serving(large) as connect:
        client = await connect()
        client.send(GET % 1)
        await client.head()
        got = 0
        while got < size:
            piece = await asyncio.wait_for(client.reader.read(200_000), SECONDS)
            assert piece, f"cut off after {got} bytes"
            got += len(piece)
            await asyncio.sleep(0.01)


async def test_empty_lines_do_not_keep_a_connection(monkeypatch):
    monkeypatch.setattr(receiving, "KEEP_SECONDS", 0.2)
    async with serving(echo) as connect:
        client = await connect()
        for _ in range(20):
            client.send(b"\r\n")
            await asyncio.sleep(0.05)
            if client.reader.at_eof():
                return
        raise AssertionError("still open after five times as long")


async def test_no_content_has_no_length():
    async def nothing(_request):
        return Answer(204, None, CIMultiDict({"Content-Length": "5"}), b"")

    async with serving(nothing) as connect:
        client = await connect()
        client.send(GET % 1 + GET % 2)
        assert not [line for line in await client.head() if line.startswith("content-length")]


async def test_garbage_and_a_fin_is_answered():
    async with serving(echo) as connect:
        client = await connect()
        client.send(b"junk\r\n\r\n")
        client.writer.write_eof()
        assert (await client.answer())[0] == 400


async def test_a_stop_waits_for_what_is_handled_for_a_client_that_went_away():
    servers: list[Server] = []
    begun, done = asyncio.Event(), asyncio.Event()

    async def works(_request):
        begun.set()
        await asyncio.sleep(0.5)  # a gateway
        done.set()
        return answer_of("nobody", "text/plain")

    async with serving(works, servers) as connect:
        client = await connect()
        client.send(GET % 1)
        await begun.wait()
        reset(client.writer)
        await asyncio.sleep(0.1)
        await servers[0].stop(SECONDS)
        assert done.is_set()


async def test_requests_that_wait_do_not_pile_up():
    servers: list[Server] = []
    go_on = asyncio.Event()

    async def waits(request):
        await go_on.wait()
        return await echo(request)

    async with serving(waits, servers) as connect:
        client = await connect()
        count = 100_000
        client.send(b"".join(GET % number for number in range(count)))
        await asyncio.sleep(0.3)
        (connection,) = servers[0].connections
        assert len(connection._inlet._reader.requests) < 2_000
        go_on.set()
        for number in range(count):
            assert await client.answer() == (200, b"/%d " % number)


async def test_bodies_of_requests_that_waited_are_whole_though_nothing_more_comes():
    async def slow(request):
        await asyncio.sleep(0.01)
        return await echo(request)

    async with serving(slow) as connect:
        client = await connect()
        client.send(b"".join(POST % (number, 20_000) + b"a" * 20_000 for number in range(5)))
        client.writer.write_eof()
        assert [len((await client.answer())[1]) for _ in range(5)] == [20_003] * 5


async def test_the_time_of_a_head_ends_with_it(monkeypatch):
    monkeypatch.setattr(receiving, "HEAD_SECONDS", 0.1)

    async def slow(request):
        await asyncio.sleep(0.3)
        return await echo(request)

    async with serving(slow) as connect:
        client = await connect()
        client.send(b"GET /1 HTTP/1.1\r\nHost:")
        await asyncio.sleep(0.05)
        client.send(b" x\r\n\r\n")
        assert await client.answer() == (200, b"/1 ")


async def test_a_head_that_has_begun_is_answered_in_spite_of_a_stop():
    servers: list[Server] = []
    async with serving(echo, servers) as connect:
        client = await connect()
        client.send(b"GET /1 HTTP/1.1\r\nHost:")
        await asyncio.sleep(0.1)
        stopping = asyncio.ensure_future(servers[0].stop(SECONDS))
        await asyncio.sleep(0)
        client.send(b" x\r\n\r\n")
        assert (await client.answer()) == (200, b"/1 ")
        await stopping


async def test_limits_are_those_of_one_request():
    async with serving(echo) as connect:
        client = await connect()
        head = b"GET /1 HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20_000 + b"\r\n\r\n"
        for _ in range(10):
            client.send(head)
            assert await client.answer() == (200, b"/1 ")


async def test_an_answer_to_nobody_ends_at_once():
    ended = asyncio.Event()

    async def large(request):
        try:
            await request.client.send(request, Answer(200, None, CIMultiDict(), b"a" * 50_000_000))
        finally:
            ended.set()
        raise AssertionError

    async with serving(large) as connect:
        client = await connect()
        client.writer.transport.pause_reading()
        client.send(GET % 1)
        await asyncio.sleep(0.1)
        reset(client.writer)
        await asyncio.wait_for(ended.wait(), SECONDS)


@pytest.mark.parametrize(("method", "status"), [(b"HEAD", 200), (b"GET", 304)])
async def test_the_length_of_what_is_not_sent_is_told(method, status):
    async def answers(_request):
        return Answer(status, None, CIMultiDict({"Content-Length": "5"}), b"")

    async with serving(answers) as connect:
        client = await connect()
        client.send((method + b" / HTTP/1.1\r\nHost: x\r\n\r\n") * 2)
        assert "content-length: 5" in await client.head()
        assert "content-length: 5" in await client.head()
