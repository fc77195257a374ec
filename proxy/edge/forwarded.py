"""What a request on its way to an application says of where it came from."""

from __future__ import annotations

from aiohttp import web
from multidict import CIMultiDict

from proxy.edge.exchange import Exchange
from proxy.edge.headers import end_to_end
from proxy.edge.identity import KEY_HEADER
from proxy.edge.problem import REQUEST_ID_HEADER

_REPLACED = frozenset(
    {
        b"host",
        b"expect",
        b"content-length",
        b"x-forwarded-proto",
        b"x-forwarded-host",
        REQUEST_ID_HEADER.lower().encode(),
        KEY_HEADER.lower().encode(),  # meant for Panless; no application may collect others' keys
    }
)


def forwarded(request: web.BaseRequest, exchange: Exchange) -> CIMultiDict[str]:
    """Return the request's headers for the application, with where the request came from (X-Forwarded-*)."""
    headers = end_to_end(request.raw_headers, drop=_REPLACED)
    before = headers.popall("X-Forwarded-For", [])
    headers["X-Forwarded-For"] = ", ".join([*before, exchange.origin or "unknown"])
    headers["X-Forwarded-Proto"] = request.scheme
    if host := request.headers.get("Host"):
        headers["X-Forwarded-Host"] = host
    headers[REQUEST_ID_HEADER] = exchange.request_id
    return headers
