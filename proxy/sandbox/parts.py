"""Starts the demo's parts on loopback: gateway, shop, and a Panless between them."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from aiohttp import web

from proxy.app import Panless
from proxy.config import Config, load
from proxy.fields.assets import assets
from proxy.sandbox.gateway import SandboxGateway
from proxy.sandbox.scenes import seen
from proxy.sandbox.shop import Checkout, DemoShop
from proxy.settings import vault_settings
from vault.errors import PublishableKeyNotFound
from vault.upkeep.apps import add_app
from vault.upkeep.publishable_keys import add_publishable_key, revoke_publishable_key
from vault.upkeep.startup import open_database

SHOP = "demo-shop"

_CONFIGURATION = """\
# Written by `panless demo`. Look at it, change a copy, run it with `panless serve --config FILE`.
data_dir = "."

[listen]
inbound  = {{ bind = "127.0.0.1:0" }}
outbound = {{ bind = "127.0.0.1:0" }}
admin    = {{ bind = "127.0.0.1:0" }}
fields   = {{ bind = "127.0.0.1:0" }}

[[inbound]]
name     = "checkout"
path     = "/checkout"
methods  = ["POST"]
upstream = "{shop}"
fields   = [
  {{ at = "$.card.number", kind = "pan" }},
  {{ at = "$.card.cvc", kind = "cvc", of = "$.card.number" }},
]

[[outbound]]
name       = "sandbox-gateway"
path       = "/gateway/"
upstream   = "{gateway}/"
apps       = ["{app}"]
credential = {{ slots = ["bearer"], secret = "file:gateway.key" }}
fields     = [
  {{ at = "$.card.number", kind = "pan" }},
  {{ at = "$.card.cvc", kind = "cvc", of = "$.card.number" }},
]
"""


@dataclass(frozen=True, slots=True)
class Parts:
    """What runs."""

    config: Config
    panless: Panless
    shop: DemoShop
    shop_key: str
    gateway: SandboxGateway
    gateway_url: str
    shop_url: str


@asynccontextmanager
async def running(data_dir: Path) -> AsyncIterator[Parts]:
    """Start all parts with their data in `data_dir`, and stop them in the end."""
    api_key = f"sandbox_{secrets.token_hex(16)}"
    gateway, shop = SandboxGateway(api_key), DemoShop()
    async with _served(gateway.application()) as gateway_url, _served(shop.application()) as shop_url:
        config = _configure(data_dir, api_key, gateway_url, shop_url)
        panless = Panless(config)
        await panless.start()
        try:
            key = await _shop_key(config)
            parts = Parts(config, panless, shop, key, gateway, gateway_url, shop_url)
            await open_shop(parts)
            yield parts
        finally:
            await panless.stop()


def _configure(data_dir: Path, api_key: str, gateway_url: str, shop_url: str) -> Config:
    data_dir.mkdir(parents=True, exist_ok=True)
    secret = data_dir / "gateway.key"
    secret.touch(mode=0o600)
    secret.write_text(api_key)
    file = data_dir / "panless.toml"
    file.write_text(_CONFIGURATION.format(shop=shop_url, gateway=gateway_url, app=SHOP))
    return load(file)


async def _shop_key(config: Config) -> str:
    database = await open_database(vault_settings(config), holder="command")
    try:
        return await add_app(database, SHOP, "default")
    finally:
        await database.close()


async def open_shop(parts: Parts) -> None:
    """Give the shop's page a publishable key, and the shop's server what it charges with."""
    fields_url = parts.panless.urls["fields"]
    origins = [parts.shop_url, parts.shop_url.replace("127.0.0.1", "localhost")]
    database = await open_database(vault_settings(parts.config), holder="command")
    try:
        with suppress(PublishableKeyNotFound):  # from an earlier demo, whose shop was at another port
            await revoke_publishable_key(database, SHOP)
        key = await add_publishable_key(database, SHOP, "default", origins)
    finally:
        await database.close()
    served = assets()
    script, integrity = f"{fields_url}{served.prefix}/panless.js", served.served["panless.js"].integrity
    parts.shop.checkout = Checkout(fields_url, script, integrity, key)
    parts.shop.outbound = parts.panless.urls["outbound"], parts.shop_key
    parts.shop.seen = partial(seen, parts.config, parts.shop, parts.gateway)


@asynccontextmanager
async def _served(application: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
