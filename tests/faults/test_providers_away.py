"""Each key provider is taken away and brought back, twice, while 50 customers buy.

What is in memory works on. What is not is refused with 503 and the provider's code: nothing is forwarded or written
for it, and afterwards all is well again by itself.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from tests.harness import configuration, providers
from tests.harness.custodians import HEAD, ceremony, unseal
from tests.harness.embedded import value
from tests.harness.process import PanlessProcess, panless, serving
from tests.harness.shopping import Shopping, echo_tokens, shopping
from tests.harness.upstream import RecordingUpstream, recording

PATIENCE = 40
STOPPING = {(503, "shutting_down")}
NOWHERE = "http://127.0.0.1:1"
LEFT = "SELECT count(*) FROM data_keys JOIN keks ON keks.id = data_keys.kek WHERE keks.state <> 'active'"
UP = re.compile(r"^panless_key_providers_up (\d)", re.MULTILINE)


@dataclass
class Shop:
    """A Panless between its application and its gateway."""

    panless: PanlessProcess
    key: str
    app: RecordingUpstream
    gateway: RecordingUpstream

    def customers(self) -> AbstractAsyncContextManager[Shopping]:
        return shopping(self.panless, self.key, patient=True, paused=2)

    async def ready(self) -> tuple[int, str | None]:
        async with aiohttp.ClientSession() as client, client.get(f"{self.panless.urls['admin']}/readyz") as answer:
            return answer.status, (await answer.json()).get("code")

    async def up(self) -> str:
        async with aiohttp.ClientSession() as client, client.get(f"{self.panless.urls['admin']}/metrics") as answer:
            return UP.search(await answer.text())[1]

    async def rotate(self, *arguments: str, stdin: bytes = b"") -> None:
        done = await self.panless.command("keys", "rotate", "kek", *arguments, stdin=stdin)
        assert done.code == 0, done.err
        assert await value(self.panless.config, LEFT) == 0

    async def cannot_rotate(self, code: str, *arguments: str) -> None:
        done = await self.panless.command("keys", "rotate", "kek", *arguments)
        assert (done.code, f"[{code}]" in done.err) == (1, True), done.err
        assert "Traceback" not in done.err

    async def configure(self, head: str) -> None:
        """Start Panless again with other providers."""
        configuration.write(self.panless.config.parent, self.app.url, self.gateway.url, head=head)
        await self.panless.restart()

    async def balanced(self, shop: Shopping, refusals: set[tuple[int, str]]) -> None:
        """Once the customers have left: nothing lost, nothing wrong, nothing done for a request that was refused."""
        assert not shop.wrong
        assert set(shop.refusals) - STOPPING == refusals, shop.refusals
        assert len(self.app.received) == shop.statuses["tokenize", 200]
        assert len(self.gateway.received) == shop.statuses["reveal", 200]
        assert await value(self.panless.config, "SELECT count(*) FROM tokens") == len(shop.tokens)
        shop.statuses.clear()
        await shop.charge_all()
        assert shop.statuses == {("reveal", 200): len(shop.tokens)}
        assert not shop.wrong
        verified = await self.panless.command("audit", "verify")
        assert verified.code == 0, verified.out + verified.err


@asynccontextmanager
async def opened(folder: Path, head: str, env: Mapping[str, str] | None = None) -> AsyncIterator[Shop]:
    async with recording() as app, recording() as gateway:
        echo_tokens(app, gateway)
        config = configuration.write(folder, app.url, gateway.url, head=head)
        async with serving(config, env) as process:
            yield Shop(process, await process.add_app("shop"), app, gateway)


async def until(found: Callable[[], Awaitable[object]], wanted: object) -> None:
    async with asyncio.timeout(PATIENCE):
        while (last := await found()) != wanted:
            await asyncio.sleep(0.1)
    assert last == wanted


async def answered(shop: Shopping, status: int, number: int = 50) -> None:
    """Wait until so many more requests were answered like this."""
    least = shop.count(status) + number
    async with asyncio.timeout(PATIENCE):
        while shop.count(status) < least:
            await asyncio.sleep(0.05)


PROVIDED = [
    pytest.param(providers.transit, id="transit"),
    pytest.param(providers.aws_kms, id="aws_kms", marks=pytest.mark.long),
    pytest.param(providers.pkcs11, id="pkcs11", marks=pytest.mark.long),
]


@pytest.mark.parametrize("provided", PROVIDED)
async def test_a_provider_goes_away_twice_and_comes_back(provided, tmp_path):
    async with provided(_folder(tmp_path / "key provider")) as provider:
        heads = {seconds: f"[keys]\n{provider.keys}cache_seconds = {seconds}\n" for seconds in (600, 1)}
        async with (
            opened(tmp_path / "lasting", heads[600], provider.env) as lasting,
            opened(tmp_path / "brief", heads[1], provider.env) as brief,
        ):
            async with lasting.customers() as kept, brief.customers() as dropped:
                (away, back), (away_again, back_again) = provider.ways
                await _all_served(kept, dropped)
                await away()
                await _one_refused(lasting, brief, kept, dropped)
                await brief.cannot_rotate("key_provider_unavailable")
                await back()
                await _all_ready(lasting, brief)
                await _all_served(kept, dropped)
                await provider.offer()
                await brief.rotate()
                await away_again()
                await _one_refused(lasting, brief, kept, dropped)
                await until(lasting.up, "0")
                await back_again()
                await _all_ready(lasting, brief)
                await _all_served(kept, dropped)
                await until(lasting.up, "1")
            await lasting.balanced(kept, set())
            await brief.balanced(dropped, {(503, "key_provider_unavailable")})


async def _one_refused(lasting: Shop, brief: Shop, kept: Shopping, dropped: Shopping) -> None:
    for each in (lasting, brief):
        await until(each.ready, (503, "key_provider_unavailable"))
    await answered(dropped, 503)
    await answered(kept, 200)


async def _all_ready(*shops: Shop) -> None:
    for each in shops:
        await until(each.ready, (200, None))


async def _all_served(*shops: Shopping) -> None:
    await asyncio.gather(*(answered(each, 200) for each in shops))


@pytest.mark.long
async def test_custodians_seal_twice_and_unseal(tmp_path):
    folder = tmp_path / "shop"
    shares = await ceremony(configuration.write(folder, NOWHERE, NOWHERE, head=HEAD), folder / "first")
    async with opened(folder, HEAD) as sealed:
        config = sealed.panless.config
        await _unseal(config, shares[:3])
        others = await ceremony(config, folder / "second")
        async with sealed.customers() as shop:
            await _all_served(shop)
            assert (await panless("seal", "-c", config)).code == 0
            await until(sealed.ready, (503, "vault_sealed"))
            await answered(shop, 503)
            await sealed.cannot_rotate("kek_out_of_reach")
            await _unseal(config, shares[1:4])
            await _all_ready(sealed)
            await _all_served(shop)
            await _unseal(config, others[:3])
            await sealed.rotate(stdin="\n".join([*others[2:], *shares[2:]]).encode())
            assert (await panless("seal", "-c", config)).code == 0
            await answered(shop, 503)
            await _unseal(config, others[2:])
            await _all_ready(sealed)
            await _all_served(shop)
        await sealed.balanced(shop, {(503, "vault_sealed")})


async def _unseal(config: Path, shares: list[str]) -> None:
    """Custodians at three terminals."""
    for done in await asyncio.gather(*(unseal(config, words) for words in shares)):
        assert done.code == 0, done.err


@pytest.mark.long
async def test_a_file_goes_away_and_the_vault_moves_on_to_transit_and_an_hsm(tmp_path):
    kek, away = tmp_path / "kek", tmp_path / "away"
    file = f'provider = "file"\npath = "{kek}"\n'
    async with (
        AsyncExitStack() as stack,
        providers.pkcs11(_folder(tmp_path / "hsm")) as hsm,
        opened(tmp_path / "shop", f"[keys]\n{file}", hsm.env) as moving,
    ):
        bao = await stack.enter_async_context(providers.transit(_folder(tmp_path / "bao")))
        async with moving.customers() as shop:
            await _all_served(shop)
            for _ in range(2):
                kek.rename(away)
                await _all_served(shop)
                assert await moving.ready() == (200, None)  # the KEKs are in memory
                await moving.cannot_rotate("key_unavailable")
                assert not kek.exists()
                away.rename(kek)
            await moving.rotate()
            await moving.configure(f"[keys]\n{file}[[keys.also]]\n{bao.keys}")
            kek.rename(away)
            await moving.cannot_rotate("key_unavailable", "--to", "transit")
            assert not kek.exists()
            away.rename(kek)
            await moving.rotate("--to", "transit")
            await moving.configure(f"[keys]\n{bao.keys}[[keys.also]]\n{hsm.keys}")
            kek.unlink()
            await _all_served(shop)
            await moving.rotate("--to", "pkcs11")
            await moving.configure(f"[keys]\n{hsm.keys}")
            await stack.aclose()
            await _all_served(shop)
        assert await value(moving.panless.config, "SELECT count(*) FROM data_keys WHERE kek !~ '^pkcs11:'") == 0
        await moving.balanced(shop, set())


def _folder(path: Path) -> Path:
    path.mkdir()
    return path
