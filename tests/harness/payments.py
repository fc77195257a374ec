"""A world for payments: a Panless with gateways that honour idempotency keys and others that do not."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from proxy.cli.running import opened
from tests.harness import configuration
from tests.harness.process import PanlessProcess
from tests.harness.upstream import Received, recording
from tests.harness.world import World
from vault.store.database import Role

LATER = "{ attempts = 3, give_up_hours = 1 }"
TOLD = '{{ notify = {{ upstream = "{app}/told", sign = {{ secret = "file:told.key" }} }} }}'
SIGNED_WITH = "whsec_" + base64.b64encode(b"operations are told with this").decode()
ONCE = """
[[inbound]]
name     = "once"
path     = "/once"
upstream = "{app}"
fields   = [{{ at = "$.card.number", kind = "pan", limits = {{ uses = 1 }} }}]
"""
ROUTE = """
[[outbound]]
name         = "{name}"
path         = "/{name}/"
upstream     = "{gateway}/v1/"
apps         = ["shop", "foreign", "other"]
credential   = {{ slots = ["bearer", "basic"], secret = "file:gateway.key" }}
fields       = {fields}
asynchronous = {later}
sequence     = "$.customer"
timeouts     = {{ whole = 60 }}
{more}
"""


def routes(gateway: str, app: str) -> str:
    """Return `keyed`, whose gateway honours keys, `body`, where they are in the body, `strict`, `patient`, and `told`,
    which tells its application of operations.
    """
    fields = configuration.CARD_FIELDS
    more = {
        "keyed": 'idempotency_header = "Idempotency-Key"',
        "body": 'idempotency_field = "$.idempotency_key"',
        "strict": "idempotency = { required = true }",
        "patient": 'idempotency = { running = "wait", wait_seconds = 20 }',
        "plain": "",
        "told": "",
    }
    later = {"told": TOLD.format(app=app)}
    return ONCE.format(app=app) + "".join(
        ROUTE.format(name=name, gateway=gateway, fields=fields, later=later.get(name, LATER), more=text)
        for name, text in more.items()
    )


@dataclass
class Payments(World):
    """`pay` sends a payment; `sql` does something as the tables' owner."""

    async def card(self, number: str = "4242424242424242") -> dict:
        """Return a card's token; without a code, which would end with the first answer."""
        return await self.tokens(number, None)

    async def pay(self, route: str, card: dict, key: str | None = "", **more) -> tuple[int, dict, bytes]:
        """Return status, headers and body of the answer."""
        headers = {"Panless-Key": more.pop("app", self.key)} | more.pop("headers", {})
        if key:
            headers["Idempotency-Key"] = key
        body = {"card": card, "amount": 100} | more.pop("body", {})
        url = f"{self.outbound}/{route}/charges"
        async with self.client.post(url, json=body, headers=headers, **more) as answer:
            return answer.status, dict(answer.headers), await answer.read()

    async def ask(self, path: str, method: str = "GET", app: str | None = None) -> tuple[int, bytes]:
        """Ask for an operation."""
        headers = {"Panless-Key": app or self.key}
        async with self.client.request(method, self.outbound + path, headers=headers) as answer:
            return answer.status, await answer.read()

    async def later(self, route: str, card: dict, key: str | None = None, **more) -> str:
        """Have a payment sent later; return where to ask for it."""
        headers = {"Prefer": "respond-async"} | more.pop("headers", {})
        status, answered, body = await self.pay(route, card, key, headers=headers, **more)
        assert status == 202, body
        assert answered["Preference-Applied"] == "respond-async"
        return answered["Location"]

    async def ended(self, path: str) -> dict:
        """Wait until an operation has ended, and return what there is to know of it."""
        while True:
            status, body = await self.ask(path)
            assert status == 200, body
            if (told := json.loads(body))["status"] not in ("pending", "running"):
                return told
            await asyncio.sleep(0.05)

    async def sql(self, statement: str, *values: object) -> list:
        async with opened(self.panless.config) as database:
            connection = await database.connect(Role.OWNER)
            try:
                return await connection.fetch(statement, *values)
            finally:
                await connection.close()

    def charged(self) -> list[Received]:
        """What the gateway got."""
        return self.gateway.received


def code(answer: tuple[int, dict, bytes]) -> tuple[int, str]:
    """Return status and code of a refusal."""
    return answer[0], json.loads(answer[2])["code"]


@asynccontextmanager
async def payments(folder: Path, head: str = "") -> AsyncIterator[Payments]:
    async with recording() as app, recording() as gateway, aiohttp.ClientSession() as client:
        config = configuration.write(folder, app.url, gateway.url, extra=routes(gateway.url, app.url), head=head)
        (folder / "told.key").write_text(SIGNED_WITH)
        process = await PanlessProcess(config).start()
        try:
            key, foreign = await process.add_app("shop"), await process.add_app("foreign", tenant="other")
            yield Payments(process, app, gateway, client, key, foreign)
        finally:
            if process.process is not None and process.process.returncode is None:
                assert await process.stop() == 0, process.log
