"""Stopping: requests in tunnels end, whatever is idle or half done does not hold it up. And TLS around the tunnel."""

from __future__ import annotations

import asyncio
import os
import signal
import ssl

import pytest
import trustme

from proxy.app import Panless
from proxy.config import load
from proxy.edge import connection
from tests.harness import configuration
from tests.harness.forward import HOST, LISTEN, Client, ForwardWorld, forwarding, proxy_authorization, routes
from tests.harness.process import serving
from tests.harness.upstream import Answer, recording

# Longer than the harness waits: whatever held the stop up would be noticed.
PATIENT = "[limits]\nstop_seconds = 600\n"
REQUEST = f"GET /slow HTTP/1.1\r\nHost: {HOST}\r\n\r\n"


async def _tunnel(world: ForwardWorld) -> Client:
    client = await Client.connect(world)
    assert (await client.tunnel(f"{HOST}:443", proxy_authorization(world.key))).status == 200
    await client.tls(world.trusting())
    return client


async def _idle(world: ForwardWorld) -> list[Client]:
    """Open what may be open when a stop comes: nothing sent, half a head, no handshake, a refusal, idle tunnels."""
    silent, half, shaking, refused, used = [await Client.connect(world) for _ in range(5)]
    half.writer.write(b"CONNECT ")
    assert (await shaking.tunnel()).status == 200
    assert (await refused.tunnel("nowhere.example:443")).status == 403
    assert (await used.tunnel(f"{HOST}:443", proxy_authorization(world.key))).status == 200
    await used.tls(world.trusting())
    assert (await used.say(REQUEST)).status == 200
    return [silent, half, shaking, refused, used, await _tunnel(world)]


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
async def test_requests_in_flight_end_and_nothing_idle_holds_a_stop_up(tmp_path, loop, monkeypatch):
    # Not their own time-outs close them, in this process at least.
    monkeypatch.setattr(connection, "HEAD_SECONDS", 600)
    monkeypatch.setattr(connection, "HANDSHAKE_SECONDS", 600)
    async with forwarding(tmp_path, in_process=loop == "asyncio", head=PATIENT) as world:
        idle = await _idle(world)
        client = await _tunnel(world)
        arrived = asyncio.Event()

        def slow(_received) -> Answer:
            arrived.set()
            return Answer(body=b"whole", delay=0.5)

        world.gateway.answer = slow
        client.writer.write(REQUEST.encode())
        await asyncio.wait_for(arrived.wait(), 20)
        if world.process is not None:
            os.kill(world.process.pid, signal.SIGTERM)
            answer = await client.answer()
            assert await world.process.stop() == 0
        else:
            stopping = asyncio.create_task(world.running.stop())
            answer = await client.answer()
            await asyncio.wait_for(stopping, 60)
        assert (answer.status, answer.body) == (200, b"whole")
        for each in (client, *idle):
            await each.rest()
            each.close()


async def test_a_proxy_can_be_reached_over_tls_itself(tmp_path):
    """TLS to the proxy, and TLS to the host inside it; on both loops."""
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    head = LISTEN + 'tls = { cert = "server.pem", key = "server.pem" }\n'
    async with recording() as app, recording() as gateway:
        config = configuration.write(tmp_path, app.url, gateway.url, head=head, extra=routes(gateway.url))
        async with serving(config) as process:
            await _through_tls(ForwardWorld(config, process.urls, app, gateway, process=process), authority)
        running = Panless(load(config))
        await running.start()
        try:
            await _through_tls(ForwardWorld(config, running.urls, app, gateway), authority)
        finally:
            await running.stop()
    assert len(gateway.received) == 2


async def _through_tls(world: ForwardWorld, authority: trustme.CA) -> None:
    await world.learn()
    assert world.urls["forward"].startswith("https://")
    outer = ssl.create_default_context()
    authority.configure_trust(outer)
    client = await Client.connect(world, ssl=outer)
    assert (await client.tunnel("nowhere.example:443")).status == 403
    assert (await client.tunnel(f"{HOST}:443", proxy_authorization(world.key))).status == 200
    await client.tls(world.trusting())
    assert (await client.say(REQUEST)).status == 200
    client.close()
