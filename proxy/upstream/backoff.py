"""How long to wait before a retry, and whether there may be one. Pure: it is told the time and the chance."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

# Retries that are free: without them an upstream with little traffic would never see one.
FEW = 10.0
_LONGEST = 10**9
_MAX_EXPONENT = 60


def full_jitter(retry: int, base: float, cap: float, chance: float) -> float:
    """Return the seconds before a retry, the first being 1: any time up to the exponential one, which has a cap."""
    return chance * min(cap, base * 2.0 ** min(retry - 1, _MAX_EXPONENT))


def retry_after(text: str, now: datetime) -> float | None:
    """Return the seconds that a Retry-After asks for (RFC 9110, section 10.2.3); None if it is neither form of it."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(_LONGEST) if len(text) > 9 else float(text)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)  # obsolete forms name no zone; HTTP's is UTC
    return max(0.0, (at - now).total_seconds())


class RetryBudget:
    """A token bucket: retries are at most a share of the requests, plus a few."""

    def __init__(self) -> None:
        self._tokens = FEW

    def earn(self, share: float) -> None:
        """Put in what one request is worth."""
        self._tokens = min(FEW, self._tokens + share)

    def spend(self) -> bool:
        """Take one retry out; return whether it was there."""
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
