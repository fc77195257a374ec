"""Receives requests, no faster than they are handled, each in its time."""

from __future__ import annotations

import asyncio

from proxy.errors import HeadTimeout, RequestError
from proxy.serving.request import Client, Request
from proxy.serving.request_reader import RequestReader
from proxy.wire.deadline import Deadline

KEEP_SECONDS = 75.0
HEAD_SECONDS = 30.0
# What a client still sends when its answer is out is dropped for so long: closing at once could lose it the answer.
LINGER_SECONDS = 5.0
REFUSED_SECONDS = 1.0
# So many bytes of a body wait for whoever reads it; then the client has to wait.
_HIGH = 256 * 1024


class Inlet:
    """The reading side of one connection. `refusal` is what could not be read; nothing is read after it.

    `has_ended`: nothing more comes.
    """

    def __init__(self, client: Client, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._reader = RequestReader(client)
        self._deadline = Deadline(loop, self._ring)
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None  # for a request
        self._reading: asyncio.Future[None] | None = None  # for more of a body
        self._is_busy = False
        self._is_paused = False
        self._times_head = False
        self.refusal: RequestError | None = None
        self.has_ended = False

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being handled, and nothing of a request has come."""
        return not (self._is_busy or self._reader.requests or self._reader.in_head)

    def open(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def feed(self, data: bytes) -> None:
        """Take what has arrived."""
        if self.has_ended or self.refusal is not None:
            return
        reader = self._reader
        try:
            reader.feed(data)
        except RequestError as error:
            self._refuse(error)
        newest = reader.newest
        if newest is not None:
            self._wake(self._reading)
            if newest.held > _HIGH or len(reader.requests) > (not self._is_busy):
                self._pause()
        if reader.in_head and not self._is_busy and not self._times_head:
            self._times_head = True
            self._deadline.set(self._loop.time() + HEAD_SECONDS)
        self._wake(self._waiter)

    def end(self) -> None:
        """Nothing more comes."""
        self.has_ended = True
        self._break_body()
        self._wake(self._waiter)

    def close(self) -> None:
        """Nobody is there any more."""
        self._deadline.cancel()
        self.end()

    async def next(self) -> Request | None:
        """Return the next request, which is being handled until `done`; None if there is none to come."""
        requests = self._reader.requests
        while not requests:
            if self.refusal is not None or self.has_ended:
                return None
            self._resume()
            if not self._times_head:
                self._deadline.set(self._loop.time() + KEEP_SECONDS)
            self._waiter = self._loop.create_future()
            await self._waiter
        self._times_head = False
        self._deadline.set(None)
        self._is_busy = True
        return requests.popleft()

    async def done(self, request: Request) -> None:
        """Let the next request come, once the rest of this one's body is dropped; who sends on and on is cut off."""
        if not request.is_whole:
            await self._drop_rest(request)
        self._is_busy = False

    async def _drop_rest(self, request: Request) -> None:
        self._deadline.set(self._loop.time() + LINGER_SECONDS)
        while not request.is_whole and not request.failed:
            request.take()
            await self.more()
        if request.failed:
            request.keep_alive = False
        request.take()
        self._deadline.set(None)

    async def more(self) -> None:
        """Wait until more of a body is there, or it is known that no more comes."""
        self._resume()
        waiter = self._reading = self._loop.create_future()
        try:
            await waiter
        finally:
            if self._reading is waiter:  # who was cancelled may have been followed already
                self._reading = None

    async def linger(self) -> None:
        """Drop what still comes for a while, so that the client gets its last answer."""
        self._resume()
        self._deadline.set(self._loop.time() + REFUSED_SECONDS)
        while not self.has_ended:
            self._waiter = self._loop.create_future()
            await self._waiter

    def _refuse(self, error: RequestError) -> None:
        self.refusal = error
        self._break_body()

    def _break_body(self) -> None:
        newest = self._reader.newest
        if newest is not None and not newest.is_whole:
            newest.failed = True
            self._wake(self._reading)

    def _wake(self, waiter: asyncio.Future[None] | None) -> None:
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _pause(self) -> None:
        if not self._is_paused and self._transport is not None:
            self._is_paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._is_paused and self._transport is not None and not self._transport.is_closing():
            self._is_paused = False
            self._transport.resume_reading()

    def _ring(self) -> None:
        if self._reader.in_head and not self._is_busy and self.refusal is None:
            self._refuse(HeadTimeout())
            self._deadline.set(self._loop.time() + LINGER_SECONDS)
            self._wake(self._waiter)
        elif self._transport is not None:
            self._transport.abort()
