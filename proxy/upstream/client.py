"""Sends requests to upstreams: verified TLS, no redirects, no cookies, no proxies of the environment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

from proxy.edge.upstream_metrics import UpstreamMetrics
from proxy.rewrite.message import Message
from proxy.routes import Route
from proxy.upstream.attempt import Attempt, Phase, in_time
from proxy.upstream.connection import Connection
from proxy.upstream.exchange import upload
from proxy.upstream.flight import Flight, GatewayAnswer
from proxy.upstream.pool import Pool, connected
from proxy.upstream.repeating import repeat
from proxy.upstream.request_head import is_chunked, request_head
from proxy.upstream.retrying import IDEMPOTENT
from proxy.upstream.settings import UpstreamSettings
from proxy.upstream.shown import Expected
from proxy.upstream.state import Slot, Upstreams
from proxy.upstream.target import Target


class UpstreamClient:
    """One pool of connections for all routes; each route has its own TLS, time-outs and retries, by its name."""

    def __init__(
        self,
        settings: Mapping[str, UpstreamSettings] | None = None,
        pool: Pool | None = None,
        upstreams: Upstreams | None = None,
        metrics: UpstreamMetrics | None = None,
    ) -> None:
        self._settings = settings or {}
        self._upstreams = upstreams or Upstreams(metrics)
        self._metrics = metrics
        self._pool = pool or Pool()
        self._targets: dict[tuple[str, str, str], Target] = {}

    async def certificate(self, route: Route) -> str | None:
        """Return the SHA-256 (hex) of the certificate that a route's upstream shows; None without TLS.

        Raises an UpstreamError with which nothing has reached the upstream, also if a request would not be let through
        now: it was verified, or nothing is revealed for it.
        """
        target = self._target(route)
        settings = target.settings
        target.upstream.check(route, settings)
        if settings.tls is not None and settings.shown.certificate is None:

            async def once(attempt: Attempt, slot: Slot) -> None:
                self._pool.give(target.place, await self._connection(target, attempt))
                slot.leave()

            await repeat(target, once, self._metrics, safe=True)
        return settings.shown.certificate

    def having(self, settings: Mapping[str, UpstreamSettings]) -> UpstreamClient:
        """Return a client with other settings on the same pool and upstreams; this one goes on with its own."""
        return UpstreamClient(settings, self._pool, self._upstreams, self._metrics)

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
        target = self._target(route)

        async def once(attempt: Attempt, slot: Slot) -> GatewayAnswer:
            sent = message if isinstance(message, Message) else message()
            connection = await self._connection(target, attempt)
            try:
                if certificate is not None and connection.certificate not in (None, certificate.certificate):
                    told = certificate.told(str(connection.certificate))
                    await in_time(attempt.enter(Phase.CONNECTED), told)
                sending: asyncio.Task[None] | None = None
                head = _head(target, method, sent, streams=body is not None)
                if body is None:
                    connection.watch(attempt.enter(Phase.WAITING))
                    connection.ask(method, head + sent.body)
                    await connection.head()
                else:
                    chunked = is_chunked(sent.headers)
                    sending = await upload(connection, attempt, method, head, body, chunked=chunked)
            except BaseException:
                connection.abort()
                raise
            flight = Flight(connection, slot, target.settings.timeouts, attempt.ends, sending)
            return GatewayAnswer(flight, self._pool, target.place)

        return await repeat(target, once, self._metrics, safe=protected or method in IDEMPOTENT)

    def _target(self, route: Route) -> Target:
        key = route.name, route.scheme, route.authority
        target = self._targets.get(key)
        if target is None:
            made = Target(route, self._settings[route.name], self._upstreams.of(route))
            target = self._targets[key] = made
        return target

    async def _connection(self, target: Target, attempt: Attempt) -> Connection:
        connection = self._pool.idle(target.place) or await connected(target.place, attempt)
        target.settings.shown.certificate = connection.certificate
        return connection

    async def close(self) -> None:
        self._pool.close()


def _head(target: Target, method: str, message: Message, *, streams: bool) -> bytes:
    path = f"{message.path}?{message.query}" if message.query else message.path
    return request_head(method, path, target.host, message.headers, length=None if streams else len(message.body))
