"""Connections to upstreams on real sockets: used again, one request at a time, and never with the answer to another."""

from __future__ import annotations

import asyncio
import ssl
from itertools import chain

import pytest
import trustme

from proxy.errors import BodyIncomplete, UpstreamError
from proxy.rewrite.message import Message
from proxy.upstream import pool
from proxy.upstream.answer_reader import State
from proxy.upstream.flight import read_answer
from proxy.upstream.pool import keep_seconds
from tests.harness.scripted import OK, answering, request, scripted
from tests.harness.sending import BODY, QUICK, sending
from tests.harness.waiting import until

ONCE = "retries = { attempts = 1 }\n"
SECRET = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret"


async def _true(value: object) -> bool:
    return bool(value)


async def test_a_connection_is_used_again_and_the_newest_first(tmp_path):
    async with scripted(answering()) as gateway, sending(tmp_path, gateway=(gateway.url, ONCE)) as to:
        for _ in range(5):
            assert await to.send() == (200, b"ok")
        assert gateway.connections == 1
        await asyncio.gather(*(to.send() for _ in range(4)))
        assert gateway.connections == 4
        await to.send()
        assert gateway.connections == 4


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", b"ok"),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n", b"ok"),
        (b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 2\r\n\r\nok", b"ok"),
    ],
    ids=["close", "http/1.0", "trailers", "about-to-close"],
)
async def test_a_connection_that_ends_with_its_answer_is_not_used_again(tmp_path, answer, expected):
    async with scripted(answering(always=answer)) as gateway, sending(tmp_path, gateway=(gateway.url, ONCE)) as to:
        assert [await to.send() for _ in range(2)] == [(200, expected)] * 2
        assert gateway.connections == 2


async def test_an_answer_to_head_leaves_nothing_behind(tmp_path):
    async def script(reader, writer):
        is_head = (await request(reader)).startswith(b"HEAD")
        writer.write(SECRET if is_head else OK)  # with a body, which there must not be
        await reader.read()

    async with scripted(script) as gateway, sending(tmp_path, gateway=(gateway.url, ONCE)) as to:
        assert await to.send("HEAD") == (200, b"")
        assert await to.send() == (200, b"ok")
        assert gateway.connections == 2


async def test_what_comes_between_requests_is_nobodys_answer(tmp_path):
    """A gateway, or who sits before it, answers ahead: the next request, of somebody else, must not get that."""

    came = asyncio.Event()

    async def ahead(reader, writer):
        await request(reader)
        writer.write(OK)
        await came.wait()
        came.clear()
        writer.write(SECRET)
        await reader.read()

    async with scripted(ahead) as gateway, sending(tmp_path, gateway=(gateway.url, ONCE)) as to:
        assert await to.send() == (200, b"ok")
        came.set()
        await asyncio.wait_for(gateway.ended.wait(), 5)
        assert await to.send() == (200, b"ok")
        assert gateway.connections == 2


async def test_what_comes_while_an_answer_is_read_is_nobodys_answer_either(tmp_path):
    more = asyncio.Event()

    async def behind(reader, writer):
        await request(reader)
        writer.write(OK)
        await more.wait()
        more.clear()
        writer.write(SECRET)
        await reader.read()

    async with scripted(behind) as gateway, sending(tmp_path, gateway=(gateway.url, ONCE)) as to:
        route = to.routes["gateway"]
        async with await to.client.send(route, "POST", Message(BODY, path="/")) as answer:
            more.set()
            await until(lambda: _true(not answer.flight.connection.reader.is_reusable))
            assert [piece async for piece in read_answer(answer, route)] == [b"ok"]
        assert await to.send() == (200, b"ok")
        assert gateway.connections == 2


async def test_a_connection_that_was_closed_while_it_was_idle_is_not_used(tmp_path):
    async def one(reader, writer):
        await request(reader)
        writer.write(OK)

    async with scripted(one) as gateway, sending(tmp_path, gateway=(gateway.url, ONCE)) as to:
        for number in range(1, 4):
            gateway.ended.clear()
            assert await to.send() == (200, b"ok")
            await gateway.ended.wait()
            await until(lambda: _true(not any(each.is_open for each in chain(*to.client._pool._idle.values()))))
            assert gateway.connections == number


async def test_one_that_closes_as_the_next_request_comes_is_in_doubt_and_repeated_only_where_that_is_safe(tmp_path):
    async with scripted(answering(OK, b"")) as gateway, sending(tmp_path, gateway=(gateway.url, QUICK)) as to:
        assert await to.send() == (200, b"ok")
        assert await to.fails() == ("upstream_disconnected", "maybe")
        assert await to.send() == (200, b"ok")
        assert await to.send("GET") == (200, b"ok")
        assert await to.send(key="k") == (200, b"ok")


async def test_idle_connections_are_closed_after_a_while(tmp_path, monkeypatch):
    monkeypatch.setattr(pool, "KEEP_SECONDS", 0.1)
    async with scripted(answering()) as gateway, sending(tmp_path, gateway=(gateway.url, ONCE)) as to:
        await to.send()
        await asyncio.wait_for(gateway.ended.wait(), 5)
        await to.send()
        assert gateway.connections == 2


def test_an_upstream_that_says_how_long_it_waits_is_believed():
    assert keep_seconds("timeout=5, max=100") == 4
    assert keep_seconds("max=100, TIMEOUT=7") == 6
    assert keep_seconds("timeout=9999") == keep_seconds("") == pool.KEEP_SECONDS


async def test_interim_answers_are_left_out(tmp_path):
    early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    script = answering(always=early + OK)
    async with scripted(script) as gateway, sending(tmp_path, gateway=(gateway.url, ONCE)) as to:
        assert [await to.send() for _ in range(2)] == [(200, b"ok")] * 2
        assert gateway.connections == 1


async def test_an_answer_that_comes_before_the_request_is_all_there(tmp_path):
    """A gateway refuses an upload early: its answer counts, the rest is not sent, the connection is not used again."""
    sent = 0

    async def much():
        nonlocal sent
        for _ in range(1000):
            sent += 1
            yield b"x" * 65536
            await asyncio.sleep(0)

    async def refuses(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")
        await writer.drain()
        await asyncio.sleep(30)

    async with scripted(refuses) as gateway, sending(tmp_path, gateway=(gateway.url, ONCE)) as to:
        assert await to.send(body=much()) == (413, b"no")
        assert sent < 1000
        assert await to.send(body=much()) == (413, b"no")
        assert gateway.connections == 2


async def test_a_body_of_the_client_that_breaks_is_its_own_error_and_nothing_looks_whole(tmp_path):
    got = b""

    async def broken():
        yield b"half"
        raise BodyIncomplete

    async def reads(reader, writer):
        nonlocal got
        got = await reader.read(-1)

    async with scripted(reads) as gateway, sending(tmp_path, gateway=(gateway.url, ONCE)) as to:
        with pytest.raises(BodyIncomplete):
            await to.send(body=broken())
        await asyncio.wait_for(gateway.ended.wait(), 5)
        assert got.endswith(b"4\r\nhalf\r\n")


async def test_who_reads_slowly_does_not_fill_our_memory(tmp_path):
    piece, written = b"x" * 65536, 0

    async def pours(reader, writer):
        nonlocal written
        await request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(piece) * 1000))
        for _ in range(1000):
            writer.write(piece)
            await writer.drain()
            written += len(piece)

    async with scripted(pours) as gateway, sending(tmp_path, gateway=(gateway.url, ONCE)) as to:
        route = to.routes["gateway"]
        async with await to.client.send(route, "POST", Message(BODY, path="/")) as answer:
            await asyncio.sleep(0.3)
            held = sum(map(len, answer.flight.connection.reader.pieces))
            assert held < 2**20
            assert written < len(piece) * 1000
            total = sum([len(each) async for each in read_answer(answer, route)])
        assert total == len(piece) * 1000


async def test_framing_that_comes_alone_stops_no_answer(tmp_path):
    """Much has been read already; then the head of a chunk comes, and its data only later."""
    piece = b"x" * (256 * 1024 - 100)  # with its head, nearly what is kept for somebody who reads slowly
    read = asyncio.Event()

    async def script(reader, writer):
        await request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(piece), piece))
        await read.wait()
        for part in (b"3;" + b"a" * 200, b"\r\n", b"end", b"\r\n0\r\n\r\n"):
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.02)  # a segment of its own, or it shows nothing
        await reader.read()

    times = "timeouts = { between_bytes = 2 }\n"
    async with scripted(script) as gateway, sending(tmp_path, gateway=(gateway.url, ONCE + times)) as to:
        route, got = to.routes["gateway"], b""
        async with await to.client.send(route, "POST", Message(BODY, path="/")) as answer:
            async for each in read_answer(answer, route):
                got += each
                if len(got) == len(piece):
                    read.set()
        assert got == piece + b"end"


async def test_a_client_that_goes_away_leaves_no_half_used_connection(tmp_path):
    async def hangs(reader, writer):
        await request(reader)
        await reader.read()

    async with scripted(hangs) as gateway, sending(tmp_path, gateway=(gateway.url, ONCE)) as to:
        task = asyncio.create_task(to.send())
        while not gateway.connections:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.wait([task])
        await asyncio.wait_for(gateway.ended.wait(), 5)
        assert to.value("panless_upstream_in_flight", upstream=gateway.url) == 0


async def test_tls_is_verified_and_the_certificate_is_noted(tmp_path):
    authority, other = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    other.cert_pem.write_to_path(tmp_path / "other.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    async with scripted(answering(), tls=context) as gateway:
        routes = {name: (gateway.url, ONCE + f'ca = "{name}.pem"') for name in ("ca", "other")}
        async with sending(tmp_path, **routes) as to:
            assert await to.send(route="ca") == (200, b"ok")
            assert len(await to.client.certificate(to.routes["ca"])) == 64
            # What another route trusts says nothing: its connections are not taken.
            assert await to.fails(route="other") == ("upstream_certificate_invalid", "no")


async def test_a_look_at_the_certificate_leaves_a_connection_for_the_request(tmp_path):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    async with scripted(answering(), tls=context) as gateway:
        trusting = gateway.url, ONCE + 'ca = "ca.pem"'
        async with sending(tmp_path, gateway=trusting) as to:
            assert await to.client.certificate(to.routes["gateway"]) is not None
            assert await to.send() == (200, b"ok")
            assert gateway.connections == 1


async def test_a_closed_client_keeps_nothing(tmp_path):
    async with scripted(answering()) as gateway, sending(tmp_path, gateway=(gateway.url, ONCE)) as to:
        answer = await to.client.send(to.routes["gateway"], "POST", Message(BODY, path="/"))
        await to.client.close()
        answer.release()
        await asyncio.wait_for(gateway.ended.wait(), 5)
        assert answer.flight.connection.reader.state is State.DONE


async def test_an_upstream_that_is_not_there(tmp_path):
    async with scripted(answering()) as gateway:
        url = gateway.url
    async with sending(tmp_path, gateway=(url, ONCE)) as to:
        assert await to.fails() == ("upstream_unreachable", "no")
    async with sending(tmp_path, gateway=("https://does-not-exist.invalid", ONCE)) as to:
        with pytest.raises(UpstreamError, match="upstream_unreachable"):
            await to.send()
