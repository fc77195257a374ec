"""Sends requests to upstreams: verified TLS, no redirects, no cookies, no proxies of the environment."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable, Mapping

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from proxy.edge.upstream_metrics import UpstreamMetrics
from proxy.hosts import HTTPS_PORT
from proxy.rewrite.message import Message
from proxy.routes import Route
from proxy.upstream.attempt import Attempt
from proxy.upstream.flight import Flight, GatewayAnswer
from proxy.upstream.repeating import Repeating
from proxy.upstream.retrying import IDEMPOTENT
from proxy.upstream.settings import UpstreamSettings
from proxy.upstream.shown import Expected, WatchingConnector, expected, look
from proxy.upstream.state import Slot, Upstreams

# What aiohttp would add by itself. An upstream gets what was sent, no more.
_NOT_ADDED = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
_MAX_HEADER_BYTES = 64 * 1024
# Time-outs are ours: by phase, each with a code (attempt.py).
_UNTIMED = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)


class UpstreamClient:
    """One pool of connections for all routes; each route has its own TLS, time-outs and retries, by its name."""

    def __init__(
        self,
        settings: Mapping[str, UpstreamSettings] | None = None,
        session: aiohttp.ClientSession | None = None,
        upstreams: Upstreams | None = None,
        metrics: UpstreamMetrics | None = None,
    ) -> None:
        self._settings = settings or {}
        self._upstreams = upstreams or Upstreams(metrics)
        self._metrics = metrics
        self._session = session or aiohttp.ClientSession(
            connector=WatchingConnector(limit=0, keepalive_timeout=30),
            response_class=GatewayAnswer,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            skip_auto_headers=_NOT_ADDED,
            max_line_size=_MAX_HEADER_BYTES,
            max_field_size=_MAX_HEADER_BYTES,
        )

    async def certificate(self, route: Route) -> str | None:
        """Return the SHA-256 (hex) of the certificate that a route's upstream shows; None without TLS.

        Raises an UpstreamError with which nothing has reached the upstream, also if a request would not be let through
        now: it was verified, or nothing is revealed for it.
        """
        settings, upstream = self._settings[route.name], self._upstreams.of(route)
        upstream.check(route, settings)
        context = settings.tls
        if isinstance(context, ssl.SSLContext) and settings.shown.certificate is None:
            url = URL(f"{route.scheme}://{route.authority}")

            async def once(_attempt: Attempt, slot: Slot) -> None:
                await look(url.host or "", url.port or HTTPS_PORT, context)
                slot.leave()

            await Repeating(route, settings, upstream, self._metrics).run(once, safe=True)
        return settings.shown.certificate

    def having(self, settings: Mapping[str, UpstreamSettings]) -> UpstreamClient:
        """Return a client with other settings on the same pool and upstreams; this one goes on with its own."""
        return UpstreamClient(settings, self._session, self._upstreams, self._metrics)

    async def send(
        self,
        route: Route,
        method: str,
        message: Message | Callable[[], Message],
        body: AsyncIterator[bytes] | None = None,
        certificate: Expected | None = None,
        *,
        protected: bool = False,
    ) -> GatewayAnswer:
        """Return the answer once its headers are there; raises an UpstreamError. `body` goes before the message's.

        `message` may be made anew for each attempt. `certificate`: the upstream's, as it was recorded, and whom to tell
        of another one. `protected`: the upstream honours an idempotency key that the request carries.
        """
        settings, upstream = self._settings[route.name], self._upstreams.of(route)
        expected.set(certificate)

        async def once(attempt: Attempt, slot: Slot) -> GatewayAnswer:
            sent = message if isinstance(message, Message) else message()
            data = attempt.upload(body) if body is not None else sent.body or None
            answer = await self._request(route, method, sent, data, settings)
            answer.holds(Flight(slot, settings.timeouts, attempt.ends))
            return answer

        safe = protected or method in IDEMPOTENT
        repeating = Repeating(route, settings, upstream, self._metrics)
        return await repeating.run(once, safe=safe, streams=body is not None)

    async def _request(
        self, route: Route, method: str, message: Message, data: object, settings: UpstreamSettings
    ) -> GatewayAnswer:
        target = f"{message.path}?{message.query}" if message.query else message.path
        answer = await self._session.request(
            method,
            URL(f"{route.scheme}://{route.authority}{target}", encoded=True),
            headers=CIMultiDict(message.headers),
            data=data,
            ssl=settings.tls,
            timeout=_UNTIMED,
            allow_redirects=False,
        )
        assert isinstance(answer, GatewayAnswer)  # noqa: S101  # the session makes no other
        return answer

    async def close(self) -> None:
        await self._session.close()
