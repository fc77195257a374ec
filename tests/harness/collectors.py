"""Collectors that receive the audit log, on loopback: an HTTP one, and a syslog receiver that reads frames."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web


@dataclass
class Collector:
    """What came; `statuses` are the next answers, 200 afterwards."""

    url: str = ""
    received: list[tuple[dict[str, str], str]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    @property
    def lines(self) -> list[str]:
        return [line for _, text in self.received for line in text.splitlines()]

    async def handle(self, request: web.BaseRequest) -> web.Response:
        text = await request.text()
        status = self.statuses.pop(0) if self.statuses else 200
        if status < 300:
            self.received.append((dict(request.headers), text))
        return web.Response(status=status, headers={"Location": "/elsewhere"})


@asynccontextmanager
async def collecting(tls: ssl.SSLContext | None = None) -> AsyncIterator[Collector]:
    collector = Collector()
    runner = web.ServerRunner(web.Server(collector.handle))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    port = runner.addresses[0][1]
    collector.url = f"{'https' if tls else 'http'}://{'localhost' if tls else '127.0.0.1'}:{port}/log"
    try:
        yield collector
    finally:
        await runner.cleanup()


@dataclass
class Receiver:
    """The messages of the frames that came, and the TLS versions of the connections."""

    port: int = 0
    messages: list[str] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)

    async def read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (tls := writer.get_extra_info("ssl_object")) is not None:
            self.versions.append(tls.version())
        data = await reader.read(-1)
        while data:
            length = re.match(rb"(\d+) ", data)
            assert length, data[:40]
            end = length.end() + int(length[1])
            self.messages.append(data[length.end() : end].decode())
            data = data[end:]
        writer.close()


@asynccontextmanager
async def receiving(tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    receiver = Receiver()
    server = await asyncio.start_server(receiver.read, "127.0.0.1", 0, ssl=tls, limit=2**24)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        await server.wait_closed()
