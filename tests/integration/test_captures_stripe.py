"""Forms that Stripe's SDK sent once, sent again with tokens: the gateway gets the bytes of the capture."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import unquote_plus

import aiohttp
import pytest

from tests.conftest import World
from tests.harness import configuration
from tests.harness.process import serving
from tests.harness.upstream import Received, recording

CAPTURES = Path(__file__).parent.parent / "captures"
VALUE = re.compile(rb"(\bcard\]?\[(number|cvc)\]=)([^&]*)")
FORM = "application/x-www-form-urlencoded"
STRIPE = """
[[outbound]]
name = "stripe"
preset = "stripe"
path = "/stripe/"
upstream = "{gateway}/"
apps = ["shop"]
credential = {{ secret = "env:STRIPE_SECRET_KEY" }}
"""


def capture(file: Path) -> Received:
    head, _, body = file.read_bytes().partition(b"\r\n\r\n")
    return Received(head, body)


FILES = {
    file.stem: received
    for file in sorted(CAPTURES.glob("stripe*.http"))
    if (received := capture(file)).header("Content-Type") == FORM
}


@pytest.fixture(scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with recording() as app, recording() as gateway:
        extra = STRIPE.format(gateway=gateway.url)
        config = configuration.write(tmp_path_factory.mktemp("captures"), app.url, gateway.url, extra=extra)
        async with serving(config, {"STRIPE_SECRET_KEY": "sk_test_x"}) as process, aiohttp.ClientSession() as client:
            yield World(process, app, gateway, client, await process.add_app("shop"), "")


def card_of(form: bytes) -> dict[str, str]:
    """Return what the form says of a card: its number as plain digits, and its code."""
    typed = {name.decode(): unquote_plus(value.decode()) for _, name, value in VALUE.findall(form)}
    return {name: "".join(str(int(char)) for char in text if char.isdigit()) for name, text in typed.items()}


def with_card(form: bytes, card: dict[str, str]) -> bytes:
    return VALUE.sub(lambda match: match[1] + card[match[2].decode()].encode(), form)


@pytest.mark.parametrize("sent", FILES.values(), ids=FILES.keys())
async def test_the_gateway_gets_the_captured_form(shop, sent):
    card = card_of(sent.body)
    assert bool(card) == (b"card[number]" in sent.body or b"[card][number]" in sent.body)
    tokens = await shop.tokens(card["number"], card.get("cvc")) if card else {}
    url = f"{shop.outbound}/stripe{sent.target}"
    headers = {"Authorization": f"Bearer {shop.key}", "Content-Type": FORM}
    async with shop.client.post(url, data=with_card(sent.body, tokens), headers=headers) as answer:
        assert answer.status == 200, await answer.text()
    # The capture itself, but that a number goes on as plain digits, however it was typed.
    assert shop.gateway.last.body == with_card(sent.body, card)
    assert shop.gateway.last.header("Authorization") == sent.header("Authorization")


def test_captures_with_and_without_a_card_are_sent():
    assert {"stripe", "stripe-payment-intent", "stripe-ideal"} <= FILES.keys()
