"""One connection of a client: its requests are handled one after the other, and each gets its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, cast

from proxy.errors import RequestError
from proxy.serving.answer import Answer
from proxy.serving.receiving import Inlet
from proxy.serving.request import Request
from proxy.serving.sending import Outlet
from proxy.wire.client_certificate import client_certificate

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
        loop = asyncio.get_running_loop()
        self.remote: str | None = None
        self.scheme = "http"
        self.certificate: bytes | None = None
        self._server = server
        self._inlet = Inlet(self, loop)
        self._outlet = Outlet(loop)
        self.data_received = self._inlet.feed  # type: ignore[method-assign]  # a call less for each piece
        self.more = self._inlet.more
        self._transport: asyncio.Transport = _NOWHERE
        self._serving: asyncio.Task[None] | None = None
        self._is_lost = self._is_over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._inlet.open(self._transport)
        self._outlet.open(self._transport)
        peer = transport.get_extra_info("peername")
        self.remote = peer[0] if peer else None
        if transport.get_extra_info("ssl_object") is not None:
            self.scheme = "https"
            self.certificate = client_certificate(transport)
        self._server.connections.add(self)
        if self._server.is_stopping:
            transport.close()
        self._serving = asyncio.get_running_loop().create_task(self._serve())

    def eof_received(self) -> bool:
        self._inlet.end()
        # Who has said all may still listen; below TLS nobody can.
        return self.scheme == "http" and not self._inlet.is_idle

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature; it may quote
        # What is being handled goes on: a gateway may have done its work.
        self._is_lost = True
        self._outlet.close()
        self._inlet.close()
        self._leave()

    def _leave(self) -> None:
        """Tell the server once the connection is lost and nothing is being handled any more."""
        if self._is_lost and (self._is_over or self._inlet.is_idle):
            self._server.left(self)

    def pause_writing(self) -> None:
        self._outlet.is_full = True

    def resume_writing(self) -> None:
        self._outlet.resume()

    def interim(self) -> None:
        """Ask for the body (RFC 9110, section 10.1.1)."""
        self._outlet.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def send(self, request: Request, answer: Answer) -> Awaitable[None]:
        """Send the answer to a request; raises ConnectionError if nobody is there any more, or what the body does."""
        inlet = self._inlet
        if not request.keep_alive or self._server.is_stopping or inlet.has_ended or request.failed:
            answer.closes = True
        if request.expects and not request.is_whole:
            answer.closes = True  # whether the body comes, the client alone knows
        if answer.closes:
            request.keep_alive = False
        return self._outlet.send(request, answer)

    def stop(self) -> None:
        """Close if nothing is being handled; else after the answer."""
        if self._inlet.is_idle:
            self._transport.close()

    def abort(self) -> None:
        """Close at once, whatever is under way."""
        if self._serving is not None:
            self._serving.cancel()
        self._transport.abort()

    async def _serve(self) -> None:
        inlet, handler = self._inlet, self._server.handler
        try:
            while (request := await inlet.next()) is not None:
                await handler(request)
                await inlet.done(request)
                if not request.keep_alive:
                    return
            if inlet.refusal is not None:
                await self._tell(inlet.refusal)
        except ConnectionError:
            self._outlet.reset()
        finally:
            self._is_over = True
            self._transport.close()
            self._leave()

    async def _tell(self, error: RequestError) -> None:
        """Answer what cannot be read, and close once the client has got that."""
        answer = self._server.refused(error)
        answer.closes = True
        await self._outlet.send(Request(self, "GET", "/", "1.1", ()), answer)
        if self._transport.can_write_eof():
            self._transport.write_eof()
        if not self._server.is_stopping:
            await self._inlet.linger()


# Stands where the transport will be, so that nobody has to ask whether it is there yet.
_NOWHERE = asyncio.Transport()
