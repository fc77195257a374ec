"""One attempt at a request: how far it has come, and how long it may stay there."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from enum import Enum
from typing import Any, TypeVar

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

Given = TypeVar("Given")


class Late(Exception):
    """The time of a phase is over."""


class Phase(Enum):
    """How far an attempt has come, in order. From COLLECTING on the upstream may have got something.

    `setting` is the time-out that runs in it. While the client is waited for, or our own database, it is that of the
    whole.
    """

    CONNECTING = "connecting", "connect"
    HANDSHAKE = "handshake", "tls"
    CONNECTED = "connected", ""  # what was recorded is being compared with the certificate
    COLLECTING = "collecting", ""  # waiting for the client's next piece of a body that streams
    SENDING = "sending", "between_bytes"  # waiting for the upstream to take that piece
    WAITING = "waiting", "first_byte"  # for the answer

    def __init__(self, _name: str, setting: str) -> None:
        self.setting = setting


_UNSENT = (Phase.CONNECTING, Phase.HANDSHAKE, Phase.CONNECTED)
_CODES: dict[Phase, type[UpstreamTimeout]] = {
    Phase.CONNECTING: UpstreamConnectTimeout,
    Phase.HANDSHAKE: UpstreamTlsTimeout,
    Phase.SENDING: UpstreamStalled,
    Phase.WAITING: UpstreamFirstByteTimeout,
}


class Attempt:
    """`ends`: when the loop's clock says that the whole is over. `until`: when its phase is. `taken`: a piece of a
    streaming body was asked for.
    """

    __slots__ = ("_loop", "_route", "_timeouts", "ends", "phase", "taken", "until")

    def __init__(self, loop: asyncio.AbstractEventLoop, route: str, timeouts: TimeoutConfig, ends: float) -> None:
        self._loop = loop
        self.phase = Phase.CONNECTING
        self.taken = False
        self.ends = self.until = ends
        self._route = route
        self._timeouts = timeouts

    @property
    def reached(self) -> Reached:
        return "no" if self.phase in _UNSENT else "maybe"

    def enter(self, phase: Phase) -> float:
        """Go on to a phase; return until when it may last."""
        self.phase = phase
        self.until = self.ends
        if phase.setting:
            until = self._loop.time() + getattr(self._timeouts, phase.setting)
            self.until = min(until, self.ends)
        return self.until

    def timed_out(self) -> UpstreamTimeout:
        """Return what to raise when its time is over."""
        cls = UpstreamWholeTimeout if self.until >= self.ends else _CODES.get(self.phase, UpstreamWholeTimeout)
        return cls(reached=self.reached, route=self._route)


async def in_time(until: float, work: Coroutine[Any, Any, Given]) -> Given:
    """Return what the work returns; raises Late when the loop's clock says `until`, and what the work raises."""
    timer = asyncio.timeout_at(until)
    try:
        async with timer:
            return await work
    except TimeoutError:
        if timer.expired():
            raise Late from None
        raise  # the operating system's own
