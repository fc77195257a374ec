"""Answers on their way: an attempt is in flight until its answer's body is read or closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp

from proxy.config.upstreams import TimeoutConfig
from proxy.routes import Route
from proxy.upstream.errors import UpstreamStalled, UpstreamTimeout, UpstreamWholeTimeout
from proxy.upstream.failures import translated
from proxy.upstream.state import Slot

# By these a gateway, or what stands before it, says that it does not work. They count as failures.
UNAVAILABLE = frozenset({502, 503, 504})


class Flight:
    """What is left of an attempt when the head of its answer is there. `ends`: of the whole, by the loop's clock."""

    def __init__(self, slot: Slot, timeouts: TimeoutConfig, ends: float) -> None:
        self.slot = slot
        self.between_bytes = timeouts.between_bytes
        self.ends = ends

    def timed_out(self, until: float, route: Route) -> UpstreamTimeout:
        """Return what to raise. Who reads slowly can use up the whole: only a stall is the upstream's failure."""
        if until >= self.ends:
            return UpstreamWholeTimeout(reached="yes", route=route.name)
        self.slot.failed(UpstreamStalled.code)
        return UpstreamStalled(reached="yes", route=route.name)


class GatewayAnswer(aiohttp.ClientResponse):
    """An answer that gives its slot back when it ends, however it does.

    `in_doubt`: an attempt before the one that it answers may have taken effect.
    """

    flight: Flight | None = None
    in_doubt = False

    def holds(self, flight: Flight) -> None:
        """Take over the slot of the attempt that this is the answer to."""
        self.flight = flight
        if self.status in UNAVAILABLE:
            flight.slot.failed(str(self.status))
        elif flight.slot.is_probe:
            flight.slot.succeeded()
        self.content.on_eof(self._read)

    def _read(self) -> None:
        if self.flight is not None:
            self.flight.slot.succeeded()
            self.flight.slot.leave()

    def close(self) -> None:
        super().close()
        self._leave()

    def release(self) -> object:
        done = super().release()
        self._leave()
        return done

    def _leave(self) -> None:
        if self.flight is not None:
            self.flight.slot.leave()


async def read_answer(answer: aiohttp.ClientResponse, route: Route) -> AsyncIterator[bytes]:
    """Yield the answer's body as it arrives; raises an UpstreamError."""
    flight = answer.flight if isinstance(answer, GatewayAnswer) else None
    while piece := await _piece(answer, flight, route):
        yield piece


async def _piece(answer: aiohttp.ClientResponse, flight: Flight | None, route: Route) -> bytes:
    """Return the next piece, or nothing at the end. Time runs only while the upstream is waited for."""
    until, expired = None, False
    try:
        if flight is None or answer.content.is_eof():
            return await answer.content.readany()  # nothing is to be waited for
        until = min(asyncio.get_running_loop().time() + flight.between_bytes, flight.ends)
        timer = asyncio.timeout_at(until)
        try:
            async with timer:
                return await answer.content.readany()
        finally:
            expired = timer.expired()
    except (aiohttp.ClientError, OSError) as error:  # a TimeoutError is an OSError
        if flight is not None and until is not None and expired:
            raise flight.timed_out(until, route) from None
        failure = translated(error, route.name, "yes")
        if flight is not None:
            flight.slot.failed(failure.code)
        raise failure from None
