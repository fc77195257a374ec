"""The circuit breaker of an upstream: what fails again and again is left alone for a while.

Pure: it is told the time.
"""

from __future__ import annotations

from enum import Enum


class Circuit(Enum):
    """The states, with their numbers in the metrics."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class Breaker:
    """Opens after so many failures in a row, lets one probe through when its time is up, closes when that succeeds.

    Times are seconds of any clock that does not go back. Who is admitted gets the number of the circuit's period;
    what is said with the number of an earlier period changes nothing: it is old news.
    """

    def __init__(self) -> None:
        self._failures = 0
        self._period = 0
        self._opens_at: float | None = None  # None: closed
        self._probing = False

    def circuit(self, now: float) -> Circuit:
        if self._opens_at is None:
            return Circuit.CLOSED
        return Circuit.OPEN if now < self._opens_at and not self._probing else Circuit.HALF_OPEN

    def wait(self, now: float) -> float | None:
        """Return None if a request may go now, else in how many seconds to ask again."""
        if self._opens_at is None:
            return None
        if self._probing:
            return 1.0
        return self._opens_at - now if now < self._opens_at else None

    def admit(self) -> int:
        """Return the number of the period. In a half-open circuit it is that of the probe; `wait` was None before."""
        if self._opens_at is not None:
            self._period += 1
            self._probing = True
        return self._period

    def is_probe(self, period: int) -> bool:
        return self._probing and period == self._period

    def succeeded(self, period: int) -> None:
        if period != self._period:
            return
        self._failures = 0
        if self._probing:
            self._period += 1
            self._opens_at, self._probing = None, False

    def failed(self, period: int, now: float, *, failures: int, open_seconds: float) -> bool:
        """Count a failure; return whether the circuit has opened by it."""
        if period != self._period:
            return False
        self._failures += 1
        if not self._probing and self._failures < failures:
            return False
        self._period += 1
        self._opens_at, self._probing, self._failures = now + open_seconds, False, 0
        return True

    def abandoned(self, period: int) -> None:
        """Count neither way; if it was the probe, another may go."""
        if self.is_probe(period):
            self._period += 1
            self._probing = False
