"""The ways through Panless under one compiled configuration. A request that has begun on them ends on them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from proxy.compiled import Compiled
from proxy.edge.certificates import Certificates
from proxy.edge.exchange import Exchange
from proxy.edge.metrics import Metrics
from proxy.entrance import Entrance
from proxy.errors import RouteNotFound
from proxy.forward import Forward, ForwardRoute
from proxy.inbound import Inbound
from proxy.notifying.worker import Notifying
from proxy.outbound import Outbound
from proxy.upstream.client import UpstreamClient
from proxy.webhooks import Webhooks
from vault.service import Vault

Way = Callable[[web.BaseRequest, Exchange], Awaitable[web.StreamResponse]]


class Ways:
    """`certificates` are those of the forward proxy, if there is one."""

    def __init__(
        self,
        compiled: Compiled,
        vault: Vault,
        upstream: UpstreamClient,
        metrics: Metrics,
        certificates: Certificates | None = None,
        *,
        notifying: Notifying,
    ) -> None:
        self.compiled = compiled
        self.upstream = upstream.having(compiled.upstreams)
        parts = (vault, self.upstream, compiled.config.limits, metrics)
        policy = compiled.policy
        self.inbound = Entrance(compiled.inbound, Inbound(*parts, policy=policy), Webhooks(*parts, notifying))
        self.outbound = Outbound(compiled.outbound, *parts, policy=policy)
        self._own = {
            name: ForwardRoute(route, Outbound(route.alone(), *parts, policy=policy))
            for name, route in compiled.own.items()
        }
        self.forward = None
        if certificates is not None:
            hosts = {host: self._own[name] for host, name in compiled.by_host.items()}
            self.forward = Forward(hosts, vault, certificates)

    def own(self, name: str) -> Way:
        """Return the way of a route with a port of its own; raises RouteNotFound."""
        if name not in self._own:
            raise RouteNotFound
        return self._own[name].way.handle
