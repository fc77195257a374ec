"""One connection to an upstream: a request goes out, its answer comes in, and only then the next request may go.

Time-outs are told by whoever uses it, by `watch`.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import cast

from proxy.upstream.answer_reader import AnswerMalformed, AnswerReader, State
from proxy.upstream.attempt import Late
from proxy.wire.deadline import Deadline

# So many bytes of a body are kept for somebody who reads slowly; then the upstream has to wait.
_HIGH = 256 * 1024


class Disconnected(ConnectionError):
    """The upstream closed the connection before its answer was whole."""


class Connection(asyncio.Protocol):
    """`certificate`: SHA-256 (hex) of the upstream's certificate; None without TLS.

    `ended` is called once, when the whole answer is there.
    """

    def __init__(self) -> None:
        self.certificate: str | None = None
        self.reader = AnswerReader()
        self.ended: Callable[[], None] | None = None
        self.kept_until = 0.0
        self.loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport = _NOWHERE
        self._failure: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._is_full = False  # of what was written
        self._is_paused = False  # in reading
        self._deadline = Deadline(self.loop, self.expire)
        self.watch = self._deadline.set
        """Let what is waited for fail with Late when the loop's clock says so; None: not at all."""

    @property
    def is_open(self) -> bool:
        """Whether it can take a request: it is there, and nothing came that nobody asked for."""
        return self._failure is None and self.reader.is_reusable

    @property
    def has_sent(self) -> bool:
        """Whether all that was written is out."""
        return not self._transport.get_write_buffer_size()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._failure is not None:
            return
        reader = self.reader
        before = reader.state
        try:
            reader.feed(data)
        except AnswerMalformed as error:
            self._fail(error)
            return
        if before is State.IDLE:
            self.abort()
            return
        if reader.state is State.DONE:
            self._end()
        elif reader.held > _HIGH and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()
        if reader.state is not State.HEAD:
            if before is State.HEAD:
                self.watch(None)  # the head came in time
            self._wake()

    def eof_received(self) -> None:
        if self._failure is None and self._was_told() and self.reader.end():
            self._end()
            self._wake()
        self._break()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature; it may quote
        self._break()
        self._deadline.cancel()

    def _was_told(self) -> bool:
        """Tell whether it is the upstream that ends the connection. Below TLS, anybody can (RFC 9112, section 9.8)."""
        tls = self._transport.get_extra_info("ssl_object")
        try:
            return tls is None or not tls.read(1)
        except ssl.SSLError:
            return False

    def _break(self) -> None:
        self._fail(AnswerMalformed() if self.reader.state is State.BODY else Disconnected())

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    def ask(self, method: str, head: bytes) -> None:
        """Send a request's head, or the whole of it, and expect its answer."""
        self.reader.expect(method)
        self._transport.write(head)

    def write(self, data: bytes) -> None:
        """Send more of a request."""
        self._transport.write(data)

    async def drained(self) -> None:
        """Wait until the upstream has taken enough of what was written; raises what went wrong."""
        if self._failure is not None:
            raise self._failure
        if self._is_full:
            self._writable = self.loop.create_future()
            try:
                await self._writable
            finally:
                self._writable = None

    async def head(self) -> None:
        """Wait until the answer's head is there; raises Late, Disconnected or AnswerMalformed."""
        while self.reader.state is State.HEAD:
            await self._arrival()

    async def piece(self) -> bytes:
        """Return what has come of the answer's body, or nothing at its end; raises like `head`."""
        while not self.reader.pieces:
            if self.reader.state is State.DONE:
                return b""
            await self._arrival()
        if self._is_paused:
            self._is_paused = False
            self._transport.resume_reading()
        return self.reader.take()

    def idle(self) -> None:
        """Forget the answer: the connection waits for its next request."""
        self.watch(None)
        self.ended = None
        self.reader.state = State.IDLE

    def expire(self) -> None:
        """Close at once: who waits, and who comes later, gets Late."""
        self._fail(Late())
        self._transport.abort()

    def abort(self) -> None:
        """Close at once, whatever is under way."""
        self._fail(Disconnected())
        self._transport.abort()

    async def _arrival(self) -> None:
        if self._failure is not None:
            raise self._failure
        self._waiter = self.loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _end(self) -> None:
        ended, self.ended = self.ended, None
        if ended is not None:
            ended()

    def _fail(self, failure: Exception) -> None:
        """Let who waits, and who comes later, get the first failure. A body that is all there can still be read."""
        if self._failure is None:
            self._failure = failure
        for waiter in (self._waiter, self._writable):
            if waiter is not None and not waiter.done():
                waiter.set_exception(self._failure)


# Stands where the transport will be, so that nobody has to ask whether it is there yet.
_NOWHERE = asyncio.Transport()
