"""What the soak runs: two Panless over one database, two gateways in processes of their own, and who kills them.

`mortal` is killed again and again; `steady` is never killed, but stopped for a while now and then, so that its memory
can be watched from beginning to end.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import asyncpg

from tests.harness import configuration, gateways
from tests.harness.charging import HONOURED, database_url
from tests.harness.external import ExternalDatabase, external
from tests.harness.faulty_gateway import FaultyProcess
from tests.harness.faulty_wire import FaultyWire, faulty_wire
from tests.harness.hooked import webhook
from tests.harness.process import PanlessProcess, panless
from tests.harness.upstream import Answer, Received, RecordingUpstream, recording
from tests.soak.memory import Memory

ROUTE = """
[[outbound]]
name         = "{name}"
path         = "/{name}/"
upstream     = "{gateway}/v1/"
apps         = ["shop"]
credential   = {{ slots = ["bearer"], secret = "file:gateway.key" }}
fields       = {fields}
asynchronous = {{ attempts = 30, give_up_hours = 1 }}
timeouts     = {{ first_byte = 2, between_bytes = 2, whole = 8 }}
retries      = {{ base_seconds = 0.05, max_seconds = 1 }}
breaker      = {{ failures = 10, open_seconds = 2 }}
{more}
"""
SHARE = 0.25
NAMES = ("mortal", "steady")


@dataclass
class World:
    """`kills` counts them by kind; `delivered` counts the events that the application got and took."""

    seed: int
    database: ExternalDatabase
    wire: FaultyWire
    gateways: dict[bool, FaultyProcess]
    panless: dict[str, PanlessProcess]
    app: RecordingUpstream
    client: aiohttp.ClientSession
    memory: Memory = field(default_factory=Memory)
    key: str = ""
    kills: Counter[str] = field(default_factory=Counter)
    delivered: Counter[str] = field(default_factory=Counter)
    wild: bool = True
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)  # noqa: S311

    def place(self, listener: str) -> str:
        """Return the URL of a Panless that may be alive; raises ConnectionError if none is."""
        urls = [each.urls[listener] for each in self.panless.values() if each.urls]
        if not urls:
            raise ConnectionError
        return self.chance.choice(urls)

    async def sql(self, statement: str) -> list:
        """Do something as the tables' owner, as soon as the database is there."""
        while True:
            with contextlib.suppress(OSError, asyncpg.PostgresError):
                connection = await asyncpg.connect(self.database.url)
                try:
                    return await connection.fetch(statement)
                finally:
                    await connection.close()
            await asyncio.sleep(0.1)

    def answer(self, received: Received) -> Answer:
        """The application: shows the tokens to whoever enters a card, and takes most events."""
        if received.target.startswith("/in/"):
            if self.wild and self.chance.random() < 0.1:
                return Answer(status=500)
            self.delivered[received.json()["id"]] += 1
            return Answer()
        return Answer(body=received.body)

    async def chaos(self) -> None:
        """Go on killing until it is cancelled."""
        acts = {
            "panless": (self._kill_panless, 25),
            "gateway": (self._kill_gateway, 25),
            "database": (self._kill_database, 20),
            "connections": (self._cut, 15),
            "stopped": (self._stop_for_a_while, 15),
        }
        while True:
            await asyncio.sleep(self.chance.uniform(4, 12))
            [name] = self.chance.choices(list(acts), [weight for _, weight in acts.values()])
            self.kills[name] += 1
            await acts[name][0]()

    async def _kill_panless(self) -> None:
        process = self.panless["mortal"]
        process.urls = {}
        await process.kill()
        await asyncio.sleep(self.chance.uniform(0, 3))
        await self.start("mortal")

    async def start(self, name: str) -> None:
        process = self.panless[name]
        while True:
            await self.sql("SELECT 1")
            with contextlib.suppress(AssertionError):  # the database was killed meanwhile
                await process.start()
                return self.memory.begin(name, process.pid)

    async def _kill_gateway(self) -> None:
        gateway = self.gateways[self.chance.random() < 0.5]
        await gateway.kill()
        await asyncio.sleep(self.chance.uniform(0, 3))
        await gateway.start()
        await self.plan(gateway, SHARE)

    async def plan(self, gateway: FaultyProcess, share: float) -> None:
        document = {"seed": self.chance.randrange(10**6), "share": share}
        async with self.client.post(gateway.control + "/_plan", json=document) as answer:
            assert answer.status == 200

    async def _kill_database(self) -> None:
        lines = (self.database.folder / "postgres" / "postmaster.pid").read_text().split("\n", 1)
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(lines[0]), signal.SIGKILL)

    async def _cut(self) -> None:
        self.wire.break_now()

    async def _stop_for_a_while(self) -> None:
        pid = self.panless["steady"].pid
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(self.chance.uniform(1, 20))
        finally:
            os.kill(pid, signal.SIGCONT)

    async def calm(self) -> None:
        """Kill nothing any more, and let everything be well."""
        self.wild = False
        for name, process in self.panless.items():
            if process.process is None or process.process.returncode is not None:
                await self.start(name)
        for gateway in self.gateways.values():
            if gateway.process is None or gateway.process.returncode is not None:
                await gateway.start()
            await self.plan(gateway, 0)


def _routes(gateways_: dict[bool, FaultyProcess], app: str) -> str:
    made = [
        ROUTE.format(
            name="keyed" if honours else "plain",
            gateway=gateways_[honours].url,
            fields=configuration.CARD_FIELDS,
            more=HONOURED if honours else "",
        )
        for honours in (False, True)
    ]
    return "".join(made) + webhook("stripe", 'scheme = "stripe", secret = "file:stripe"', app)


@contextlib.asynccontextmanager
async def soaking(folder: Path, seed: int) -> AsyncIterator[World]:
    processes = {honours: FaultyProcess(folder / f"journal-{honours}", honours) for honours in (False, True)}
    async with (
        external(folder / "pg") as database,
        faulty_wire(folder / "pg" / "run" / ".s.PGSQL.5432") as wire,
        recording() as app,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as client,
    ):
        for each in processes.values():
            await each.start()
        head = f'[database]\nurl = "{database_url(wire.port)}"\n[keys]\npath = "kek"\n'
        extra = _routes(processes, app.url)
        config = configuration.write(folder / "panless", app.url, app.url, extra=extra, head=head)
        (config.parent / "stripe").write_text(gateways.STRIPE_SECRET)
        (config.parent / "data").mkdir(mode=0o700)
        for command in (("migrate",), ("keys", "init")):
            done = await panless(*command, "-c", config)
            assert done.code == 0, done.err
        running = {}
        for name in NAMES:
            own = config.with_name(f"{name}.toml")
            own.write_text(config.read_text())
            running[name] = PanlessProcess(own)
        world = World(seed, database, wire, processes, running, app, client)
        app.answer = world.answer
        try:
            for name in NAMES:
                await world.start(name)
            world.key = await running["steady"].add_app("shop")
            for gateway in processes.values():
                await world.plan(gateway, SHARE)
            yield world
        finally:
            for each in (*running.values(), *processes.values()):
                if each.process is not None:
                    await each.kill()
