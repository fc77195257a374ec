"""Listeners: addresses that are bound, with or without TLS, and the server behind each."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable, Sequence
from typing import Protocol

from proxy.config import Config, ListenerConfig
from proxy.errors import AddressUnavailable, ConfigInvalid
from proxy.serving.server import Server

# A connection that was accepted at the moment of a stop has to begin first, or its request would be lost.
ACCEPTED_SECONDS = 0.05


class Listener:
    """One bound address. `start` binds it; `stop` lets requests in flight end first.

    `shared`: the port that other workers listen on, too.
    """

    def __init__(
        self, name: str, config: ListenerConfig, whole: Config, http: Server, shared: int | None = None
    ) -> None:
        self.name = name
        self._shared = shared
        self._config = config
        self._tls = tls_context(name, config, whole)
        self._http = http
        self._stop_seconds = whole.limits.stop_seconds
        self._server: asyncio.Server | None = None
        self.url = ""

    async def start(self) -> None:
        """Bind and accept; raises AddressUnavailable."""
        self._server = await bound(self.name, self._config, self._http, self._tls, self._shared)
        self.url = shown_url(self._server, self._tls)

    async def stop(self) -> None:
        """Refuse new connections, let requests in flight end, close the rest."""
        if self._server is not None:
            self._server.close()
        await asyncio.sleep(ACCEPTED_SECONDS)
        await self._http.stop(self._stop_seconds)


async def bound(
    name: str,
    config: ListenerConfig,
    protocol: Callable[[], asyncio.Protocol],
    tls: ssl.SSLContext | None,
    shared: int | None,
) -> asyncio.Server:
    """Bind a listener's address, on a port that is `shared` with other workers or its own; raises AddressUnavailable.

    `protocol` makes what reads a connection.
    """
    loop = asyncio.get_running_loop()
    port, reuse_port = (config.port, None) if shared is None else (shared, True)
    try:
        return await loop.create_server(protocol, config.host, port, ssl=tls, backlog=1024, reuse_port=reuse_port)
    except OSError as error:
        raise unavailable(name, config, error) from None


def unavailable(name: str, config: ListenerConfig, error: OSError) -> AddressUnavailable:
    """Say why an address cannot be bound."""
    reason = os.strerror(error.errno) if error.errno else "there is no such address"
    return AddressUnavailable(listener=name, bind=config.bind, reason=reason.lower())


def shown_url(server: asyncio.Server, tls: ssl.SSLContext | None) -> str:
    """Return the URL of a bound address."""
    host, port = server.sockets[0].getsockname()[:2]
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
