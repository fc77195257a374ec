"""The demo's shop in a real browser: a card is paid with, and the page shows what everybody saw of it."""

from __future__ import annotations

import pytest

from proxy.sandbox.parts import running
from tests.harness.browser import frame_of, seen_by

GOOD, DECLINED = "4242424242424242", "4000000000000002"


@pytest.fixture(scope="module")
async def demo(tmp_path_factory):
    async with running(tmp_path_factory.mktemp("demo")) as parts:
        yield parts


async def paid(page, demo, number: str) -> str:
    await page.goto(demo.shop_url)
    await page.fill("#name", "Ada Lovelace")
    for name, text in (("number", number), ("expiry", "1240"), ("cvc", "123")):
        await page.wait_for_selector(f"#{name}.panless-empty iframe")
        await frame_of(page, name).locator("input:not([tabindex='-1'])").press_sequentially(text)
    await page.click("button")
    await page.locator("#audit tr").first.wait_for()
    return await page.inner_text("#message")


async def test_what_everybody_saw_stands_side_by_side(page, demo, witness):
    assert "succeeded" in await paid(page, demo, GOOD)
    shop, gateway = await page.inner_text("#shop"), await page.inner_text("#gateway")
    assert '"token": "tok_' in shop and '"cvc": "cvc_' in shop and '"last4": "4242"' in shop
    assert "424242••••••4242" in gateway
    assert demo.gateway.received[-1]["card"]["number"] == GOOD
    rows = [row.split("\t") for row in (await page.inner_text("#audit")).splitlines()]
    assert [(row[1], row[2], row[4]) for row in rows] == [
        ("tokenize", "customer's browser", "permitted"),
        ("reveal", "demo-shop", "permitted"),
    ]
    assert GOOD not in await seen_by(page, witness, demo.shop_url)
    assert witness.complaints == []


async def test_a_declined_card_is_told(page, demo):
    assert await paid(page, demo, DECLINED) == "The payment was not made: declined."
