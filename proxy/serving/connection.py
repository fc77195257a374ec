"""One connection of a client: its requests are handled one after the other, and each gets its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, cast

from proxy.errors import HeadTimeout, RequestError
from proxy.serving.answer import Answer
from proxy.serving.request import Request
from proxy.serving.request_reader import RequestReader
from proxy.serving.sending import Outlet
from proxy.wire.client_certificate import client_certificate
from proxy.wire.deadline import Deadline

KEEP_SECONDS = 75.0
HEAD_SECONDS = 30.0
# What a client still sends when its answer is out is dropped for so long: closing at once could lose it the answer.
LINGER_SECONDS = 5.0
REFUSED_SECONDS = 1.0
# So many bytes of a body wait for whoever reads it; then the client has to wait.
_HIGH = 256 * 1024

Handler = Callable[[Request], Awaitable[None]]
"""Answers a request by its client's `send`; raises ConnectionError where that cannot be done."""


class Serving(Protocol):
    """What a connection needs of its server."""

    handler: Handler
    refused: Callable[[RequestError], Answer]
    is_stopping: bool
    connections: set[Connection]

    def left(self, connection: Connection) -> None: ...


class Connection(asyncio.Protocol):
    """The client of its requests (`proxy.serving.request.Client`)."""

    def __init__(self, server: Serving) -> None:
        self.remote: str | None = None
        self.scheme = "http"
        self.certificate: bytes | None = None
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._deadline = Deadline(self._loop, self._ring)
        self._reader = RequestReader(self)
        self._transport: asyncio.Transport = _NOWHERE
        self._outlet = Outlet(self._loop)
        self._serving: asyncio.Task[None] | None = None
        self._waiter: asyncio.Future[None] | None = None  # for a request
        self._reading: asyncio.Future[None] | None = None  # for more of a body
        self._busy: Request | None = None
        self._refusal: RequestError | None = None
        self._is_deaf = False  # to what comes
        self._has_ended = False  # nothing more comes
        self._is_paused = False
        self._times_head = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._outlet.open(self._transport)
        peer = transport.get_extra_info("peername")
        self.remote = peer[0] if peer else None
        if transport.get_extra_info("ssl_object") is not None:
            self.scheme = "https"
            self.certificate = client_certificate(transport)
        self._server.connections.add(self)
        self._serving = self._loop.create_task(self._serve())

    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            return
        reader = self._reader
        try:
            reader.feed(data)
        except RequestError as error:
            self._refuse(error)
        newest = reader.newest
        if newest is not None:
            self._more()
            if newest.held > _HIGH or len(reader.requests) > (self._busy is None):
                self._pause()
        if reader.in_head and self._busy is None and not self._times_head:
            self._times_head = True
            self._deadline.set(self._loop.time() + HEAD_SECONDS)
        self._wake()

    def eof_received(self) -> bool:
        self._has_ended = self._is_deaf = True
        self._break_body()
        self._wake()
        # Who has said all may still listen; below TLS nobody can.
        return self.scheme == "http" and (self._busy is not None or bool(self._reader.requests))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature; it may quote
        # What is being handled goes on: a gateway may have done its work.
        self._has_ended = self._is_deaf = True
        self._deadline.cancel()
        self._outlet.close()
        self._break_body()
        self._server.left(self)
        self._wake()

    def pause_writing(self) -> None:
        self._outlet.is_full = True

    def resume_writing(self) -> None:
        self._outlet.resume()

    # What requests call.

    async def more(self) -> None:
        """Wait until more of a body is there, or it is known that no more comes."""
        self._resume()
        waiter = self._reading = self._loop.create_future()
        try:
            await waiter
        finally:
            if self._reading is waiter:  # who was cancelled may have been followed already
                self._reading = None

    def interim(self) -> None:
        """Ask for the body (RFC 9110, section 10.1.1)."""
        self._outlet.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def send(self, request: Request, answer: Answer) -> Awaitable[None]:
        """Send the answer to a request; raises ConnectionError if nobody is there any more, or what the body does."""
        if not request.keep_alive or self._server.is_stopping or self._has_ended or self._refusal is not None:
            answer.closes = True
        if answer.closes:
            request.keep_alive = False
        return self._outlet.send(request, answer)

    # What the server calls.

    def stop(self) -> None:
        """Close if nothing is being handled; else after the answer."""
        if self._busy is None and not self._reader.requests and not self._reader.in_head:
            self._transport.close()

    def abort(self) -> None:
        """Close at once, whatever is under way."""
        if self._serving is not None:
            self._serving.cancel()
        self._transport.abort()

    async def _serve(self) -> None:
        try:
            while (request := await self._next()) is not None:
                self._busy = request
                await self._server.handler(request)
                if not request.is_whole:
                    await self._linger(request)
                self._busy = None
                if not request.keep_alive:
                    break
            if self._refusal is not None:
                await self._tell(self._refusal)
        except ConnectionError:
            self._transport.abort()
        finally:
            self._transport.close()

    async def _next(self) -> Request | None:
        """Return the next request; None if there is none to come."""
        requests = self._reader.requests
        while not requests:
            if self._refusal is not None or self._has_ended or (self._server.is_stopping and not self._reader.in_head):
                return None
            self._resume()
            await self._arrival()
        self._times_head = False
        self._deadline.set(None)
        return requests.popleft()

    async def _arrival(self) -> None:
        if not self._times_head:
            self._deadline.set(self._loop.time() + KEEP_SECONDS)
        self._waiter = self._loop.create_future()
        await self._waiter

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _more(self) -> None:
        if self._reading is not None and not self._reading.done():
            self._reading.set_result(None)

    async def _linger(self, request: Request) -> None:
        """Drop the rest of a body that nobody reads; a client that goes on sending is cut off."""
        self._deadline.set(self._loop.time() + LINGER_SECONDS)
        while not request.is_whole and not request.failed:
            request.take()
            await self.more()
        if request.failed:
            request.keep_alive = False
        request.take()
        self._deadline.set(None)

    async def _tell(self, error: RequestError) -> None:
        """Answer what cannot be read, and close once the client has got that."""
        request = Request(self, "GET", "/", "1.1", ())
        answer = self._server.refused(error)
        answer.closes = True
        await self._outlet.send(request, answer)
        if self._server.is_stopping:
            return
        self._resume()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._deadline.set(self._loop.time() + REFUSED_SECONDS)
        while not self._has_ended:
            self._waiter = self._loop.create_future()
            await self._waiter

    def _refuse(self, error: RequestError) -> None:
        self._refusal = error
        self._is_deaf = True
        self._break_body()

    def _break_body(self) -> None:
        newest = self._reader.newest
        if newest is not None and not newest.is_whole:
            newest.failed = True
            self._more()

    def _pause(self) -> None:
        if not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._is_paused and not self._transport.is_closing():
            self._is_paused = False
            self._transport.resume_reading()

    def _ring(self) -> None:
        if self._reader.in_head and self._busy is None and self._refusal is None:
            self._refuse(HeadTimeout())
            self._deadline.set(self._loop.time() + LINGER_SECONDS)
            self._wake()
        else:
            self._transport.abort()


# Stands where the transport will be, so that nobody has to ask whether it is there yet.
_NOWHERE = asyncio.Transport()
