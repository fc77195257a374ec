"""A Panless with hosted fields, and a browser's requests to them, made by hand."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from proxy.cli.running import opened
from tests.harness import configuration
from tests.harness.process import PanlessProcess, serving
from tests.harness.upstream import RecordingUpstream, recording
from vault.upkeep.publishable_keys import add_publishable_key

SHOP = "https://shop.example"
OTHER = "https://other.example"
CARD = {"number": "4242 4242 4242 4242", "expiry": "12/2040", "cvc": "123", "name": "Ada Lovelace"}
LISTEN = 'fields   = { bind = "127.0.0.1:0", trusted_proxies = ["127.0.0.0/8"] }'


@dataclass
class Hosted:
    """Panless, its gateway, the key of a shop's page, and that of an application."""

    panless: PanlessProcess
    gateway: RecordingUpstream
    client: aiohttp.ClientSession
    key: str
    app_key: str

    @property
    def url(self) -> str:
        return self.panless.urls["fields"]

    @asynccontextmanager
    async def call(self, path: str, document: object, *, origin: str | None, **headers: str):
        """What a page of an origin, or one of the fields' own (None), asks."""
        named = {"Origin": origin or self.url, "Sec-Fetch-Site": "cross-site" if origin else "same-origin"}
        named |= {name.replace("_", "-"): text for name, text in headers.items()}
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        named = {"Content-Type": "application/json"} | named
        async with self.client.post(self.url + path, data=body, headers=named) as answer:
            yield answer

    async def session(self, origin: str = SHOP, key: str | None = None) -> str:
        async with self.call("/v1/sessions", {"key": key or self.key}, origin=origin) as answer:
            assert answer.status == 200, await answer.text()
            return (await answer.json())["session"]

    async def submit(self, document: dict, *, origin: str | None = None, **headers: str) -> tuple[int, dict]:
        """Hand something in, with a new session unless it has one; returns status and document."""
        own = {"key": self.key, "origin": SHOP} if origin is None else {}
        own |= {} if "session" in document else {"session": await self.session()}
        document = own | document
        async with self.call("/v1/tokens", document, origin=origin, **headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def charged(self, card: dict) -> dict:
        """Charge a card as the application does; return what of it reached the gateway."""
        url, headers = f"{self.panless.urls['outbound']}/gateway/charges", {"Panless-Key": self.app_key}
        async with self.client.post(url, json={"card": card}, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
        return self.gateway.last.json()["card"]


@asynccontextmanager
async def hosted(folder: Path, head: str = "") -> AsyncIterator[Hosted]:
    async with recording() as app, recording() as gateway:
        config = configuration.write(folder, app.url, gateway.url, head=head)
        config.write_text(config.read_text().replace("[listen]\n", f"[listen]\n{LISTEN}\n", 1))
        async with serving(config) as panless, aiohttp.ClientSession() as client:
            async with opened(config) as database:
                key = await add_publishable_key(database, "page", "default", [SHOP])
            yield Hosted(panless, gateway, client, key, await panless.add_app("shop"))
