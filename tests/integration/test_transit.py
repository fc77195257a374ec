"""`panless serve` over a real OpenBao, by its configuration alone: sealed, unsealed, revoked, its token replaced."""

from __future__ import annotations

import asyncio
import json

import aiohttp

from tests.harness import configuration
from tests.harness.openbao import running
from tests.harness.process import serving
from tests.harness.upstream import recording

CARD = {"card": {"number": "4242424242424242"}}


async def test_a_panless_over_openbao_says_what_is_wrong_and_recovers(tmp_path):
    (tmp_path / "bao").mkdir()
    async with recording() as app, running(tmp_path / "bao") as server, aiohttp.ClientSession() as client:
        token = tmp_path / "token"
        token.write_text(await server.token() + "\n")
        head = (
            f'[keys]\nprovider = "transit"\naddress = "{server.url}"\nca = "bao/ca.pem"\ntoken = "file:token"\n'
            "cache_seconds = 1\n"
        )
        config = configuration.write(tmp_path, app.url, app.url, head=head)
        async with serving(config) as panless:

            async def ready() -> tuple[int, str]:
                async with client.get(f"{panless.urls['admin']}/readyz") as answer:
                    return answer.status, await answer.text()

            async def pay() -> tuple[int, str | None]:
                async with client.post(f"{panless.urls['inbound']}/checkout", json=CARD) as answer:
                    return answer.status, answer.headers.get("Panless-Error")

            assert await ready() == (200, '{"status": "ready"}')
            assert await pay() == (200, None)
            await server.seal()
            status, text = await ready()
            assert (status, json.loads(text)["code"]) == (503, "key_provider_unavailable")
            async with asyncio.timeout(30):  # what is in memory works for a second
                while (answered := await pay()) == (200, None):
                    await asyncio.sleep(0.1)
            assert answered == (503, "key_provider_unavailable")
            await server.unseal()
            assert await pay() == (200, None)
            await server.call("POST", "auth/token/revoke", {"token": token.read_text().strip()})
            status, text = await ready()
            assert (status, json.loads(text)["code"]) == (503, "key_unavailable")
            token.write_text(await server.token())
            assert (await ready())[0] == 200
            assert await pay() == (200, None)
        assert "4242424242424242" not in panless.log
        assert server.root not in panless.log
        assert token.read_text() not in panless.log
