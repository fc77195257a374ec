"""Listeners: aiohttp's low-level server with our own answers to requests that it cannot read."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Any, Protocol

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from proxy.config import Config, ListenerConfig
from proxy.edge.exchange import new_request_id
from proxy.edge.problem import problem
from proxy.errors import AddressUnavailable, ConfigInvalid, FramingConflict, RequestMalformed
from vault.errors import PanlessError

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

# aiohttp's defaults are a browser's; SDKs send long authorization headers and many of them.
MAX_HEADER_BYTES = 32 * 1024
ACCEPTED_SECONDS = 0.05


class HttpProtocol(RequestHandler):
    """aiohttp's error pages and logs show pieces of the request. Ours do not."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  # aiohttp's signature
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already")
        about = str(exc)
        error: PanlessError = RequestMalformed()
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            error = PanlessError()
        elif "Content-Length" in about or "Transfer-Encoding" in about:
            error = FramingConflict()
        answer = problem(error, new_request_id())
        answer.force_close()
        return answer

    def log_exception(self, *args: object, **kwargs: object) -> None:
        """What matters of it is in our own log line; the rest would be input."""


class HttpServer(web.Server):
    """aiohttp's server with our limits; `protocol` reads each connection."""

    def __init__(self, handler: Handler, protocol: type[HttpProtocol] = HttpProtocol) -> None:
        self._protocol = protocol
        super().__init__(
            handler,
            access_log=None,
            auto_decompress=False,
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
            keepalive_timeout=75,
        )

    def __call__(self) -> RequestHandler:
        return self._protocol(self, loop=self._loop, **self._kwargs)


class Listener:
    """One bound address. `start` binds it; `stop` lets requests in flight end first.

    `shared`: the port that other workers listen on, too.
    """

    def __init__(
        self, name: str, config: ListenerConfig, whole: Config, handler: Handler, shared: int | None = None
    ) -> None:
        self.name = name
        self._shared = shared
        self._config = config
        self._tls = tls_context(name, config, whole)
        self._runner = web.ServerRunner(HttpServer(handler), shutdown_timeout=whole.limits.stop_seconds)
        self.url = ""

    async def start(self) -> None:
        """Bind and accept; raises AddressUnavailable."""
        await self._runner.setup()
        port, reuse_port = (self._config.port, None) if self._shared is None else (self._shared, True)
        bind = (self._config.host, port)
        site = web.TCPSite(self._runner, *bind, ssl_context=self._tls, backlog=1024, reuse_port=reuse_port)
        try:
            await site.start()
        except OSError as error:
            raise unavailable(self.name, self._config, error) from None
        self.url = shown_url(self._runner.addresses[0], self._tls)

    async def stop(self) -> None:
        """Refuse new connections, let requests in flight end, close the rest."""
        for site in list(self._runner.sites):
            await site.stop()
        # A connection that was accepted at this moment has to begin first: aiohttp would drop its request, and then
        # wait for it until the time is up.
        await asyncio.sleep(ACCEPTED_SECONDS)
        await self._runner.cleanup()


def unavailable(name: str, config: ListenerConfig, error: OSError) -> AddressUnavailable:
    """Say why an address cannot be bound."""
    reason = os.strerror(error.errno) if error.errno else "there is no such address"
    return AddressUnavailable(listener=name, bind=config.bind, reason=reason.lower())


def shown_url(address: Sequence[Any], tls: ssl.SSLContext | None) -> str:
    """Return the URL of a bound address."""
    host, port = address[:2]
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if tls else 'http'}://{shown}:{port}"


def tls_context(name: str, config: ListenerConfig, whole: Config) -> ssl.SSLContext | None:
    """Load a listener's certificates; raises ConfigInvalid if they cannot be used."""
    if config.tls is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.keylog_filename = None  # type: ignore[assignment]  # whatever SSLKEYLOGFILE says
    try:
        context.load_cert_chain(whole.resolve(config.tls.cert), whole.resolve(config.tls.key))
        if config.tls.client_ca is not None:
            context.load_verify_locations(whole.resolve(config.tls.client_ca))
            optional = config.tls.client_certs == "optional"
            context.verify_mode = ssl.CERT_OPTIONAL if optional else ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError):
        key = f"listen.{name}.tls" if name in type(whole.listen).model_fields else f"outbound {name}.tls"
        raise ConfigInvalid(file=str(whole.file), key=key, problem="certificate or key cannot be used") from None
    return context


class Stoppable(Protocol):
    """What every kind of listener has."""

    name: str
    url: str

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


async def stop_all(listeners: Sequence[Stoppable]) -> None:
    await asyncio.gather(*(listener.stop() for listener in listeners))
