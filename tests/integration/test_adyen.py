"""The preset `adyen` with Adyen's own SDK, which takes no base address: it is told of a proxy and of an authority.

The SDK runs with no way out: a setting that it ignored would not reach the real gateway.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import Adyen
import aiohttp
import pytest
from Adyen.httpclient import HTTPClient

from tests.harness import configuration
from tests.harness.loopback import no_way_out
from tests.harness.process import panless, serving
from tests.harness.upstream import Answer, Received, recording
from tests.harness.world import World

SECRET = "AQE_dummy_of_the_gateway"
PAN = "4111111111111111"
PAID = {"pspReference": "TST1234567890123", "resultCode": "Authorised", "merchantReference": "order-1"}
ROUTE = """
[[outbound]]
name = "adyen"
preset = "adyen"
hosts = ["checkout-test.adyen.com", "pal-test.adyen.com"]
upstream = "{gateway}/"
apps = ["shop"]
credential = {{ secret = "env:ADYEN_KEY" }}
"""


@pytest.fixture(scope="module")
async def shared_shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with recording() as app, recording() as gateway:
        folder = tmp_path_factory.mktemp("adyen")
        head = '[listen.forward]\nbind = "127.0.0.1:0"\n'
        config = configuration.write(folder, app.url, gateway.url, head=head, extra=ROUTE.format(gateway=gateway.url))
        async with serving(config, {"ADYEN_KEY": SECRET}) as process, aiohttp.ClientSession() as client:
            exported = await panless("ca", "export", "--out", folder / "ca.pem", "-c", config)
            assert exported.code == 0, exported.err
            yield World(process, app, gateway, client, await process.add_app("shop"), "")


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    return no_way_out(monkeypatch)


@pytest.fixture
def shop(shared_shop: World, refused: list[object], monkeypatch: pytest.MonkeyPatch) -> World:
    """What an application sets is in its environment; its code stays as it is."""
    monkeypatch.setenv("HTTPS_PROXY", shared_shop.panless.urls["forward"])
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(shared_shop.panless.config.parent / "ca.pem"))
    shared_shop.app.reset()
    shared_shop.gateway.reset()
    shared_shop.gateway.answer = Answer(body=json.dumps(PAID).encode())
    return shared_shop


def sdk(key: str) -> Adyen.Adyen:
    return Adyen.Adyen(xapikey=key, platform="test", merchant_account="TestMerchant")


def payment(number: str, code: str | None) -> dict:
    card = {"type": "scheme", "number": number, "expiryMonth": "03", "expiryYear": "2030", "holderName": "J. Smith"}
    return {
        "amount": {"currency": "EUR", "value": 1000},
        "reference": "order-1",
        "merchantAccount": "TestMerchant",
        "returnUrl": "https://m.example/r",
        "paymentMethod": card | ({"cvc": code} if code else {}),
    }


async def pay(key: str, card: dict, **options):
    """Let the SDK, which blocks, pay in a thread."""
    request = payment(card["number"], card.get("cvc"))
    return await asyncio.to_thread(sdk(key).checkout.payments_api.payments, request, **options)


async def test_a_payment_reaches_the_gateway_as_if_the_sdk_had_the_card(shop):
    card = await shop.tokens(PAN, "737")
    paid = await pay(shop.key, card, idempotency_key="idem-1")
    assert (paid.status_code, paid.message) == (200, PAID)
    (received,) = shop.gateway.received
    assert received.json() == payment(PAN, "737")
    assert received.target.startswith("/v") and received.target.endswith("/payments")
    assert received.header("X-API-Key") == SECRET
    assert received.header("Idempotency-Key") == "idem-1"
    assert shop.key.encode() not in received.head


async def test_the_body_is_that_of_the_sdk_without_panless(shop):
    """The same call, once with the card and straight to the gateway, once with tokens and through Panless."""
    card = await shop.tokens(PAN, "737")
    await pay(shop.key, card)
    through = shop.gateway.last
    client = HTTPClient("shop ", "1")
    await asyncio.to_thread(client.request, "POST", shop.gateway.url, json=payment(PAN, "737"), xapikey=SECRET)
    assert through.body == shop.gateway.last.body


async def test_what_the_client_encrypted_passes(shop):
    request = payment(PAN, None)
    request["paymentMethod"] = {"type": "scheme", "encryptedCardNumber": "adyenjs_0_1_25$MT6ppy0FAMVMLH"}
    paid = await asyncio.to_thread(sdk(shop.key).checkout.payments_api.payments, request)
    assert paid.status_code == 200
    assert shop.gateway.last.json() == request


async def test_a_revealed_card_that_comes_back_does_not_reach_the_sdk(shop):
    def echo(received: Received) -> Answer:
        return Answer(body=json.dumps(PAID | {"additionalData": received.json()["paymentMethod"]}).encode())

    shop.gateway.answer = echo
    card = await shop.tokens(PAN, "737")
    paid = await pay(shop.key, card)
    assert paid.message["additionalData"]["number"] == card["number"]
    assert PAN not in paid.raw_response


async def test_an_unknown_key_is_an_authentication_error_of_the_sdk(shop):
    card = await shop.tokens(PAN, "737")
    with pytest.raises(Adyen.AdyenAPIAuthenticationError):
        await pay("plk_" + "0" * 43, card)
    assert shop.gateway.received == []


async def test_the_sdk_gets_nowhere_but_through_panless(shop, refused, monkeypatch):
    monkeypatch.delenv("HTTPS_PROXY")
    with pytest.raises(Exception, match=r"no way out|Max retries"):
        await pay("AQE_dummy", {"number": PAN})
    assert "checkout-test.adyen.com" in refused
