"""A shop's page of ten lines takes a card."""

from __future__ import annotations

import json

from tests.harness.browser import frame_of
from tests.harness.shop_page import CHECKOUT


async def test_ten_lines_take_a_card(page, shop, witness):
    assert len(CHECKOUT.strip().splitlines()) == 10
    await page.goto(shop.url)
    await page.fill("#holder", "Ada Lovelace")
    for name, typed in (("number", "4242424242424242"), ("expiry", "1230"), ("cvc", "123")):
        box = page.frame_locator(f"#{name} iframe").locator(f"input[name={name}]")
        await box.press_sequentially(typed)
    await page.click("button")
    await page.locator("#result", has_text="Paid").wait_for()
    paid = json.loads(shop.paid[0])
    print(paid, witness.console, witness.complaints, witness.strangers)
    print(await frame_of(page, "number").evaluate("document.querySelector('input').value"))
    assert paid["token"].startswith("tok_") and paid["cvc"].startswith("cvc_")
    await page.screenshot(path="/tmp/fieldsjs/a.png")
