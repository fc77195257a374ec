"""Sends requests to upstreams: verified TLS, no redirects, no cookies, no proxies of the environment."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from proxy.config import Config, RouteConfig
from proxy.errors import (
    ConfigInvalid,
    RequestError,
    UpstreamAnswerInvalid,
    UpstreamCertificateInvalid,
    UpstreamDisconnected,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from proxy.hosts import HTTPS_PORT
from proxy.rewrite.message import Message
from proxy.routes import Route
from proxy.upstream.shown import Expected, Shown, WatchingConnector, expected, look

# What aiohttp would add by itself. An upstream gets what was sent, no more.
_NOT_ADDED = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
_MAX_HEADER_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class UpstreamSettings:
    """What a route trusts and shows, and how long it waits."""

    tls: ssl.SSLContext | bool
    timeout: aiohttp.ClientTimeout
    shown: Shown

    @classmethod
    def compile(cls, route: RouteConfig, config: Config) -> UpstreamSettings:
        """Prepare a route; raises ConfigInvalid if its certificates cannot be used."""
        timeouts = aiohttp.ClientTimeout(
            total=route.timeouts.whole,
            sock_connect=route.timeouts.connect,
            sock_read=route.timeouts.between_bytes,
        )
        tls, shown = upstream_tls(route, config), Shown()
        if isinstance(tls, ssl.SSLContext):
            shown.watch(tls)
        return cls(tls, timeouts, shown)


class UpstreamClient:
    """One pool of connections for all routes; each route has its own TLS and time-outs, by its name."""

    def __init__(
        self, settings: Mapping[str, UpstreamSettings] | None = None, session: aiohttp.ClientSession | None = None
    ) -> None:
        self._settings = settings or {}
        self._session = session or aiohttp.ClientSession(
            connector=WatchingConnector(limit=0, keepalive_timeout=30),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            skip_auto_headers=_NOT_ADDED,
            max_line_size=_MAX_HEADER_BYTES,
            max_field_size=_MAX_HEADER_BYTES,
        )

    async def certificate(self, route: Route) -> str | None:
        """Return the SHA-256 (hex) of the certificate that a route's upstream shows; None without TLS.

        Raises UpstreamUnreachable or UpstreamCertificateInvalid: it was verified, or nothing is sent there.
        """
        settings = self._settings[route.name]
        if isinstance(settings.tls, ssl.SSLContext) and settings.shown.certificate is None:
            url = URL(f"{route.scheme}://{route.authority}")
            try:
                await look(url.host or "", url.port or HTTPS_PORT, settings.tls, settings.timeout.sock_connect or 5)
            except ssl.SSLError:
                raise UpstreamCertificateInvalid(route=route.name) from None
            except (OSError, TimeoutError):
                raise UpstreamUnreachable(route=route.name) from None
        return settings.shown.certificate

    def having(self, settings: Mapping[str, UpstreamSettings]) -> UpstreamClient:
        """Return a client with other settings on the same pool; this one goes on with its own."""
        return UpstreamClient(settings, self._session)

    async def send(
        self,
        route: Route,
        method: str,
        message: Message,
        body: AsyncIterator[bytes] | None = None,
        certificate: Expected | None = None,
    ) -> aiohttp.ClientResponse:
        """Return the answer once its headers are there; raises an UpstreamError. `body` goes before the message's.

        `certificate`: the upstream's, as it was recorded, and whom to tell of another one.
        """
        expected.set(certificate)
        settings = self._settings[route.name]
        target = f"{message.path}?{message.query}" if message.query else message.path
        url = URL(f"{route.scheme}://{route.authority}{target}", encoded=True)
        try:
            return await self._session.request(
                method,
                url,
                headers=CIMultiDict(message.headers),
                data=body or message.body or None,
                ssl=settings.tls,
                timeout=settings.timeout,
                allow_redirects=False,
            )
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise _translate(error, route) from None

    async def close(self) -> None:
        await self._session.close()


async def read_answer(answer: aiohttp.ClientResponse, route: Route) -> AsyncIterator[bytes]:
    """Yield the answer's body as it arrives; raises an UpstreamError."""
    try:
        async for piece in answer.content.iter_any():
            yield piece
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise _translate(error, route) from None


def _translate(error: Exception, route: Route) -> RequestError:  # a table in words
    for broken_off in (error, error.__cause__, error.__context__):
        if isinstance(broken_off, RequestError):
            return broken_off  # the client's body, while it was being sent on
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return UpstreamCertificateInvalid(route=route.name)
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return UpstreamUnreachable(route=route.name)
    if isinstance(error, TimeoutError | asyncio.TimeoutError):
        return UpstreamTimeout(route=route.name)
    if isinstance(error, aiohttp.ClientResponseError | aiohttp.ClientPayloadError | ValueError):
        return UpstreamAnswerInvalid(route=route.name)
    return UpstreamDisconnected(route=route.name)


def upstream_tls(route: RouteConfig, config: Config) -> ssl.SSLContext | bool:
    """Load what a route trusts and shows; raises ConfigInvalid if it cannot be used."""
    if route.upstream_url.scheme != "https":
        return True
    try:
        context = ssl.create_default_context(cafile=config.resolve(route.ca) if route.ca else None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.keylog_filename = None  # type: ignore[assignment]  # whatever SSLKEYLOGFILE says
        if route.client_cert is not None and route.client_key is not None:
            context.load_cert_chain(config.resolve(route.client_cert), config.resolve(route.client_key))
    except (OSError, ssl.SSLError):
        raise ConfigInvalid(
            file=str(config.file), key=f"route {route.name}", problem="ca, client_cert or client_key cannot be used"
        ) from None
    return context
