"""Which headers travel on, and which belong to one hop (RFC 9110, section 7.6.1)."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from aiohttp import web
from multidict import CIMultiDict

from proxy.errors import FramingConflict, MethodNotAllowed, RequestMalformed

RawHeaders = Sequence[tuple[bytes, bytes]]

_HOP_BY_HOP = frozenset(
    {
        "connection",
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


def end_to_end(raw: RawHeaders, drop: Collection[str] = ()) -> CIMultiDict[str]:
    """Return the headers that travel on, in order and spelled as they came, without those in `drop` (lower case)."""
    decoded = [(name.decode("ascii"), value.decode("utf-8", "surrogateescape")) for name, value in raw]
    named = {
        option.strip().lower() for name, value in decoded if name.lower() == "connection" for option in value.split(",")
    }
    left_out = _HOP_BY_HOP | (named - _NEEDED) | set(drop)
    return CIMultiDict([(name, value) for name, value in decoded if name.lower() not in left_out])
