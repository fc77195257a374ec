"""An upstream that plays a script: what it does with each connection is a coroutine of the test."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Scripted:
    """`requests`: for each connection what it brought, head and body."""

    url: str = ""
    requests: list[list[bytes]] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def connections(self) -> int:
        return len(self.requests)


async def request(reader: asyncio.StreamReader) -> bytes:
    """Read a request with a Content-Length, or without a body."""
    head = await reader.readuntil(b"\r\n\r\n")
    _, _, length = head.lower().partition(b"content-length:")
    return head + await reader.readexactly(int(length.split(b"\r\n")[0] or 0))


def answering(*answers: bytes, always: bytes = OK) -> Script:
    """Answer requests on a connection with these, then always with that one; close after an empty one."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        left = list(answers)
        while True:
            await request(reader)
            answer = left.pop(0) if left else always
            if not answer:
                return
            writer.write(answer)
            await writer.drain()

    return script


@asynccontextmanager
async def scripted(script: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[Scripted]:
    made = Scripted()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.requests.append([])
        with suppress(asyncio.IncompleteReadError, OSError):
            await script(reader, writer)
        writer.close()
        made.ended.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    made.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.close()
