"""Requests as real SDKs sent them, sent again with tokens: the gateway gets the bytes of the capture.

What may differ is what belongs to a connection: hop-by-hop headers, Host, the length, and the credential.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote_plus

import aiohttp
import pytest

from tests.harness import configuration
from tests.harness.process import panless, serving
from tests.harness.upstream import Received, recording
from tests.harness.world import World

IDEMPOTENCY = re.compile(rb"(?mi)^(Idempotency-Key: )[^\r\n]*")
CAPTURES = Path(__file__).parent.parent / "captures"
HOP = {"connection", "host", "content-length"}
ROUTES = """
[[outbound]]
name = "stripe"
preset = "stripe"
path = "/stripe/"
hosts = ["api.stripe.com"]
upstream = "{gateway}/"
apps = ["shop"]
credential = {{ secret = "file:gateway.key" }}

[[outbound]]
name = "adyen"
preset = "adyen"
path = "/adyen/"
hosts = ["checkout-test.adyen.com"]
upstream = "{gateway}/"
apps = ["shop"]
credential = {{ secret = "file:gateway.key" }}

[[outbound]]
name = "braintree"
preset = "braintree"
path = "/braintree/"
hosts = ["api.sandbox.braintreegateway.com"]
upstream = "{gateway}/"
apps = ["shop"]
credential = {{ secret = "file:gateway.key" }}

[[outbound]]
name = "checkout-com"
path = "/checkout/"
upstream = "{gateway}/"
apps = ["shop"]
credential = {{ secret = "file:gateway.key" }}
fields = [
  {{ at = "$.source.number", kind = "pan" }},
  {{ at = "$.source.cvv", kind = "cvc", of = "$.source.number" }},
  {{ at = "$.source.expiry_month", kind = "expiry", number = true }},
]

[[outbound]]
name = "square"
path = "/square/"
upstream = "{gateway}/"
apps = ["shop"]
credential = {{ secret = "file:gateway.key" }}
fields = [{{ at = "$.card.number", kind = "pan" }}]

[[inbound]]
name = "hooks"
path = "/hooks/"
upstream = "{gateway}"
"""
# Where the card number and the code stand in a body, whatever its type.
NUMBER = re.compile(rb'((?<![a-z_])number\]?=|"number": ?"|<number>)([^&"<]+)')
CODE = re.compile(rb'(cvc\]?=|"cv[cv]": ?"|<cvv>)([^&"<]+)')


@dataclass
class Capture:
    """A captured request: its head's lines, and its body."""

    name: str
    received: Received

    @property
    def gateway(self) -> str:
        return self.name.split("-")[0].split(".")[0]

    @property
    def host(self) -> str:
        """The host of the forward proxy, for what was captured through one."""
        return (self.received.header("Host") or "") if self.name.endswith("-connect") else ""

    def card(self) -> dict[str, str]:
        """What the body says of a card: its number as plain digits, and its code."""
        found = {}
        for name, pattern in (("number", NUMBER), ("cvc", CODE)):
            if match := pattern.search(self.received.body):
                digits = unquote_plus(match[2].decode())
                found[name] = "".join(str(int(char)) for char in digits if char.isdigit())
        return found

    def body(self, card: dict[str, str]) -> bytes:
        body = self.received.body
        for name, pattern in (("number", NUMBER), ("cvc", CODE)):
            if name in card:
                value = card[name].encode()
                body = pattern.sub(lambda match, value=value: match[1] + value, body)
        return body


def captures() -> list[Capture]:
    found = []
    for file in sorted(CAPTURES.glob("*.http")):
        head, _, body = file.read_bytes().partition(b"\r\n\r\n")
        # Some were captured with the same idempotency key; they are different requests.
        head = IDEMPOTENCY.sub(rb"\1" + file.stem.encode(), head)
        found.append(Capture(file.stem, Received(head, body)))
    return found


@pytest.fixture(scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with recording() as app, recording() as gateway:
        folder = tmp_path_factory.mktemp("captures")
        head = '[listen.forward]\nbind = "127.0.0.1:0"\n'
        config = configuration.write(folder, app.url, gateway.url, head=head, extra=ROUTES.format(gateway=gateway.url))
        async with serving(config) as process, aiohttp.ClientSession() as client:
            key = await process.add_app("shop")
            (folder / "ca.pem").write_text((await panless("ca", "export", "-c", config)).out)
            yield World(process, app, gateway, client, key, "")


async def connect(shop: World, host: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the outbound listener or, for a host, through the forward proxy."""
    address = shop.panless.urls["forward" if host else "outbound"].removeprefix("http://")
    reader, writer = await asyncio.open_connection(*address.split(":"))
    if host:
        writer.write(f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n".encode())
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        trusted = ssl.create_default_context(cafile=shop.panless.config.parent / "ca.pem")
        await writer.start_tls(trusted, server_hostname=host)
    return reader, writer


async def send(shop: World, capture: Capture, body: bytes) -> bytes:
    """Send the capture's own bytes, with another body and the application's key, and return the answer's head."""
    target = capture.received.target if capture.host else f"/{capture.gateway}{capture.received.target}"
    lines = [f"{capture.received.method} {target} HTTP/1.1", f"Panless-Key: {shop.key}"]
    for name, value in capture.received.headers:
        lines.append(f"{name}: {len(body) if name.lower() == 'content-length' else value}")
    reader, writer = await connect(shop, capture.host)
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
    head = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    return head


def kept(received: Received) -> list[tuple[str, str]]:
    return [(name, value) for name, value in received.headers if name.lower() not in HOP]


OUTBOUND = [capture for capture in captures() if capture.name != "stripe-webhook"]


@pytest.mark.parametrize("capture", OUTBOUND, ids=[capture.name for capture in OUTBOUND])
async def test_the_gateway_gets_the_captured_bytes(shop, capture):
    card = capture.card()
    tokens = await shop.tokens(card["number"], card.get("cvc")) if "number" in card else {}
    head = await send(shop, capture, capture.body(tokens))
    assert head.startswith(b"HTTP/1.1 200"), head
    got = shop.gateway.last
    # The capture itself, but that a number goes on as plain digits, however it was typed.
    assert got.body == capture.body(card)
    assert got.target == capture.received.target
    # A gateway that takes an idempotency key gets one, whether or not its SDK sends any.
    made = [] if capture.received.header("Idempotency-Key") else [("Idempotency-Key", got.header("Idempotency-Key"))]
    assert kept(got) == kept(capture.received) + [each for each in made if each[1]]


async def test_the_webhook_reaches_the_application_as_it_was_sent(shop):
    (capture,) = [each for each in captures() if each.name == "stripe-webhook"]
    received = capture.received
    url = f"{shop.inbound}{received.target}"
    async with shop.client.post(url, data=received.body, headers=dict(received.headers[1:])) as answer:
        assert answer.status == 200, await answer.text()
    assert shop.gateway.last.body == received.body
    assert shop.gateway.last.header("Stripe-Signature") == received.header("Stripe-Signature")


def test_every_capture_is_sent_and_most_hold_a_card():
    assert len(OUTBOUND) == 24
    assert sum("number" in capture.card() for capture in OUTBOUND) >= 14
