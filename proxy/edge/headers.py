"""Which headers travel on, and which belong to one hop (RFC 9110, section 7.6.1)."""

from __future__ import annotations

from collections.abc import Sequence, Set

from multidict import CIMultiDict

from proxy.errors import MethodNotAllowed
from proxy.serving.request import Request
from proxy.wire.heads import Header

_CONNECTION = "connection"
_HOP_BY_HOP = frozenset(
    {
        _CONNECTION,
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# What a client may not take away from the receiver by naming it in Connection.
_NEEDED = frozenset(
    {
        "authorization",
        "content-encoding",
        "content-length",
        "content-type",
        "cookie",
        "host",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-request-id",
    }
)
_NEVER_FORWARDED = {"CONNECT", "TRACE"}  # TRACE echoes what it got, with the gateway's secret


def check_method(request: Request) -> None:
    """Refuse what is never forwarded, whatever the route."""
    if request.method in _NEVER_FORWARDED:
        raise MethodNotAllowed(route="(any)")


def end_to_end(headers: Sequence[Header], drop: Set[str] = frozenset()) -> CIMultiDict[str]:
    """Return the headers that travel on, in order and spelled as they came, without those in `drop` (lower case)."""
    kept: list[tuple[str, str]] = []
    named: set[str] = set()
    for lower, name, value in headers:
        if lower in _HOP_BY_HOP:
            if lower == _CONNECTION:
                named.update(option.strip().lower() for option in value.split(","))
        elif lower not in drop:
            kept.append((name, value))
    if named and (left_out := named - _NEEDED):
        kept = [each for each in kept if each[0].lower() not in left_out]
    return CIMultiDict(kept)
