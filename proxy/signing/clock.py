"""When a signature is in time."""

from __future__ import annotations

from email.utils import parsedate_to_datetime

from proxy.errors import SignatureExpired, SignatureMalformed

_SKEW = 30
"""Seconds that the clock of an application may be ahead."""


def check_age(made: float, now: float, max_age: float) -> None:
    """Raise SignatureExpired if a signature was made too long ago or in the future; `max_age` 0 takes any."""
    if max_age and not now - max_age <= made <= now + _SKEW:
        raise SignatureExpired


def check_begin(begin: float, now: float) -> None:
    if not begin <= now + _SKEW:
        raise SignatureExpired


def check_end(end: float, now: float) -> None:
    if not now < end:
        raise SignatureExpired


def check_date(value: str, now: float, max_age: float) -> None:
    """Check the value of a Date header that a signature covers."""
    if not max_age:
        return
    try:
        made = parsedate_to_datetime(value).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        raise SignatureMalformed from None
    check_age(made, now, max_age)
