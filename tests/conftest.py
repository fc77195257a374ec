"""Fixtures: one Panless for the tests that do not break it, between two recording upstreams."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.harness import configuration
from tests.harness.commands import alone
from tests.harness.guarded import routes as guarded_routes
from tests.harness.payments import Payments, payments
from tests.harness.process import serving
from tests.harness.upstream import recording
from tests.harness.world import World


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


@pytest.fixture(scope="module")
async def shared_payments(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Payments]:
    async with payments(tmp_path_factory.mktemp("payments")) as shared:
        yield shared


@pytest.fixture
def paying(shared_payments: Payments) -> Payments:
    """A shop that pays, the same for all tests of a file, with nothing recorded yet."""
    shared_payments.app.reset()
    shared_payments.gateway.reset()
    return shared_payments
