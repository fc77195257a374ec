"""Writes answers, no faster than the client takes them."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator

from proxy.serving.answer import Answer, answer_head, has_body
from proxy.serving.request import Request
from proxy.wire.heads import LAST_CHUNK, chunk

# A client that takes nothing for so long is cut off.
STALL_SECONDS = 60.0
# Copied into one piece with its head.
_SMALL = 64 * 1024
_PIECE = 256 * 1024
# What SO_LINGER takes for an end without delay: a reset.
_RESET = struct.pack("ii", 1, 0)


class ClientGone(ConnectionResetError):
    """Nobody is there to be answered, or an answer cannot be made whole any more."""


class Outlet:
    """The writing side of one connection."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._writable: asyncio.Future[None] | None = None
        self.is_full = False

    def open(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def close(self) -> None:
        """Nobody is there any more."""
        self._transport = None
        if self._writable is not None and not self._writable.done():
            self._writable.set_exception(ClientGone())

    def resume(self) -> None:
        self.is_full = False
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    def reset(self) -> None:
        """Close such that what was sent does not look whole, even where the end of the connection is that of a body."""
        transport = self._transport
        if transport is not None:
            sock = transport.get_extra_info("socket")
            if sock is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            transport.abort()

    def write(self, data: bytes | memoryview) -> None:
        """Write; raises ClientGone."""
        if self._transport is None or self._transport.is_closing():
            raise ClientGone
        self._transport.write(data)

    async def send(self, request: Request, answer: Answer) -> None:
        """Send a whole answer; raises ClientGone, HeadInvalid while nothing was sent, and what the body does."""
        body, connection = answer.body, _connection(request, answer)
        if not has_body(request.method, answer.status):
            framing = ""
            if isinstance(body, bytes) and request.method == "HEAD" and body:
                framing = f"Content-Length: {len(body)}"
            self._begin(request, answer_head(answer, framing, connection))
        elif isinstance(body, bytes):
            head = answer_head(answer, f"Content-Length: {len(body)}", connection)
            small = len(body) <= _SMALL
            self._begin(request, head + body if small else head)
            if not small:
                await self._write_in_pieces(body)
        else:
            await self._stream(request, answer, body)
        if self.is_full:
            await self._drained()

    async def _write_in_pieces(self, body: bytes) -> None:
        """Who takes some of it in time gets the rest, too."""
        whole = memoryview(body)
        for at in range(0, len(body), _PIECE):
            self.write(whole[at : at + _PIECE])
            if self.is_full:
                await self._drained()

    def _begin(self, request: Request, data: bytes) -> None:
        self.write(data)
        request.answered = True

    async def _stream(self, request: Request, answer: Answer, body: AsyncIterator[bytes]) -> None:
        length = answer.headers.get("Content-Length")
        chunked = length is None and request.version == "1.1"
        if length is None and not chunked:
            answer.closes, request.keep_alive = True, False  # the end of the connection is that of the answer
        framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {length}" if length is not None else ""
        self._begin(request, answer_head(answer, framing, _connection(request, answer)))
        left = int(length) if length is not None else None
        async for piece in body:
            if left is not None and (left := left - len(piece)) < 0:
                raise ClientGone
            if piece:
                self.write(chunk(piece) if chunked else piece)
                if self.is_full:
                    await self._drained()
        if left:
            raise ClientGone
        if chunked:
            self.write(LAST_CHUNK)

    async def _drained(self) -> None:
        """Wait until the client has taken enough; raises ClientGone."""
        if self._transport is None:
            raise ClientGone
        transport, self._writable = self._transport, self._loop.create_future()
        try:
            async with asyncio.timeout(STALL_SECONDS):
                await self._writable
        except TimeoutError:
            transport.abort()
            raise ClientGone from None
        finally:
            self._writable = None


def _connection(request: Request, answer: Answer) -> str:
    if answer.closes:
        return "close"
    return "keep-alive" if request.version == "1.0" else ""
