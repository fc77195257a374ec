"""Certificates that webhooks were signed with: fetched from configured hosts, over verified TLS, and kept a while.

What is fetched is trusted only as far as its chain says: `proxy.verifying` looks at that each time.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from dataclasses import replace
from typing import Generic, TypeVar

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
MOST_MISSING = 512
MOST_WAITING = 16
_MISSING = (404, 410)


def fetching(name: str) -> str:
    """Return the name under which the settings for a route's fetching stand."""
    return f"{name} certificates"


class SigningCertificates:
    """Those of all routes, by route and place. One is fetched at a time.

    Everybody can name a place where there is none: that is remembered aside, and pushes none out that is there.
    """

    def __init__(self, upstream: UpstreamClient) -> None:
        self._upstream = upstream
        self._found: _Remembered[bytes] = _Remembered(KEEP_SECONDS, MOST)
        self._missing: _Remembered[bool] = _Remembered(MISSING_SECONDS, MOST_MISSING)
        self._lock = asyncio.Lock()
        self._waiting = 0

    async def get(self, route: Route, at: CertificateAt) -> bytes:
        """Return what stands there, PEM; raises WebhookCertificateUnavailable, or WebhookForged if nothing does."""
        if (pem := self._found.get((route.name, at))) is not None:
            return pem
        if self._waiting >= MOST_WAITING:
            return self._had(route, at)
        self._waiting += 1
        try:
            async with self._lock:
                return self._found.get((route.name, at)) or await self._fetched(route, at)
        except WebhookCertificateUnavailable:
            return self._had(route, at)
        finally:
            self._waiting -= 1

    def _had(self, route: Route, at: CertificateAt) -> bytes:
        """Return what stood there the last time; raises WebhookCertificateUnavailable.

        Whoever asks for many that are not there, or stops the host, must not stop those who sign with one that is.
        """
        if (pem := self._found.get((route.name, at), late=True)) is None:
            raise WebhookCertificateUnavailable
        return pem

    async def _fetched(self, route: Route, at: CertificateAt) -> bytes:
        key = route.name, at
        if self._missing.get(key):
            raise WebhookForged
        to = replace(route, name=fetching(route.name), scheme="https", authority=str(at.host))
        body = b""
        try:
            async with await self._upstream.send(to, "GET", Message(path=at.path)) as answer:
                async for piece in read_answer(answer, to):
                    body += piece
                    if len(body) > MOST_BYTES:
                        raise WebhookCertificateUnavailable
        except RequestError:
            raise WebhookCertificateUnavailable from None
        if answer.status in _MISSING:
            self._missing.put(key, True)
            raise WebhookForged
        if answer.status != 200:
            raise WebhookCertificateUnavailable
        self._found.put(key, body)
        return body


Value = TypeVar("Value")


class _Remembered(Generic[Value]):
    """At most so many values, for so many seconds; the oldest go first."""

    def __init__(self, seconds: float, most: int) -> None:
        self._seconds = seconds
        self._most = most
        self._values: OrderedDict[tuple[str, CertificateAt], tuple[float, Value]] = OrderedDict()

    def get(self, key: tuple[str, CertificateAt], *, late: bool = False) -> Value | None:
        """Return a value, if it is there; `late`: even if its time is over."""
        until, value = self._values.get(key, (0.0, None))
        return value if late or until > time.monotonic() else None

    def put(self, key: tuple[str, CertificateAt], value: Value) -> None:
        self._values[key] = time.monotonic() + self._seconds, value
        self._values.move_to_end(key)
        while len(self._values) > self._most:
            self._values.popitem(last=False)
