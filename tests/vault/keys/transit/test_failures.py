"""An OpenBao that is away is unavailable, not wrong; it is used again by itself when it is back."""

from __future__ import annotations

import asyncio
import json

import pytest
from aiohttp import web

from tests.harness.openbao import running
from tests.harness.stalling import relay
from vault.errors import KeyProviderUnavailable, KeyUnavailable
from vault.key_settings import TransitSettings
from vault.keys.transit import TransitKeyProvider

KEY = b"0123456789abcdef0123456789abcdef"
KEK = "transit:transit/panless:v1"


async def test_sealed_and_stopped_is_unavailable_and_works_again_by_itself(tmp_path):
    async with running(tmp_path, tls=False) as server:
        provider = TransitKeyProvider(TransitSettings(server.url, "panless", lambda: server.root, timeout=10))
        wrapped = await provider.wrap(KEK, KEY, b"")
        await server.seal()
        await refused(provider, wrapped, "sealed")
        await server.unseal()
        assert await provider.unwrap(KEK, wrapped, b"") == KEY
        await server.stop()
        await refused(provider, wrapped, "connection failed")
        await server.start()
        await refused(provider, wrapped, "sealed")
        await server.unseal()
        assert await provider.unwrap(KEK, wrapped, b"") == KEY
        await provider.health()
        await provider.close()


async def refused(provider: TransitKeyProvider, wrapped: bytes, reason: str) -> None:
    calls = (provider.wrap(KEK, KEY, b""), provider.unwrap(KEK, wrapped, b""), provider.newest(), provider.make(None))
    for call in (*calls, provider.health(), provider.destroy(KEK)):
        with pytest.raises(KeyProviderUnavailable, match=reason):
            await call


async def test_a_server_that_stalls_is_given_up_and_used_again(bao, name):
    kek = f"transit:transit/{name}:v1"
    async with relay(bao.port) as between:
        address = f"https://127.0.0.1:{between.port}"
        provider = TransitKeyProvider(TransitSettings(address, name, lambda: bao.root, ca=bao.ca, timeout=0.5))
        wrapped = await provider.wrap(kek, KEY, b"")
        between.stalled, between.seen = True, 0
        calls = (provider.unwrap(kek, wrapped, b""), provider.wrap(kek, KEY, b""), provider.newest())
        for outcome in await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 30):
            assert isinstance(outcome, KeyProviderUnavailable)
            assert "no answer within 0.5 seconds" in str(outcome)
        assert between.seen  # the calls were on their way
        between.stalled = False
        between.cut()
        assert await provider.unwrap(kek, wrapped, b"") == KEY
        await provider.close()


async def test_a_connection_that_was_cut_while_idle_is_not_noticed(bao, name):
    kek = f"transit:transit/{name}:v1"
    async with relay(bao.port) as between:
        address = f"https://127.0.0.1:{between.port}"
        provider = TransitKeyProvider(TransitSettings(address, name, lambda: bao.root, ca=bao.ca, timeout=10))
        wrapped = await provider.wrap(kek, KEY, b"")
        between.cut()
        assert await provider.unwrap(kek, wrapped, b"") == KEY
        await provider.close()


CANARY = "canary-of-an-answer"
ODD = {
    "redirect": (307, "{}", KeyProviderUnavailable),
    "limited": (429, CANARY, KeyProviderUnavailable),
    "failed": (500, CANARY, KeyProviderUnavailable),
    "gateway": (502, CANARY, KeyProviderUnavailable),
    "standby": (473, CANARY, KeyProviderUnavailable),
    "not JSON": (200, CANARY, KeyProviderUnavailable),
    "cut JSON": (200, f'{{"data": {{"plaintext": "{CANARY}', KeyProviderUnavailable),
    "not an object": (200, f'["{CANARY}"]', KeyUnavailable),
    "no data": (200, json.dumps({"data": CANARY}), KeyUnavailable),
    "no key": (200, json.dumps({"data": {"plaintext": CANARY, "ciphertext": CANARY}}), KeyUnavailable),
    "numbers": (200, json.dumps({"data": {"plaintext": 1, "ciphertext": 1}}), KeyUnavailable),
    "another version": (200, json.dumps({"data": {"plaintext": "!", "ciphertext": "vault:v2:AAAA"}}), KeyUnavailable),
    "no content": (204, "", KeyUnavailable),
    "refused": (400, json.dumps({"errors": [CANARY]}), KeyUnavailable),
    "huge": (200, " " * 10**6 + "{}", KeyProviderUnavailable),
}


@pytest.mark.parametrize("case", ODD)
async def test_odd_answers_are_refused_and_not_shown(case):
    status, text, error = ODD[case]
    paths: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        paths.append(request.path)
        return web.Response(status=status, text=text, headers={"Location": "/elsewhere"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    provider = TransitKeyProvider(TransitSettings(f"http://127.0.0.1:{port}", "panless", lambda: "s.token"))
    try:
        for call in (provider.wrap(KEK, KEY, b""), provider.unwrap(KEK, b"vault:v1:AAAA", b""), provider.newest()):
            with pytest.raises(error) as caught:
                await call
            assert type(caught.value) is error
            assert CANARY not in str(caught.value)
            assert caught.value.__cause__ is None
        assert "/elsewhere" not in paths
    finally:
        await provider.close()
        await runner.cleanup()
