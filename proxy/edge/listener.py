"""Listeners: addresses that are bound, with or without TLS, and the server behind each."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Sequence
from typing import Any, Protocol

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
        loop = asyncio.get_running_loop()
        port, reuse_port = (self._config.port, None) if self._shared is None else (self._shared, True)
        bind = (self._config.host, port)
        try:
            self._server = await loop.create_server(
                self._http, *bind, ssl=self._tls, backlog=1024, reuse_port=reuse_port
            )
        except OSError as error:
            raise unavailable(self.name, self._config, error) from None
        self.url = shown_url(self._server.sockets[0].getsockname(), self._tls)

    async def stop(self) -> None:
        """Refuse new connections, let requests in flight end, close the rest."""
        if self._server is not None:
            self._server.close()
        await asyncio.sleep(ACCEPTED_SECONDS)
        await self._http.stop(self._stop_seconds)


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
