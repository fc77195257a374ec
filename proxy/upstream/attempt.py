"""One attempt at a request: how far it has come, and how long it may stay there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextvars import ContextVar
from enum import Enum

from proxy.config.upstreams import TimeoutConfig
from proxy.errors import Reached
from proxy.upstream.errors import (
    UpstreamConnectTimeout,
    UpstreamFirstByteTimeout,
    UpstreamStalled,
    UpstreamTimeout,
    UpstreamTlsTimeout,
    UpstreamWholeTimeout,
)


class Phase(Enum):
    """How far an attempt has come, in order. From COLLECTING on the upstream may have got something."""

    CONNECTING = "connecting"
    HANDSHAKE = "handshake"
    CONNECTED = "connected"  # what was recorded is being compared with the certificate
    COLLECTING = "collecting"  # waiting for the client's next piece of a body that streams
    SENDING = "sending"  # waiting for the upstream to take that piece
    WAITING = "waiting"  # for the answer


_UNSENT = (Phase.CONNECTING, Phase.HANDSHAKE, Phase.CONNECTED)
_CODES: dict[Phase, type[UpstreamTimeout]] = {
    Phase.CONNECTING: UpstreamConnectTimeout,
    Phase.HANDSHAKE: UpstreamTlsTimeout,
    Phase.SENDING: UpstreamStalled,
    Phase.WAITING: UpstreamFirstByteTimeout,
}


class Attempt:
    """`ends`: when the loop's clock says that the whole is over. `taken`: a piece of a streaming body was asked for."""

    def __init__(self, route: str, timeouts: TimeoutConfig, ends: float, *, streams: bool = False) -> None:
        self.phase = Phase.CONNECTING
        self.taken = False
        self.ends = ends
        self._route = route
        self._streams = streams
        self._seconds = {
            Phase.CONNECTING: timeouts.connect,
            Phase.HANDSHAKE: timeouts.tls,
            Phase.SENDING: timeouts.between_bytes,
            Phase.WAITING: timeouts.first_byte,
        }
        self._timer: asyncio.Timeout | None = None
        self._until = ends
        self._bell: asyncio.TimerHandle | None = None
        self._bell_at = ends

    @property
    def reached(self) -> Reached:
        return "no" if self.phase in _UNSENT else "maybe"

    @property
    def is_repeated(self) -> bool:
        """Whether something was sent already, so that whoever sends again does it behind our back."""
        return self.phase not in _UNSENT

    def begin(self, timer: asyncio.Timeout) -> None:
        """Let this timer, which has just been entered, run by the phases."""
        self._timer = timer
        self.enter(Phase.CONNECTING)

    def enter(self, phase: Phase) -> None:
        """Go on to a phase with its own time, unless the attempt is over."""
        if self._timer is None or self._timer.expired():
            return
        self.phase = phase
        seconds = self._seconds.get(phase)
        loop = asyncio.get_running_loop()
        self._until = self.ends if seconds is None else min(loop.time() + seconds, self.ends)
        # Most attempts are over long before: a time that moves back is looked at when the bell rings.
        if self._bell is None or self._until < self._bell_at:
            self._wind()

    def _wind(self) -> None:
        if self._bell is not None:
            self._bell.cancel()
        self._bell_at = self._until
        self._bell = asyncio.get_running_loop().call_at(self._until, self._ring)

    def _ring(self) -> None:
        now = asyncio.get_running_loop().time()
        if now < self._until:
            self._wind()
        elif self._timer is not None and not self._timer.expired():
            self._timer.reschedule(now)

    def handshake(self) -> None:
        """A TLS handshake begins."""
        self.enter(Phase.HANDSHAKE)

    def connected(self) -> None:
        """There is a connection, and nothing was sent over it."""
        self.enter(Phase.CONNECTED)

    def sending(self) -> None:
        """The request is on its way from now on."""
        self.enter(Phase.COLLECTING if self._streams else Phase.WAITING)

    def over(self) -> None:
        """What comes later changes nothing: the answer is there, or there will be none."""
        self._timer = None
        if self._bell is not None:
            self._bell.cancel()

    async def upload(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield a body that streams. While the client's next piece is waited for, only the whole's time runs."""
        self.taken = True
        async for piece in body:
            self.enter(Phase.SENDING)
            yield piece
            self.enter(Phase.COLLECTING)
        self.enter(Phase.WAITING)

    def timed_out(self) -> UpstreamTimeout:
        """Return what to raise after the timer's end."""
        cls = UpstreamWholeTimeout if self._until >= self.ends else _CODES.get(self.phase, UpstreamWholeTimeout)
        return cls(reached=self.reached, route=self._route)


current: ContextVar[Attempt | None] = ContextVar("current", default=None)
