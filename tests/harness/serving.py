"""The server on a real socket with a handler of the test's own, and clients that write what they like."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from proxy.edge.problem import problem
from proxy.errors import RequestError
from proxy.serving.answer import Answer, answer_of
from proxy.serving.request import Request
from proxy.serving.request_reader import RequestReader
from proxy.serving.server import Server

GET = b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /%d HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
SECONDS = 10


class Client:
    """One connection, whose answers are read as they come."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def head(self) -> list[str]:
        data = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), SECONDS)
        return data.decode().lower().split("\r\n")[:-2]

    async def answer(self) -> tuple[int, bytes]:
        lines = await self.head()
        length = next((int(line.partition(":")[2]) for line in lines if line.startswith("content-length")), 0)
        return int(lines[0].split()[1]), await asyncio.wait_for(self.reader.readexactly(length), SECONDS)

    async def rest(self) -> bytes:
        return await asyncio.wait_for(self.reader.read(), SECONDS)


def refused(error: RequestError) -> Answer:
    return problem(error, "req_refused")


@asynccontextmanager
async def serving(
    handler: Callable[[Request], Awaitable[Answer]], server: list[Server] | None = None
) -> AsyncIterator[Callable[[], Awaitable[Client]]]:
    async def handle(request: Request) -> None:
        await request.client.send(request, await handler(request))

    made = Server(handle, refused)
    if server is not None:
        server.append(made)
    listening = await asyncio.get_running_loop().create_server(made, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    clients: list[Client] = []

    async def connect() -> Client:
        clients.append(Client(*await asyncio.open_connection("127.0.0.1", port)))
        return clients[-1]

    try:
        yield connect
    finally:
        for each in clients:
            each.writer.close()
        listening.close()
        await made.stop(SECONDS)
        assert not made.connections


async def echo(request: Request) -> Answer:
    pieces = [request.target.encode()]
    while piece := await request.piece():
        pieces.append(piece)
    return answer_of(b" ".join([pieces[0], b"".join(pieces[1:])]), "text/plain")


async def pieces(*pieces: bytes, breaks: bool = False) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
    if breaks:
        raise ConnectionError


def reset(writer: asyncio.StreamWriter) -> None:
    """Go away without a word."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Nobody:
    """A client that is not there."""

    remote, scheme, certificate = None, "http", None

    async def more(self) -> None: ...

    def interim(self) -> None: ...

    async def send(self, request: Request, answer: Answer) -> None: ...


def read(data: bytes, *, bytewise: bool = False) -> RequestReader:
    reader = RequestReader(Nobody())
    for piece in [data[i : i + 1] for i in range(len(data))] if bytewise else [data]:
        reader.feed(piece)
    return reader
