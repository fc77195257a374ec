"""Answers on their way: an attempt is in flight until its answer's body is there or given up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import cached_property

from multidict import CIMultiDict

from proxy.config.upstreams import TimeoutConfig
from proxy.routes import Route
from proxy.upstream.answer_reader import AnswerMalformed, State
from proxy.upstream.attempt import Late
from proxy.upstream.connection import Connection
from proxy.upstream.errors import UpstreamStalled, UpstreamTimeout, UpstreamWholeTimeout
from proxy.upstream.failures import translated
from proxy.upstream.pool import Place, Pool
from proxy.upstream.state import Slot
from proxy.wire.heads import first

# By these a gateway, or what stands before it, says that it does not work. They count as failures.
UNAVAILABLE = frozenset({502, 503, 504})


class Flight:
    """What is left of an attempt when the head of its answer is there. `ends`: of the whole, by the loop's clock.

    `upload`: sends on what is left of the request's body.
    """

    def __init__(
        self,
        connection: Connection,
        slot: Slot,
        timeouts: TimeoutConfig,
        ends: float,
        upload: asyncio.Task[None] | None = None,
    ) -> None:
        self.connection = connection
        self.slot = slot
        self.ends = ends
        self._between_bytes = timeouts.between_bytes
        self._upload = upload
        self._until = ends
        if upload is not None:
            upload.add_done_callback(self._uploaded)

    def _uploaded(self, upload: asyncio.Task[None]) -> None:
        if upload.cancelled() or upload.exception() is not None:
            self.connection.abort()  # half a body is out

    def watch(self) -> None:
        """Let the time run in which the next piece has to come."""
        self._until = min(asyncio.get_running_loop().time() + self._between_bytes, self.ends)
        self.connection.watch(self._until)

    def timed_out(self, route: Route) -> UpstreamTimeout:
        """Return what to raise. Who reads slowly can use up the whole: only a stall is the upstream's failure."""
        if self._until >= self.ends:
            return UpstreamWholeTimeout(reached="yes", route=route.name)
        self.slot.failed(UpstreamStalled.code)
        return UpstreamStalled(reached="yes", route=route.name)

    @property
    def is_over(self) -> bool:
        """Whether the request is all out and the answer all there, so that another request may follow."""
        upload = self._upload
        is_out = upload is None or (upload.done() and not upload.cancelled() and upload.exception() is None)
        return is_out and self.connection.reader.is_done and self.connection.has_sent

    def expire(self) -> None:
        """The whole is over, even if it is the client who is waited for: others need the slot."""
        self._until = self.ends
        self.connection.expire()
        self.slot.leave()

    def give_up(self) -> None:
        """Stop sending."""
        if self._upload is not None:
            self._upload.cancel()


class GatewayAnswer:
    """An answer's head, and its body by `read_answer`. It has to be released; its slot it leaves when it ends.

    `in_doubt`: an attempt before the one that it answers may have taken effect.
    """

    def __init__(self, flight: Flight, pool: Pool, place: Place) -> None:
        reader = flight.connection.reader
        self.status: int = reader.status
        self.lines = reader.headers
        self.in_doubt = False
        self.flight = flight
        self._reason = reader.reason
        self._pool = pool
        self._place = place
        self._is_released = False
        self._bell: asyncio.TimerHandle | None = None
        if self.status in UNAVAILABLE:
            flight.slot.failed(str(self.status))
        elif flight.slot.is_probe:
            flight.slot.succeeded()
        if reader.state is State.DONE:
            self._read()
        else:
            flight.connection.ended = self._read
            self._bell = asyncio.get_running_loop().call_at(flight.ends, flight.expire)

    @cached_property
    def headers(self) -> CIMultiDict[str]:
        return CIMultiDict([(name, value) for _, name, value in self.lines])

    @property
    def reason(self) -> str:
        return self._reason.decode("utf-8", "surrogateescape")

    @property
    def content_length(self) -> int | None:
        """The body's length as the answer says it; the reader has seen that it is a number."""
        length = first(self.lines, "content-length")
        return None if length is None else int(length)

    async def __aenter__(self) -> GatewayAnswer:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.release()

    def release(self) -> None:
        """Give the connection back if the answer is whole, else close it. Safe to call again."""
        if self._is_released:
            return
        self._is_released = True
        if self.flight.is_over:
            self._pool.give(self._place, self.flight.connection)
        else:
            self.flight.connection.abort()
        self.flight.give_up()
        self._stop_bell()
        self.flight.slot.leave()

    def _stop_bell(self) -> None:
        if self._bell is not None:
            self._bell.cancel()

    def _read(self) -> None:
        self._stop_bell()
        self.flight.slot.succeeded()
        self.flight.slot.leave()


def body_of(answer: GatewayAnswer, route: Route) -> bytes | AsyncIterator[bytes]:
    """Return the answer's body if it is all there, else what `read_answer` returns."""
    reader = answer.flight.connection.reader
    return reader.take() if reader.is_done else read_answer(answer, route)


async def read_answer(answer: GatewayAnswer, route: Route) -> AsyncIterator[bytes]:
    """Yield the answer's body as it arrives; raises an UpstreamError."""
    while piece := await _piece(answer.flight, route):
        yield piece


async def _piece(flight: Flight, route: Route) -> bytes:
    """Return the next piece, or nothing at the end. Time runs only while the upstream is waited for."""
    reader = flight.connection.reader
    if not reader.pieces and reader.state is State.DONE:
        return b""
    if not reader.pieces:
        flight.watch()
    try:
        return await flight.connection.piece()
    except Late:
        raise flight.timed_out(route) from None
    except (AnswerMalformed, OSError) as error:
        failure = translated(error, route.name, "yes")
        flight.slot.failed(failure.code)
        raise failure from None
    finally:
        flight.connection.watch(None)
