"""Time-outs by phase, on real sockets: each has its code, and says whether anything was sent."""

from __future__ import annotations

import asyncio
import socket
import ssl

import pytest
import trustme
import uvloop

from proxy.rewrite.message import Message
from proxy.upstream.flight import read_answer
from tests.harness.fault_plan import Fault
from tests.harness.faulty_gateway import faulty
from tests.harness.loopback import full_backlog
from tests.harness.sending import BODY, sending

ONCE = "retries = { attempts = 1 }\n"
CHUNK = 2**20


@pytest.fixture(scope="module")
async def gateway():
    async with faulty() as made:
        yield made


def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return context


async def test_connect(tmp_path):
    with full_backlog() as port:
        settings = ONCE + "timeouts = { connect = 0.1 }"
        async with sending(tmp_path, gateway=(f"http://127.0.0.1:{port}", settings)) as to:
            assert await to.fails() == ("upstream_connect_timeout", "no")


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_tls(tmp_path, run):
    async def handshakes() -> None:
        async with faulty(tls=_tls()) as stalled:
            settings = ONCE + "timeouts = { tls = 0.1, connect = 30, first_byte = 30 }"
            async with sending(tmp_path, gateway=(stalled.url, settings)) as to:
                stalled.will(Fault("tls_stall"), Fault("tls_reset"), Fault("tls_stall"))
                assert await to.fails() == ("upstream_tls_timeout", "no")
                # A connection that breaks while it is being made says nothing about the certificate.
                assert await to.fails() == ("upstream_unreachable", "no")
                with pytest.raises(Exception, match="upstream_tls_timeout"):
                    await to.client.certificate(to.routes["gateway"])
                assert await to.fails() == ("upstream_certificate_invalid", "no")
            assert stalled.received == []

    run(handshakes())


@pytest.mark.parametrize("fault", [Fault("hang_before"), Fault("hang_after", at=0), Fault("hang_after", at=25)])
async def test_first_byte(tmp_path, gateway, fault):
    gateway.will(fault)
    settings = ONCE + "timeouts = { first_byte = 0.1, between_bytes = 30 }"
    async with sending(tmp_path, gateway=(gateway.url, settings)) as to:
        assert await to.fails() == ("upstream_first_byte_timeout", "maybe")


async def test_between_bytes_of_the_answer(tmp_path, gateway):
    gateway.will(Fault("hang_after", at=120))
    settings = ONCE + "timeouts = { first_byte = 30, between_bytes = 0.1 }"
    async with sending(tmp_path, gateway=(gateway.url, settings)) as to:
        assert await to.fails() == ("upstream_stalled", "yes")


async def test_a_slow_answer_that_goes_on_is_not_stalled_but_ends_with_the_whole(tmp_path, gateway):
    gateway.will(Fault("drip", seconds=0.002))
    async with sending(tmp_path, gateway=(gateway.url, ONCE + "timeouts = { between_bytes = 0.3 }")) as to:
        assert (await to.send())[0] == 200
    gateway.will(Fault("drip", seconds=0.01))
    async with sending(tmp_path, gateway=(gateway.url, ONCE + "timeouts = { whole = 0.2 }")) as to:
        assert await to.fails() == ("upstream_whole_timeout", "maybe")
    gateway.will(Fault("hang_after", at=120))
    async with sending(tmp_path, gateway=(gateway.url, ONCE + "timeouts = { whole = 0.2 }")) as to:
        assert await to.fails() == ("upstream_whole_timeout", "yes")


async def test_the_whole_is_for_all_attempts(tmp_path, gateway):
    gateway.will(always=Fault("hang_before"))
    settings = "timeouts = { whole = 0.9, first_byte = 0.6 }\nretries = { base_seconds = 0.001 }"
    async with sending(tmp_path, gateway=(gateway.url, settings)) as to:
        assert await to.fails(key="k") == ("upstream_whole_timeout", "maybe")
        assert gateway.connections == 2


async def test_an_upload_keeps_the_first_byte_timer_from_running(tmp_path, gateway):
    async def slowly():
        for piece in (BODY[:20], BODY[20:]):
            await asyncio.sleep(0.35)
            yield piece

    gateway.will()
    settings = ONCE + "timeouts = { first_byte = 0.3, between_bytes = 0.3, connect = 0.3 }"
    async with sending(tmp_path, gateway=(gateway.url, settings)) as to:
        assert (await to.send(body=slowly()))[0] == 200
        gateway.will(Fault("hang_before"))
        assert await to.fails(body=slowly()) == ("upstream_first_byte_timeout", "maybe")


async def test_an_upstream_that_takes_no_more_of_an_upload_is_stalled(tmp_path):
    async def much():
        while True:
            yield b"0" * CHUNK

    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(1)
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        async with sending(tmp_path, gateway=(url, ONCE + "timeouts = { between_bytes = 0.1 }")) as to:
            assert await to.fails(body=much()) == ("upstream_stalled", "maybe")


async def test_a_client_that_is_slow_to_read_is_not_the_upstreams_stall(tmp_path, gateway):
    gateway.will()
    async with sending(tmp_path, gateway=(gateway.url, ONCE + "timeouts = { between_bytes = 0.05 }")) as to:
        route = to.routes["gateway"]
        async with await to.client.send(route, "POST", Message(BODY, path="/v1/charges")) as answer:
            pieces = []
            async for piece in read_answer(answer, route):
                pieces.append(piece)
                await asyncio.sleep(0.15)
        assert b"succeeded" in b"".join(pieces)
