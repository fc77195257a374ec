"""The preset `braintree` with Braintree's own SDK, which takes a host and a port but no path, and pins an authority.

It sends XML. The SDK runs with no way out: a setting that it ignored would not reach the real gateway.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import aiohttp
import braintree
import pytest
import trustme

from tests.harness import configuration
from tests.harness.loopback import no_way_out
from tests.harness.process import serving
from tests.harness.upstream import Answer, Received, recording
from tests.harness.world import World

SECRET = "the_private_key_of_the_gateway"
PAN = "4111111111111111"
SOLD = """<?xml version="1.0" encoding="UTF-8"?>
<transaction><id>t1</id><status>authorized</status><type>sale</type><amount>10.00</amount>
<credit-card><bin>411111</bin><last-4>1111</last-4></credit-card><note>{note}</note></transaction>"""
ROUTE = """
[[outbound]]
name = "braintree"
preset = "braintree"
bind = "127.0.0.1:0"
tls = {{ cert = "server.pem", key = "server.pem" }}
upstream = "{gateway}/"
apps = ["shop"]
credential = {{ secret = "env:BRAINTREE_PRIVATE_KEY" }}
"""


class Panless(braintree.Environment):
    """The SDK's own way of naming an environment; it takes any port but 443 for plain http, unless it is told."""

    protocol = "https://"


def sold(note: str = "") -> Answer:
    return Answer(201, SOLD.format(note=note).encode(), [("Content-Type", "application/xml; charset=utf-8")])


@pytest.fixture(scope="module")
async def shared_shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    folder = tmp_path_factory.mktemp("braintree")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    async with recording() as app, recording() as gateway:
        config = configuration.write(folder, app.url, gateway.url, extra=ROUTE.format(gateway=gateway.url))
        async with serving(config, {"BRAINTREE_PRIVATE_KEY": SECRET}) as process, aiohttp.ClientSession() as client:
            yield World(process, app, gateway, client, await process.add_app("shop"), "")


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    return no_way_out(monkeypatch)


@pytest.fixture
def shop(shared_shop: World, refused: list[object]) -> World:
    shared_shop.app.reset()
    shared_shop.gateway.reset()
    shared_shop.gateway.answer = sold()
    return shared_shop


def sdk(shop: World, key: str, ca: str = "ca.pem") -> braintree.BraintreeGateway:
    url = urlsplit(shop.panless.urls["braintree"])
    trusted = str(shop.panless.config.parent / ca)
    environment = Panless("panless", url.hostname, str(url.port), "", is_ssl=True, ssl_certificate=trusted)
    return braintree.BraintreeGateway(
        braintree.Configuration(environment=environment, merchant_id="merch1", public_key="pub1", private_key=key)
    )


def sale(number: str, code: str) -> dict:
    card = {"number": number, "cvv": code, "expiration_month": "05", "expiration_year": "2030"}
    return {"amount": "10.00", "order_id": "order-1", "credit_card": card | {"cardholder_name": "José & <Co>"}}


async def sell(shop: World, card: dict, key: str | None = None):
    """Let the SDK, which blocks, sell in a thread."""
    return await asyncio.to_thread(sdk(shop, key or shop.key).transaction.sale, sale(card["number"], card["cvc"]))


async def test_a_sale_reaches_the_gateway_as_if_the_sdk_had_the_card(shop):
    card = await shop.tokens(PAN, "737")
    result = await sell(shop, card)
    assert result.is_success and result.transaction.status == "authorized"
    received = shop.gateway.last
    expected = braintree.util.xml_util.XmlUtil.xml_from_dict({"transaction": sale(PAN, "737") | {"type": "sale"}})
    assert received.body.decode() == expected
    assert received.target == "/merchants/merch1/transactions"
    assert received.header("Authorization") == "Basic " + base64.b64encode(f"pub1:{SECRET}".encode()).decode()
    assert shop.key.encode() not in received.head


async def test_a_card_for_later_goes_the_same_way(shop):
    shop.gateway.answer = Answer(
        422, b"<api-error-response><errors><errors type='array'/></errors><message>no</message></api-error-response>"
    )
    card = await shop.tokens(PAN, "737")
    create = sdk(shop, shop.key).credit_card.create
    number = {"customer_id": "c1", "number": card["number"], "cvv": card["cvc"], "expiration_date": "05/2030"}
    result = await asyncio.to_thread(create, number)
    assert not result.is_success
    assert f"<number>{PAN}</number>".encode() in shop.gateway.last.body


async def test_a_revealed_card_that_comes_back_does_not_reach_the_sdk(shop):
    def echo(received: Received) -> Answer:
        assert PAN.encode() in received.body
        return sold(note=f"{PAN[:4]}<b/>{PAN[4:]} and {PAN}")

    shop.gateway.answer = echo
    result = await sell(shop, await shop.tokens(PAN, "737"))
    assert result.is_success
    assert PAN not in str(vars(result.transaction))


async def test_an_unknown_key_is_an_authentication_error_of_the_sdk(shop):
    card = await shop.tokens(PAN, "737")
    with pytest.raises(braintree.exceptions.authentication_error.AuthenticationError):
        await sell(shop, card, "plk_" + "0" * 43)
    assert shop.gateway.received == []


async def test_the_sdk_trusts_no_other_authority(shop, tmp_path):
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    with pytest.raises(Exception, match="CERTIFICATE_VERIFY_FAILED"):
        await asyncio.to_thread(sdk(shop, shop.key, str(tmp_path / "other.pem")).transaction.sale, sale(PAN, "737"))
    assert shop.gateway.received == []


async def test_the_sdk_has_no_way_to_the_real_gateway(refused):
    configuration = braintree.Configuration(braintree.Environment.Sandbox, "m", "pub", "priv")
    with pytest.raises(Exception, match=r"no way out|Max retries"):
        await asyncio.to_thread(braintree.BraintreeGateway(configuration).transaction.sale, sale(PAN, "737"))
    assert refused == ["api.sandbox.braintreegateway.com"]
