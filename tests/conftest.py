"""Fixtures: one Panless for the tests that do not break it, between two recording upstreams."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from tests.harness import configuration
from tests.harness.commands import alone
from tests.harness.guarded import routes as guarded_routes
from tests.harness.process import PanlessProcess, serving
from tests.harness.upstream import RecordingUpstream, recording


@dataclass
class World:
    """A running Panless, the application and the gateway around it, and an HTTP client."""

    panless: PanlessProcess
    app: RecordingUpstream
    gateway: RecordingUpstream
    client: aiohttp.ClientSession
    key: str
    foreign_key: str

    @property
    def inbound(self) -> str:
        return self.panless.urls["inbound"]

    @property
    def outbound(self) -> str:
        return self.panless.urls["outbound"]

    @property
    def admin(self) -> str:
        return self.panless.urls["admin"]

    async def tokens(self, number: str = "4242424242424242", cvc: str | None = "123", path: str = "/checkout") -> dict:
        """Post a card and return the `card` object that the application received."""
        card = {"number": number} | ({"cvc": cvc} if cvc else {})
        async with self.client.post(self.inbound + path, json={"card": card}) as answer:
            assert answer.status == 200, await answer.text()
        return self.app.last.json()["card"]

    def charge(self, card: dict, **options):
        """Charge a card as the application `shop` does; use it with `async with`."""
        headers = {"Panless-Key": self.key} | options.pop("headers", {})
        return self.client.post(f"{self.outbound}/gateway/charges", json={"card": card}, headers=headers, **options)


@pytest.fixture
def own_interpreter() -> Iterator[None]:
    """Panless is started as a shell starts it, not forked: for tests of what a process is, and of its start."""
    with alone():
        yield


@pytest.fixture(scope="session")
async def shared_world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    folder: Path = tmp_path_factory.mktemp("shared")
    async with recording() as app, recording() as gateway:
        config = configuration.write(folder, app.url, gateway.url, head=SMALL_LIMITS)
        async with serving(config) as panless, aiohttp.ClientSession() as client:
            key = await panless.add_app("shop")
            foreign_key = await panless.add_app("foreign", tenant="other")
            yield World(panless, app, gateway, client, key, foreign_key)


SMALL_LIMITS = """
[limits]
body_bytes = 65536
answer_bytes = 65536
body_seconds = 1
"""


@pytest.fixture(scope="session")
async def shared_guarded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    folder: Path = tmp_path_factory.mktemp("guarded")
    async with recording() as app, recording() as gateway:
        config = configuration.write(folder, app.url, gateway.url, extra=guarded_routes(app.url, gateway.url))
        async with serving(config) as panless, aiohttp.ClientSession(auto_decompress=False) as client:
            yield World(panless, app, gateway, client, await panless.add_app("shop"), "")


@pytest.fixture
def guarded(shared_guarded: World) -> World:
    """The world of `tests.harness.guarded`, with nothing recorded yet."""
    shared_guarded.app.reset()
    shared_guarded.gateway.reset()
    return shared_guarded


@pytest.fixture
def world(shared_world: World) -> World:
    """The shared world with nothing recorded yet."""
    shared_world.app.reset()
    shared_world.gateway.reset()
    return shared_world
