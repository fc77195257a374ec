"""The forward listener: what comes out of its tunnels goes to an HTTP server like that of any other listener."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from proxy.config import Config, ListenerConfig
from proxy.edge.connect import Connect
from proxy.edge.connection import Connection, Early, Opening, Tunnel
from proxy.edge.exchange import Exchange
from proxy.edge.listener import bound, shown_url, tls_context
from proxy.serving.connection import Connection as ServedConnection
from proxy.serving.request import Request
from proxy.serving.server import Server

Opens = Callable[[Connect, Exchange], Awaitable[Opening]]
Account = Callable[[Exchange, str, int, str], None]


class Tunneled(ServedConnection):
    """A connection inside a tunnel."""

    def __init__(self, server: Server, tunnel: Tunnel) -> None:
        super().__init__(server)
        self.tunnel = tunnel


def tunnel_of(request: Request) -> Tunnel:
    """Return the tunnel that a request came through."""
    assert isinstance(request.client, Tunneled)  # noqa: S101  # the forward listener makes no other
    return request.client.tunnel


class ForwardListener:
    """The bound address of the forward proxy. `opens` decides on a CONNECT, `account` is told how each one ended.

    `shared`: the port that other workers listen on, too.
    """

    def __init__(
        self,
        config: ListenerConfig,
        whole: Config,
        http: Server,
        opens: Opens,
        account: Account,
        *,
        shared: int | None = None,
    ) -> None:
        self._shared = shared
        self.name = "forward"
        self.url = ""
        self.stopping = False
        self.connections: set[Connection] = set()
        self._opens = opens
        self._account = account
        self._config = config
        self._tls = tls_context(self.name, config, whole)
        self._http = http
        self._stop_seconds = whole.limits.stop_seconds
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Bind and accept; raises AddressUnavailable."""
        self._server = await bound(self.name, self._config, lambda: Connection(self), self._tls, self._shared)
        self.url = shown_url(self._server, self._tls)

    async def stop(self) -> None:
        """Refuse new connections and tunnels, let requests in flight end, close the rest."""
        self.stopping = True
        if self._server is not None:
            self._server.close()
        await asyncio.gather(*(connection.end() for connection in list(self.connections)))
        await self._http.stop(self._stop_seconds)

    async def opens(self, connect: Connect, exchange: Exchange) -> Opening:
        return await self._opens(connect, exchange)

    def account(self, exchange: Exchange, method: str, status: int, code: str) -> None:
        self._account(exchange, method, status, code)

    def serve(self, tunnel: Tunnel, transport: asyncio.Transport, early: Early) -> None:
        """Hand an open tunnel over to the HTTP server."""
        protocol = Tunneled(self._http, tunnel)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if early.data:
            protocol.data_received(bytes(early.data))
