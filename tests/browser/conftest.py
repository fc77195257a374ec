"""One browser, one Panless and one shop for all tests of a process."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest
from playwright.async_api import Browser, Page

from proxy.cli.running import opened
from tests.harness import configuration
from tests.harness.browser import Witness, browsing, left_out, watched
from tests.harness.hosted import LISTEN, Hosted
from tests.harness.process import serving
from tests.harness.shop_page import Shop, selling
from tests.harness.upstream import recording
from vault.upkeep.publishable_keys import add_publishable_key

PLENTY = "[fields]\naddress_limit = { minute = 10000, hour = 10000, day = 10000 }\n"


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    if left_out():
        pytest.skip("there is no Chromium")
    async with browsing() as started:
        yield started


@pytest.fixture(scope="session")
async def hosted(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> AsyncIterator[Hosted]:
    folder = tmp_path_factory.mktemp("fields")
    async with recording() as app, recording() as gateway:
        config = configuration.write(folder, app.url, gateway.url, extra=PLENTY)
        config.write_text(config.read_text().replace("[listen]\n", f"[listen]\n{LISTEN}\n", 1))
        async with serving(config) as panless, aiohttp.ClientSession() as client:
            yield Hosted(panless, gateway, client, "", await panless.add_app("shop"))


@pytest.fixture(scope="session")
async def shared_shop(hosted: Hosted) -> AsyncIterator[Shop]:
    async with selling(Shop(hosted.url)) as started, opened(hosted.panless.config) as database:
        started.key = await add_publishable_key(database, "page", "default", [started.url])
        yield started


@pytest.fixture
def shop(shared_shop: Shop) -> Shop:
    """The shop, to which nothing was sent yet."""
    shared_shop.paid.clear()
    return shared_shop


@pytest.fixture(scope="session")
async def shared_witness(browser: Browser) -> AsyncIterator[Witness]:
    async with watched(browser) as seen:
        yield seen


@pytest.fixture
async def witness(shared_witness: Witness) -> AsyncIterator[Witness]:
    """What happens in the browser from now on. Whatever a test does in it, it stays on this machine."""
    shared_witness.forget()
    yield shared_witness
    assert shared_witness.strangers == []


@pytest.fixture
async def page(witness: Witness) -> AsyncIterator[Page]:
    opened_page = await witness.context.new_page()
    yield opened_page
    await opened_page.close()


@pytest.fixture
async def timed(browser: Browser, shop: Shop) -> AsyncIterator[Page]:
    """A page whose clock the test moves: a context of its own, for it is the clock of a whole one."""
    async with watched(browser) as seen:
        alone = await seen.context.new_page()
        await alone.clock.install(time=0)
        await alone.clock.pause_at(1000)  # it would go on by itself
        yield alone
        assert seen.strangers == []
