"""A Panless between two recording upstreams, and an application that uses it."""

from __future__ import annotations

from dataclasses import dataclass

import aiohttp

from tests.harness.process import PanlessProcess
from tests.harness.upstream import RecordingUpstream


@dataclass
class World:
    """A running Panless, the application and the gateway around it, and an HTTP client."""

    panless: PanlessProcess
    app: RecordingUpstream
    gateway: RecordingUpstream
    client: aiohttp.ClientSession
    key: str
    foreign_key: str

    @property
    def inbound(self) -> str:
        return self.panless.urls["inbound"]

    @property
    def outbound(self) -> str:
        return self.panless.urls["outbound"]

    @property
    def admin(self) -> str:
        return self.panless.urls["admin"]

    async def tokens(self, number: str = "4242424242424242", cvc: str | None = "123", path: str = "/checkout") -> dict:
        """Post a card and return the `card` object that the application received."""
        card = {"number": number} | ({"cvc": cvc} if cvc else {})
        async with self.client.post(self.inbound + path, json={"card": card}) as answer:
            assert answer.status == 200, await answer.text()
        return self.app.last.json()["card"]

    def charge(self, card: dict, **options):
        """Charge a card as the application `shop` does; use it with `async with`."""
        headers = {"Panless-Key": self.key} | options.pop("headers", {})
        return self.client.post(f"{self.outbound}/gateway/charges", json={"card": card}, headers=headers, **options)
