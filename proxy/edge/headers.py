"""Which headers travel on, and which belong to one hop (RFC 9110, section 7.6.1)."""

from __future__ import annotations

from collections.abc import Sequence, Set

from aiohttp import web
from multidict import CIMultiDict

from proxy.errors import FramingConflict, MethodNotAllowed, RequestMalformed

RawHeaders = Sequence[tuple[bytes, bytes]]

_CONNECTION = b"connection"
_HOP_BY_HOP = frozenset(
    {
        _CONNECTION,
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
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


def check_framing(request: web.BaseRequest) -> None:
    """Refuse what receivers could frame differently (RFC 9112, section 6.3)."""
    encodings = request.headers.getall("Transfer-Encoding", [])
    if encodings and request.headers.getall("Content-Length", []):
        raise FramingConflict
    if encodings and [each.strip().lower() for each in encodings] != ["chunked"]:
        raise RequestMalformed
    if len(request.headers.getall("Host", [])) > 1:
        raise RequestMalformed
    if request.method in _NEVER_FORWARDED:
        raise MethodNotAllowed(route="(any)")


def end_to_end(raw: RawHeaders, drop: Set[bytes] = frozenset()) -> CIMultiDict[str]:
    """Return the headers that travel on, in order and spelled as they came, without those in `drop` (lower case)."""
    kept: list[tuple[str, str]] = []
    named: set[str] = set()
    for name, value in raw:
        lower = name.lower()
        if lower in _HOP_BY_HOP:
            if lower == _CONNECTION:
                named.update(option.strip().lower() for option in value.decode("utf-8", "replace").split(","))
        elif lower not in drop:
            kept.append((name.decode("ascii"), value.decode("utf-8", "surrogateescape")))
    if left_out := named - _NEEDED:
        kept = [each for each in kept if each[0].lower() not in left_out]
    return CIMultiDict(kept)
