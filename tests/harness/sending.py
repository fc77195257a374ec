"""A real UpstreamClient before stand-ins for gateways, without a Panless around it."""

from __future__ import annotations

import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client import CollectorRegistry

from proxy.config import parse
from proxy.edge.upstream_metrics import UpstreamMetrics
from proxy.errors import UpstreamError
from proxy.rewrite.message import Message
from proxy.routes import InboundRoute
from proxy.upstream.client import UpstreamClient
from proxy.upstream.flight import read_answer
from proxy.upstream.settings import UpstreamSettings

QUICK = "retries = { base_seconds = 0.001, max_seconds = 0.002 }"
BODY = b'{"card": {"number": "4242424242424242"}, "amount": 100}'


@dataclass
class Sending:
    """`routes` by name; `registry` has the metrics."""

    client: UpstreamClient
    routes: dict[str, InboundRoute]
    registry: CollectorRegistry
    sent: list[Message] = field(default_factory=list)

    async def send(self, method: str = "POST", *, route: str = "gateway", key: str | None = None, **options):
        """Send a charge, with an Idempotency-Key that protects it if there is one; return status and body."""
        headers = [("Content-Type", "application/json"), ("Host", "gateway.example")]
        message = Message(
            b"" if method == "GET" or "body" in options else BODY,
            path="/v1/charges",
            headers=tuple([*headers, ("Idempotency-Key", key)] if key else headers),
        )
        to = self.routes[route]
        answer = await self.client.send(to, method, message, protected=key is not None, **options)
        async with answer:
            return answer.status, b"".join([piece async for piece in read_answer(answer, to)])

    async def fails(self, method: str = "POST", **options) -> tuple[str, str]:
        """Send what has to fail; return the code and whether the upstream was reached."""
        try:
            got = await self.send(method, **options)
        except UpstreamError as error:
            return error.code, error.reached
        raise AssertionError(got)

    def value(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0


@asynccontextmanager
async def sending(folder: Path, **routes: tuple[str, str]) -> AsyncIterator[Sending]:
    """A client with routes: a name, and its upstream's URL and the settings in TOML."""
    text = 'data_dir = "data"\n[listen]\ninbound = { bind = "127.0.0.1:0" }\n' + "".join(
        f'[[inbound]]\nname = "{name}"\npath = "/{name}/"\nupstream = "{url}"\n{settings}\n'
        for name, (url, settings) in routes.items()
    )
    config = parse(tomllib.loads(text), folder / "panless.toml")
    registry = CollectorRegistry()
    settings = {each.name: UpstreamSettings.compile(each, config, each.name) for each in config.inbound}
    client = UpstreamClient(metrics=UpstreamMetrics(registry)).having(settings)
    try:
        yield Sending(client, {each.name: InboundRoute.compile(each) for each in config.inbound}, registry)
    finally:
        await client.close()
