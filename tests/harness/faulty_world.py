"""A running Panless before a faulty gateway, with outbound routes that treat it differently."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from tests.harness import configuration
from tests.harness.faulty_gateway import FaultyGateway, faulty
from tests.harness.process import PanlessProcess, serving
from tests.harness.upstream import recording

PAN = "4242424242424242"


@dataclass
class Outcome:
    """What the application got: of Panless itself a code, and whether the gateway was reached."""

    status: int
    code: str | None
    reached: str | None
    headers: Mapping[str, str]
    document: dict


@dataclass
class FaultyWorld:
    """`token` stands for PAN."""

    panless: PanlessProcess
    gateway: FaultyGateway
    client: aiohttp.ClientSession
    key: str
    token: str

    async def charge(self, route: str, method: str = "POST", amount: int = 100) -> Outcome:
        """Charge the card on a route, as an application does that sends no idempotency key."""
        url = f"{self.panless.urls['outbound']}/{route}/charges"
        body = {"card": {"number": self.token}, "amount": amount} if method == "POST" else None
        async with self.client.request(method, url, json=body, headers={"Panless-Key": self.key}) as answer:
            document = await answer.json()
            code = answer.headers.get("Panless-Error")
            return Outcome(answer.status, code, document.get("reached_upstream"), answer.headers, document)

    async def metric(self, line: str) -> float:
        """Return the value of a metric, by its name with labels as it stands in /metrics."""
        async with self.client.get(self.panless.urls["admin"] + "/metrics") as answer:
            lines = (await answer.text()).splitlines()
        return sum(float(each.rpartition(" ")[2]) for each in lines if each.startswith(line + " "))

    async def reveals(self, route: str) -> int:
        return len([each for each in await self.panless.events("--route", route) if each["action"] == "reveal"])


def route(name: str, url: str, settings: str = "") -> str:
    """Return the TOML of an outbound route `/name/`."""
    return f"""
[[outbound]]
name = "{name}"
path = "/{name}/"
upstream = "{url}/v1/"
apps = ["shop"]
fields = {configuration.CARD_FIELDS}
{settings}
"""


@asynccontextmanager
async def faulty_world(
    folder: Path, routes: Mapping[str, str], more: str = "", *, idempotent: bool = False
) -> AsyncIterator[FaultyWorld]:
    """Serve `routes`, settings by name, all to one faulty gateway, and `more` TOML; the card is tokenized once."""
    async with faulty(idempotent=idempotent) as gateway, recording() as app:
        extra = "".join(route(name, gateway.url, settings) for name, settings in routes.items())
        config = configuration.write(folder, app.url, gateway.url, extra=extra + more)
        async with serving(config) as panless, aiohttp.ClientSession() as client:
            key = await panless.add_app("shop")
            async with client.post(f"{panless.urls['inbound']}/checkout", json={"card": {"number": PAN}}) as answer:
                assert answer.status == 200
            yield FaultyWorld(panless, gateway, client, key, app.last.json()["card"]["number"])
