"""Certificates that webhooks were signed with: fetched from configured hosts, over verified TLS, and kept a while.

What is fetched is trusted only as far as its chain says: `proxy.verifying` looks at that each time.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass, replace

from proxy.errors import RequestError
from proxy.rewrite.message import Message
from proxy.routes import Route
from proxy.upstream.client import UpstreamClient
from proxy.upstream.flight import read_answer
from proxy.verifying.errors import WebhookCertificateUnavailable, WebhookForged
from proxy.verifying.scheme import CertificateAt

KEEP_SECONDS = 3600.0
MISSING_SECONDS = 60.0
MOST_BYTES = 64 * 1024
MOST = 32
_MISSING = (404, 410)


def fetching(name: str) -> str:
    """Return the name under which the settings for a route's fetching stand."""
    return f"{name} certificates"


@dataclass(frozen=True, slots=True)
class _Kept:
    until: float
    pem: bytes | None


class SigningCertificates:
    """Those of all routes, by route and place. One is fetched at a time."""

    def __init__(self, upstream: UpstreamClient) -> None:
        self._upstream = upstream
        self._kept: OrderedDict[tuple[str, CertificateAt], _Kept] = OrderedDict()
        self._lock = asyncio.Lock()

    async def get(self, route: Route, at: CertificateAt) -> bytes:
        """Return what stands there, PEM; raises WebhookCertificateUnavailable, or WebhookForged if nothing does."""
        async with self._lock:
            kept = self._kept.get((route.name, at))
            if kept is None or kept.until < time.monotonic():
                kept = await self._fetched(route, at)
                self._kept[route.name, at] = kept
                self._kept.move_to_end((route.name, at))
                while len(self._kept) > MOST:
                    self._kept.popitem(last=False)
        if kept.pem is None:
            raise WebhookForged
        return kept.pem

    async def _fetched(self, route: Route, at: CertificateAt) -> _Kept:
        to = replace(route, name=fetching(route.name), scheme="https", authority=str(at.host))
        try:
            async with await self._upstream.send(to, "GET", Message(path=at.path)) as answer:
                if answer.status in _MISSING:
                    return _Kept(time.monotonic() + MISSING_SECONDS, None)
                body = b""
                async for piece in read_answer(answer, to):
                    body += piece
                    if len(body) > MOST_BYTES:
                        break
        except RequestError:
            raise WebhookCertificateUnavailable from None
        if answer.status != 200 or len(body) > MOST_BYTES:
            raise WebhookCertificateUnavailable
        return _Kept(time.monotonic() + KEEP_SECONDS, body)
