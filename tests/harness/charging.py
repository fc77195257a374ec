"""A shop that charges through a Panless under which anything can fail: the gateway, the database, Panless itself."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import asyncpg

from tests.harness import configuration
from tests.harness.external import ExternalDatabase, external
from tests.harness.faulty_gateway import FaultyGateway, FaultyProcess, Request
from tests.harness.ledger import Charge, Ledger
from tests.harness.process import PanlessProcess, panless
from tests.harness.tripwire import Tripwire, tripwire
from tests.harness.upstream import RecordingUpstream, recording

PAN = "4242424242424242"
ROUTE = """
[[outbound]]
name         = "{name}"
path         = "/{name}/"
upstream     = "{gateway}/v1/"
apps         = ["shop"]
credential   = {{ slots = ["bearer"], secret = "file:gateway.key" }}
fields       = {fields}
asynchronous = {{ attempts = 8, give_up_hours = 1 }}
timeouts     = {{ first_byte = 0.7, between_bytes = 0.7, whole = 4 }}
retries      = {{ base_seconds = 0.01, max_seconds = 0.05 }}
breaker      = {{ failures = 0 }}
{more}
"""
HONOURED = 'idempotency_header = "Idempotency-Key"'
_LAPSE = """
WITH keys AS (UPDATE idempotency SET held_until = now() - interval '1 s' WHERE state = 'running')
UPDATE operations SET held_until = now() - interval '1 s' WHERE state = 'running'
"""
_HURRY = "UPDATE operations SET next_run = now() WHERE state = 'pending'"


class WatchedGateway(FaultyGateway):
    """`before`: awaited with the next request, before it is taken. `hanging`: when that has come to where it hangs."""

    before: Callable[[Request], Awaitable[None]] | None = None
    hanging: Callable[[], Awaitable[None]] | None = None

    async def _answer(self, request: Request, fault, reader, writer) -> None:
        before, self.before = self.before, None
        hanging, self.hanging = self.hanging, None
        if before is not None:
            await before(request)
        answering = asyncio.ensure_future(super()._answer(request, fault, reader, writer))
        if hanging is not None:
            for _ in range(20):  # turns of the loop: what the fault writes is on its way
                await asyncio.sleep(0)
            await hanging()
        await answering


@dataclass
class Charging:
    """`gateways` by whether they honour keys; `processes`: those that are killed, likewise."""

    database: ExternalDatabase
    wire: Tripwire
    panless: PanlessProcess
    gateways: dict[bool, WatchedGateway]
    processes: dict[bool, FaultyProcess]
    app: RecordingUpstream
    client: aiohttp.ClientSession
    key: str = ""
    token: str = ""
    deaths: int = 0
    _starting: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def outbound(self) -> str:
        return self.panless.urls["outbound"]

    async def pay(
        self,
        route: str,
        key: str | None,
        amount: int,
        *,
        later: bool = False,
        card: dict | None = None,
        about: str | None = None,
        at: PanlessProcess | None = None,
    ) -> tuple[int, dict, bytes]:
        """Charge the card; raises a ClientError or TimeoutError where there is no answer. `about`: for `request_id`;
        `at`: another Panless.
        """
        headers = {"Panless-Key": self.key, "X-Request-Id": request_id(key or str(about))}
        if key is not None:
            headers["Idempotency-Key"] = key
        if later:
            headers["Prefer"] = "respond-async"
        body = {"card": card or {"number": self.token}, "amount": amount}
        async with self.client.post(
            f"{(at or self.panless).urls['outbound']}/{route}/charges", json=body, headers=headers
        ) as answer:
            return answer.status, dict(answer.headers), await answer.read()

    async def ask(self, path: str, method: str = "GET") -> tuple[int, bytes]:
        headers = {"Panless-Key": self.key}
        async with self.client.request(method, self.outbound + path, headers=headers) as answer:
            return answer.status, await answer.read()

    async def kill_panless(self) -> None:
        self.deaths += 1
        await self.panless.kill()

    async def kill_database(self) -> None:
        lines = (self.database.folder / "postgres" / "postmaster.pid").read_text().split("\n", 1)
        os.kill(int(lines[0]), signal.SIGKILL)

    async def alive(self) -> None:
        """Start Panless again if it is dead, and a gateway that was killed."""
        async with self._starting:
            for each in self.processes.values():
                if each.process is None or each.process.returncode is not None:
                    await each.start()
            assert self.panless.process is not None
            if self.panless.process.returncode is not None:
                await self.sql("SELECT 1")  # a Panless does not start without its database
                await self.panless.start()

    async def sql(self, statement: str, *values: object) -> list:
        """Do something as the tables' owner, past the wire, as soon as the database is there."""
        while True:
            try:
                connection = await asyncpg.connect(self.database.url)
            except (OSError, asyncpg.PostgresError):
                await asyncio.sleep(0.05)
                continue
            try:
                return await connection.fetch(statement, *values)
            finally:
                await connection.close()

    async def lapse(self) -> None:
        """Let the time of all who hold something be up, as after 15 seconds."""
        await self.sql(_LAPSE)

    async def hurry(self) -> None:
        """Let the turn of all that waits have come."""
        await self.sql(_HURRY)

    def charges(self, amount: int) -> list[Charge]:
        """Return what was charged of an amount, at any of the gateways."""
        inside = [charge for each in self.gateways.values() for charge in each.ledger.charges]
        outside = [
            Charge(**json.loads(line))
            for each in self.processes.values()
            if each.journal.exists()
            for line in each.journal.read_text().splitlines()
        ]
        return [charge for charge in (*inside, *outside) if charge.amount == amount]


def request_id(key: str) -> str:
    """Every request of a test with a key has this id."""
    return f"request-of-{key}-"


def _routes(gateways: dict[bool, WatchedGateway], processes: dict[bool, FaultyProcess], app: str) -> str:
    """Return `keyed`, whose gateway honours keys, `plain`, each also to a gateway that is killed, and `echo`."""
    fields = configuration.CARD_FIELDS
    made = []
    for suffix, places in (("", gateways), ("-killed", processes)):
        for name, honours in (("plain", False), ("keyed", True)):
            more = HONOURED if honours else ""
            made.append(ROUTE.format(name=name + suffix, gateway=places[honours].url, fields=fields, more=more))
    made.append(ROUTE.format(name="echo", gateway=app, fields=fields, more='guard = "tokenize"'))
    return "".join(made)


async def prepared(config: Path) -> PanlessProcess:
    """Prepare a database of one's own, and start."""
    for command in (("migrate",), ("keys", "init")):
        done = await panless(*command, "-c", config)
        assert done.code == 0, done.err
    return await PanlessProcess(config).start()


def database_url(port: int) -> str:
    return f"postgresql://postgres@127.0.0.1:{port}/panless?sslmode=disable"


@asynccontextmanager
async def charging(folder: Path) -> AsyncIterator[Charging]:
    gateways = {honours: WatchedGateway(Ledger(idempotent=honours)) for honours in (False, True)}
    processes = {honours: FaultyProcess(folder / f"journal-{honours}", honours) for honours in (False, True)}
    timeout = aiohttp.ClientTimeout(total=45)
    async with (
        external(folder / "pg") as database,
        tripwire(folder / "pg" / "run" / ".s.PGSQL.5432") as wire,
        recording() as app,
        aiohttp.ClientSession(timeout=timeout) as client,
    ):
        for each in (*gateways.values(), *processes.values()):
            await each.start()
        head = f'[database]\nurl = "{database_url(wire.port)}"\n[keys]\npath = "kek"\n'
        extra = _routes(gateways, processes, app.url)
        config = configuration.write(folder / "panless", app.url, gateways[True].url, extra=extra, head=head)
        world = Charging(database, wire, await prepared(config), gateways, processes, app, client)
        try:
            world.key = await world.panless.add_app("shop")
            async with client.post(
                world.panless.urls["inbound"] + "/checkout", json={"card": {"number": PAN}}
            ) as tokenized:
                assert tokenized.status == 200
            world.token = app.last.json()["card"]["number"]
            yield world
        finally:
            await world.panless.kill()
            for each in processes.values():
                await each.kill()
            for each in gateways.values():
                await each.stop()
