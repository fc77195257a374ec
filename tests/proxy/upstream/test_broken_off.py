"""What breaks off half-way: an answer that is cut never looks whole, and nothing of one request reaches another."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct

import pytest
import trustme

from proxy.errors import BodyIncomplete, UpstreamError
from proxy.rewrite.message import Message
from proxy.upstream.flight import body_of, read_answer
from tests.harness.scripted import OK, request, scripted
from tests.harness.sending import BODY, sending
from tests.harness.waiting import until

ONCE = "retries = { attempts = 1 }\n"
UNFRAMED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"


def reset(writer: asyncio.StreamWriter) -> None:
    """Break off with a reset, as a crash or a middlebox does."""
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


async def _true(value: object) -> bool:
    return bool(value)


async def test_an_answer_that_a_reset_cuts_is_not_whole(tmp_path):
    async def script(reader, writer):
        await request(reader)
        writer.write(UNFRAMED + b'{"status": "declined", ')
        await writer.drain()
        await came.wait()
        reset(writer)

    came = asyncio.Event()
    async with scripted(script) as gateway, sending(tmp_path, gateway=(gateway.url, ONCE)) as to:
        route = to.routes["gateway"]
        async with await to.client.send(route, "POST", Message(BODY, path="/")) as answer:
            came.set()
            with pytest.raises(UpstreamError, match="upstream_answer_invalid"):
                _ = [piece async for piece in read_answer(answer, route)]


async def test_an_answer_by_tls_that_ends_without_close_notify_is_not_whole(tmp_path):
    """Anybody on the way can end a connection; that the gateway has ended its answer, only TLS can say."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    cut = asyncio.Event()

    async def script(reader, writer):
        await request(reader)
        writer.write(UNFRAMED + b'{"status": "declined", ')
        if not is_cutting:
            return
        await writer.drain()
        cut.set()
        await reader.read()

    async with scripted(script, tls=context) as gateway:
        port = int(gateway.url.rpartition(":")[2])

        async def between(reader, writer):
            inner, outer = await asyncio.open_connection("127.0.0.1", port)
            tasks = [asyncio.create_task(_pass(reader, outer)), asyncio.create_task(_pass(inner, writer))]
            if is_cutting:
                await cut.wait()
                await asyncio.wait(tasks, timeout=0.2)
            else:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for each in (*tasks, writer, outer):
                each.cancel() if isinstance(each, asyncio.Task) else each.close()

        wire = await asyncio.start_server(between, "127.0.0.1", 0)
        url = f"https://127.0.0.1:{wire.sockets[0].getsockname()[1]}"
        async with sending(tmp_path, gateway=(url, ONCE + 'ca = "ca.pem"')) as to:
            is_cutting = False
            assert await to.send() == (200, b'{"status": "declined", ')
            is_cutting = True
            assert await to.fails() == ("upstream_answer_invalid", "yes")
        wire.close()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(65536):
        writer.write(piece)


async def test_an_upload_that_fails_does_not_make_the_answer_whole(tmp_path):
    """Half a body is out, so the connection is closed, by ourselves: that is no end of an answer."""
    fails = asyncio.Event()

    async def script(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(UNFRAMED + b"first,")
        await reader.read()

    async def body():
        yield b"x"
        await fails.wait()
        raise BodyIncomplete

    async with scripted(script) as gateway, sending(tmp_path, gateway=(gateway.url, ONCE)) as to:
        route = to.routes["gateway"]
        said = Message(b"", path="/", headers=(("Content-Length", "1000"),))
        async with await to.client.send(route, "POST", said, body()) as answer:
            fails.set()
            await gateway.ended.wait()
            with pytest.raises(UpstreamError):
                _ = [piece async for piece in read_answer(answer, route)]


async def test_a_connection_with_half_a_body_out_is_not_given_to_the_next_request(tmp_path):
    """The answer came early; the upload breaks off, the answer is released, another request goes: in one turn."""
    got = bytearray()
    breaks = asyncio.Event()

    async def script(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        while piece := await reader.read(65536):
            got.extend(piece)

    async def body():
        yield b"x" * 10
        await breaks.wait()
        raise BodyIncomplete

    async with scripted(script) as gateway, sending(tmp_path, gateway=(gateway.url, ONCE)) as to:
        route = to.routes["gateway"]
        said = Message(b"", path="/", headers=(("Content-Length", "1000"),))
        answer = await to.client.send(route, "POST", said, body())
        assert [piece async for piece in read_answer(answer, route)] == [b"ok"]

        async def release() -> None:
            await breaks.wait()
            answer.release()

        async def other() -> None:
            await breaks.wait()
            assert (await to.send())[0] == 200

        both = asyncio.gather(release(), other())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        breaks.set()
        await both
        assert gateway.connections == 2
        assert bytes(got[:10]) == b"x" * 10
        assert b"POST" not in got


async def test_a_request_does_not_wait_behind_the_rest_of_another_ones_body(tmp_path):
    """The gateway answered early and takes no more: what is left of that body would stand before the next request."""

    async def script(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await done.wait()

    done = asyncio.Event()
    async with scripted(script) as gateway, sending(tmp_path, gateway=(gateway.url, ONCE)) as to:
        route = to.routes["gateway"]
        async with await to.client.send(route, "POST", Message(b"x" * 20_000_000, path="/")) as answer:
            assert body_of(answer, route) == b"ok"
        assert await to.send() == (200, b"ok")
        assert gateway.connections == 2
        done.set()


async def test_time_for_the_head_is_over_once_the_head_is_there(tmp_path):
    """The first byte came in time; who reads the body a little later gets it, and no time-out."""

    async def script(reader, writer):
        await request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
        await late.wait()
        writer.write(b"ok")
        await reader.read()

    late = asyncio.Event()
    times = "timeouts = { first_byte = 0.2 }\n"
    async with scripted(script) as gateway, sending(tmp_path, gateway=(gateway.url, ONCE + times)) as to:
        route = to.routes["gateway"]
        async with await to.client.send(route, "POST", Message(BODY, path="/")) as answer:
            await asyncio.sleep(0.4)
            late.set()
            assert b"".join([piece async for piece in read_answer(answer, route)]) == b"ok"


async def test_a_client_that_reads_nothing_keeps_no_slot_for_longer_than_the_whole(tmp_path):
    async def script(reader, writer):
        await request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 30000000\r\n\r\n" + bytes(30_000_000))
        await reader.read()

    times = "timeouts = { whole = 0.5 }\nmax_in_flight = 1\n"
    async with scripted(script) as gateway, sending(tmp_path, gateway=(gateway.url, ONCE + times)) as to:
        route = to.routes["gateway"]
        async with await to.client.send(route, "GET", Message(path="/")) as answer:
            assert await to.fails() == ("upstream_busy", "no")
            await until(lambda: _true(to.value("panless_upstream_in_flight", upstream=gateway.url) == 0))
            with pytest.raises(UpstreamError, match="upstream_whole_timeout"):
                _ = [piece async for piece in read_answer(answer, route)]


async def test_tiny_chunks_are_read_together(tmp_path):
    """Each piece is a write to the client; a gateway must not make them as many as it likes."""

    async def script(reader, writer):
        await request(reader)
        chunks = b"1\r\nx\r\n" * 20_000
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
        await reader.read()

    async with scripted(script) as gateway, sending(tmp_path, gateway=(gateway.url, ONCE)) as to:
        route = to.routes["gateway"]
        async with await to.client.send(route, "GET", Message(path="/")) as answer:
            pieces = [piece async for piece in read_answer(answer, route)]
        assert b"".join(pieces) == b"x" * 20_000
        assert len(pieces) < 100
