"""A Panless with a forward listener, and clients that speak CONNECT byte by byte."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from proxy.app import Panless
from proxy.config import load
from tests.harness import configuration
from tests.harness.process import PanlessProcess, panless, serving
from tests.harness.upstream import RecordingUpstream, recording

HOST = "checkout-test.adyen.example"
LISTEN = '[listen.forward]\nbind = "127.0.0.1:0"\n'


def routes(gateway_url: str, *, listeners: str = "") -> str:
    """Return outbound routes `hosted` (HOST, another port of it, an address) and `elsewhere` (another host)."""
    return f"""
[[outbound]]
name       = "hosted"
hosts      = ["{HOST}", "{HOST.upper()}:8443", "127.0.0.1:8443", "[::1]:8443"]
upstream   = "{gateway_url}/base/"
apps       = ["shop"]
credential = {{ slots = ["bearer", "basic"], secret = "file:gateway.key", always = true }}
fields     = {configuration.CARD_FIELDS}
{listeners}
[[outbound]]
name       = "elsewhere"
hosts      = ["other.example"]
methods    = ["POST"]
upstream   = "{gateway_url}/elsewhere"
apps       = ["other-app"]
"""


@dataclass
class ForwardWorld:
    """A running Panless, its gateway, two applications' keys, and what its clients have to trust."""

    config: Path
    urls: dict[str, str]
    app: RecordingUpstream
    gateway: RecordingUpstream
    key: str = ""
    other_key: str = ""
    process: PanlessProcess | None = None
    running: Panless | None = None
    bundle: str = ""
    ca_file: Path = field(default_factory=Path)

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.urls["forward"].rpartition("//")[2].rpartition(":")
        return host, int(port)

    def trusting(self, *alpn: str) -> ssl.SSLContext:
        context = ssl.create_default_context(cadata=self.bundle)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context

    async def learn(self) -> None:
        """Make the applications and export the authority, with the real commands."""
        self.key = await PanlessProcess(self.config).add_app("shop")
        self.other_key = await PanlessProcess(self.config).add_app("other-app")
        await self.export()

    async def export(self) -> None:
        done = await panless("ca", "export", "-c", self.config)
        assert done.code == 0, done.err
        self.bundle = done.out
        self.ca_file = self.config.parent / "ca.pem"
        self.ca_file.write_text(done.out)


@asynccontextmanager
async def forwarding(folder: Path, *, in_process: bool = False, head: str = "") -> AsyncIterator[ForwardWorld]:
    """Run Panless as `serve` does (on uvloop), or in this process on asyncio's own loop."""
    async with recording() as app, recording() as gateway:
        config = configuration.write(folder, app.url, gateway.url, head=head + LISTEN, extra=routes(gateway.url))
        if in_process:
            running = Panless(load(config))
            await running.start()
            try:
                world = ForwardWorld(config, running.urls, app, gateway, running=running)
                await world.learn()
                yield world
            finally:
                await running.stop()
            return
        async with serving(config) as process:
            world = ForwardWorld(config, process.urls, app, gateway, process=process)
            await world.learn()
            yield world


@dataclass
class Answer:
    """An answer as it came."""

    status: int
    headers: dict[str, str]
    body: bytes


class Client:
    """A connection on which a test says exactly what it sends."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, world: ForwardWorld, **options) -> Client:
        return cls(*await asyncio.open_connection(*world.address, **options))

    async def say(self, data: bytes | str) -> Answer:
        self.writer.write(data.encode("latin-1") if isinstance(data, str) else data)
        return await self.answer()

    async def answer(self) -> Answer:
        head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 20)).decode("latin-1")
        line, *rest = head.removesuffix("\r\n\r\n").split("\r\n")
        headers = {name.lower(): value for name, value in (each.split(": ", 1) for each in rest)}
        body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return Answer(int(line.split()[1]), headers, body)

    async def tunnel(self, to: str = f"{HOST}:443", *lines: str) -> Answer:
        return await self.say("\r\n".join([f"CONNECT {to} HTTP/1.1", f"Host: {to}", *lines, "", ""]))

    async def tls(self, context: ssl.SSLContext, name: str | None = HOST) -> None:
        await asyncio.wait_for(self.writer.start_tls(context, server_hostname=name), 20)

    async def rest(self) -> bytes:
        """Return what comes until the other side closes."""
        return await asyncio.wait_for(self.reader.read(), 30)

    def close(self) -> None:
        self.writer.close()


def proxy_authorization(key: str) -> str:
    return f"Proxy-Authorization: Bearer {key}"
