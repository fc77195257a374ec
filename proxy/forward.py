"""The forward proxy: which tunnels are opened, and the outbound requests that come through them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from proxy.edge.certificates import Certificates
from proxy.edge.connect import Connect
from proxy.edge.connection import Opening, Tunnel
from proxy.edge.exchange import Exchange
from proxy.edge.identity import proxy_key
from proxy.edge.problem import problem
from proxy.edge.tunnel import tunnel_of
from proxy.errors import ConnectHostUnknown, HostMismatch
from proxy.hosts import HTTPS_PORT, HostPort
from proxy.outbound import Outbound
from proxy.routes import OutboundRoute
from proxy.serving.answer import Answer
from proxy.serving.request import Request
from vault.service import Vault


@dataclass(frozen=True, slots=True)
class ForwardRoute:
    """A route that stands in for hosts, and what handles its requests."""

    route: OutboundRoute
    way: Outbound


class Forward:
    """Decides on CONNECT, and handles what comes through the tunnels."""

    def __init__(self, routes: Mapping[HostPort, ForwardRoute], vault: Vault, certificates: Certificates) -> None:
        self._routes = routes
        self._vault = vault
        self._certificates = certificates

    async def opens(self, connect: Connect, exchange: Exchange) -> Opening:
        """Return how a tunnel is opened; raises a PanlessError if it is not."""
        found = self._routes.get(connect.to)
        if found is None:
            raise ConnectHostUnknown
        exchange.route, exchange.destination = found.route.name, found.route.destination
        key = proxy_key(connect.authorization)
        # A certificate alone need not be an application's: requests in the tunnel may bring their own keys.
        certificate = exchange.certificate if key is None else None
        if key is not None:
            exchange.app = (await self._vault.identify(key, exchange.context)).app
        tls = await self._certificates.context(connect.to.host)
        return Opening(Tunnel(connect.to, key or "", certificate), tls)

    async def handle(self, request: Request, exchange: Exchange) -> Answer:
        """Handle a request inside a tunnel. The application is identified anew: its key may be revoked by now."""
        tunnel = tunnel_of(request)
        found = self._routes.get(tunnel.to)
        if found is None:  # the configuration has changed since the tunnel was opened
            raise ConnectHostUnknown
        exchange.route, exchange.destination = found.route.name, found.route.destination
        if not _is_for(tunnel.to, request):
            answer = problem(HostMismatch(), exchange.request_id)
            answer.closes = True
            return answer
        exchange.key, exchange.certificate = tunnel.key, tunnel.certificate
        return await found.way.handle(request, exchange)


def _is_for(to: HostPort, request: Request) -> bool:
    given = request.headers.getall("Host", [])
    try:
        return len(given) == 1 and HostPort.parse(given[0], default_port=HTTPS_PORT) == to
    except ValueError:
        return False
