"""One browser, one Panless and one shop for all tests of a process."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

import pytest

sys.path.insert(0, "/tmp/fieldsjs")
import standin

from tests.harness.browser import Witness, browsing, left_out, watched
from tests.harness.shop_page import Shop, selling


@pytest.fixture(scope="session")
async def browser():
    if left_out():
        pytest.skip("there is no Chromium")
    async with browsing() as started:
        yield started


@pytest.fixture(scope="session")
async def shop():
    import socket

    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    async with standin.standing() as s:
        s.origins = [f"http://localhost:{port}"]
        sh = Shop(s.url, f"{s.url}/panless/0.1.0/panless.js", standin.KEY)
        async with selling(sh, port):
            yield sh


@pytest.fixture
async def witness(browser, shop) -> AsyncIterator[Witness]:
    shop.paid.clear()
    async with watched(browser) as seen:
        yield seen


@pytest.fixture
async def page(witness: Witness):
    return await witness.context.new_page()
