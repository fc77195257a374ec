"""What a request on its way to an application says of where it came from."""

from __future__ import annotations

from multidict import CIMultiDict

from proxy.edge.exchange import Exchange
from proxy.edge.headers import end_to_end
from proxy.edge.identity import KEY_HEADER
from proxy.edge.problem import REQUEST_ID_HEADER
from proxy.serving.request import Request

_REPLACED = frozenset(
    {
        "host",
        "expect",
        "content-length",
        "x-forwarded-proto",
        "x-forwarded-host",
        REQUEST_ID_HEADER.lower(),
        KEY_HEADER.lower(),  # meant for Panless; no application may collect others' keys
    }
)


def forwarded(request: Request, exchange: Exchange) -> CIMultiDict[str]:
    """Return the request's headers for the application, with where the request came from (X-Forwarded-*)."""
    headers = end_to_end(request.lines, drop=_REPLACED)
    before = headers.popall("X-Forwarded-For", ())
    told = [
        ("X-Forwarded-For", ", ".join([*before, exchange.origin or "unknown"])),
        ("X-Forwarded-Proto", request.client.scheme),
        (REQUEST_ID_HEADER, exchange.request_id),
    ]
    if host := request.first("host"):
        told.append(("X-Forwarded-Host", host))
    headers.extend(told)
    return headers
