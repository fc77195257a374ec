"""An upstream that keeps every request as the bytes that arrived, and answers as it is told.

It stands where an application or a gateway would. It speaks just enough HTTP/1.1 to read a whole request.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Received:
    """One request: its head as it arrived, and its body with the transfer encoding undone."""

    head: bytes
    body: bytes

    @property
    def method(self) -> str:
        return self.head.split(b" ", 1)[0].decode()

    @property
    def target(self) -> str:
        return self.head.split(b" ", 2)[1].decode()

    @property
    def headers(self) -> list[tuple[str, str]]:
        lines = self.head.split(b"\r\n")[1:]
        pairs = (line.decode("utf-8", "surrogateescape").split(": ", 1) for line in lines if line)
        return [(name, value) for name, value in pairs]

    def header(self, name: str) -> str | None:
        return next((value for each, value in self.headers if each.lower() == name.lower()), None)

    def json(self):
        return json.loads(self.body)


@dataclass
class Answer:
    """What to answer. Instead, `raw` is sent as it is, or `stream` writes what it likes, and the connection closed."""

    status: int = 200
    body: bytes = b'{"ok": true}'
    headers: list[tuple[str, str]] = field(default_factory=lambda: [("Content-Type", "application/json")])
    raw: bytes | None = None
    stream: Callable[[asyncio.StreamWriter], Awaitable[None]] | None = None
    delay: float = 0

    def bytes(self) -> bytes:
        if self.raw is not None:
            return self.raw
        lines = [f"HTTP/1.1 {self.status} Status", *(f"{name}: {value}" for name, value in self.headers)]
        lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + self.body


class RecordingUpstream:
    """`received` grows with every request; `answer` is an Answer, or a function from Received to Answer."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.body_bytes = 0
        self.keep_bodies = True
        self.answer: Answer | Callable[[Received], Answer] = Answer()
        self.port = 0
        self.scheme = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def last(self) -> Received:
        return self.received[-1]

    def reset(self) -> None:
        self.received.clear()
        self.body_bytes = 0
        self.answer = Answer()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                received = Received(head[:-4], await self._body(head.lower(), reader))
                self.received.append(received)
                answer = self.answer if isinstance(self.answer, Answer) else self.answer(received)
                await asyncio.sleep(answer.delay)
                if answer.stream is not None:
                    await answer.stream(writer)
                    break
                writer.write(answer.bytes())
                await writer.drain()
                if answer.raw is not None:
                    break
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.close()

    async def _body(self, head: bytes, reader: asyncio.StreamReader) -> bytes:
        if b"\r\ntransfer-encoding: chunked" in head:
            pieces = []
            while size := int(await reader.readline(), 16):
                pieces.append(await self._piece(reader, size))
                await reader.readline()
            await reader.readline()
            return b"".join(pieces)
        marker = b"\r\ncontent-length: "
        if marker not in head:
            return b""
        return await self._piece(reader, int(head.split(marker, 1)[1].split(b"\r\n", 1)[0]))

    async def _piece(self, reader: asyncio.StreamReader, size: int) -> bytes:
        if self.keep_bodies:
            piece = await reader.readexactly(size)
            self.body_bytes += size
            return piece
        while size:
            piece = await reader.read(min(size, 2**16))
            if not piece:
                raise asyncio.IncompleteReadError(b"", size)
            size -= len(piece)
            self.body_bytes += len(piece)
        return b""


@asynccontextmanager
async def recording(tls: ssl.SSLContext | None = None) -> AsyncIterator[RecordingUpstream]:
    upstream = RecordingUpstream()
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0, ssl=tls, limit=2**17)
    upstream.port = server.sockets[0].getsockname()[1]
    upstream.scheme = "https" if tls else "http"
    try:
        yield upstream
    finally:
        server.close()
