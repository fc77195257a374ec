"""A time by which something has to happen, moved often: one timer serves them all.

A time that moves back is looked at when the timer rings; only one that comes sooner winds the timer anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Deadline:
    """Calls `ring` once when the loop's clock says `until`. Without one it waits for nothing."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop = loop
        self._ring = ring
        self._until: float | None = None
        self._bell: asyncio.TimerHandle | None = None
        self._bell_at = 0.0

    def set(self, until: float | None) -> None:
        """Move it; None: nothing has to happen."""
        self._until = until
        if until is not None and (self._bell is None or until < self._bell_at):
            self._wind(until)

    def cancel(self) -> None:
        """Forget it for good."""
        self._until = None
        if self._bell is not None:
            self._bell.cancel()
            self._bell = None

    def _wind(self, until: float) -> None:
        if self._bell is not None:
            self._bell.cancel()
        self._bell_at = until
        self._bell = self._loop.call_at(until, self._rung)

    def _rung(self) -> None:
        self._bell = None
        until = self._until
        if until is None:
            return
        if self._loop.time() < until:
            self._wind(until)
        else:
            self._until = None
            self._ring()
