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
# So much is read at once: of very small requests, these are some hundred.
_SLICE = 16 * 1024


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
        self._unread = b""  # requests that came with others, which wait themselves
        self._is_busy = False
        self._is_paused = False
        self._times_head = False
        self.refusal: RequestError | None = None
        self.has_ended = False

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being handled, and nothing of a request has come."""
        return not (self._is_busy or self._reader.requests or self._reader.in_head or self._unread)

    def open(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def feed(self, data: bytes) -> None:
        """Take what has arrived."""
        if self.has_ended or self.refusal is not None:
            return
        if self._unread:
            self._unread += data
        else:
            self._take(data)

    def _take(self, data: bytes) -> None:
        """Read requests until one waits for its turn; the rest is read when it has it."""
        reader, at = self._reader, 0
        try:
            while at < len(data) and not self._unread:
                end = at + _SLICE
                reader.feed(data[at:end] if at or end < len(data) else data)
                at = end
                if at < len(data) and self._has_waiting:
                    self._unread = data[at:]
        except RequestError as error:
            self._refuse(error)
        self._wake(self._reading)
        if self._has_waiting or (reader.newest is not None and reader.newest.held > _HIGH):
            self._pause()
        if reader.in_head and not self._is_busy and not self._times_head:
            self._times_head = True
            self._deadline.set(self._loop.time() + HEAD_SECONDS)
        self._wake(self._waiter)

    @property
    def _has_waiting(self) -> bool:
        return len(self._reader.requests) > (not self._is_busy)

    def _take_unread(self) -> None:
        data, self._unread = self._unread, b""
        self._take(data)
        if self.has_ended and not self._unread:
            self._break_body()

    def end(self) -> None:
        """Nothing more comes; what has come still counts."""
        self.has_ended = True
        if not self._unread:
            self._break_body()
        self._wake(self._waiter)

    def close(self) -> None:
        """Nobody is there any more."""
        self._unread = b""
        self._deadline.cancel()
        self.end()

    async def next(self) -> Request | None:
        """Return the next request, which is being handled until `done`; None if there is none to come."""
        requests = self._reader.requests
        if not self._times_head:
            self._deadline.set(self._loop.time() + KEEP_SECONDS)
        while not requests:
            if self._unread and self.refusal is None:
                self._take_unread()
                continue
            if self.refusal is not None or self.has_ended:
                return None
            self._resume()
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
        if self._unread:
            self._take_unread()
            return
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
