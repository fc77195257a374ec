"""The ways through Panless under one compiled configuration. A request that has begun on them ends on them."""

from __future__ import annotations

from proxy.background import Background
from proxy.compiled import Compiled
from proxy.edge.certificates import Certificates
from proxy.edge.leaks import LeakGuard
from proxy.edge.metrics import Metrics
from proxy.entrance import Entrance
from proxy.errors import BodyUnsearchable, CardNumberFound, RouteNotFound
from proxy.fields.hosted import HostedFields
from proxy.forward import Forward, ForwardRoute
from proxy.handling import Way
from proxy.inbound import Inbound
from proxy.notifying.worker import Sending as NoticeSending
from proxy.operations.accepting import Operations
from proxy.operations.attempting import Working
from proxy.operations.ending import Ending
from proxy.outbound import Outbound
from proxy.outgoing.idempotency import Idempotency
from proxy.outgoing.ordering import Ordering
from proxy.outgoing.sending import Sending
from proxy.routes import OutboundRoute, RouteTable
from proxy.upstream.client import UpstreamClient
from proxy.webhooks import Webhooks
from vault.service import Vault


class Ways:
    """`certificates` are those of the forward proxy, if there is one. `working` sends what was to be sent later."""

    def __init__(
        self,
        compiled: Compiled,
        vault: Vault,
        upstream: UpstreamClient,
        metrics: Metrics,
        *,
        background: Background,
        certificates: Certificates | None = None,
    ) -> None:
        self.compiled = compiled
        limits, policy, state = compiled.config.limits, compiled.policy, background.state
        client = upstream.having(compiled.upstreams)
        inbound = Inbound(vault, client, limits, metrics, policy=policy)
        self.inbound = Entrance(
            compiled.inbound, inbound, Webhooks(vault, client, limits, metrics, background.notifying)
        )
        sending = Sending(vault, client, metrics, policy=policy, answer_bytes=limits.answer_bytes)
        idempotency = Idempotency(vault, state, sending, metrics)
        operations = Operations(vault, state, idempotency)
        ending = Ending(vault, state, compiled.destinations, background.notifying.wake)
        self.notifying_by = NoticeSending(compiled.destinations, client)
        self.working = Working(compiled.own, vault, state, sending=sending, ending=ending, metrics=metrics)

        self.fields = HostedFields(vault, metrics, compiled.config)
        guard = LeakGuard(vault, metrics, CardNumberFound, BodyUnsearchable)

        ordering = Ordering(vault, sending, limits, guard)

        def outbound(routes: RouteTable[OutboundRoute]) -> Outbound:
            return Outbound(routes, vault, ordering, sending=sending, idempotency=idempotency, operations=operations)

        self.outbound = outbound(compiled.outbound)
        self._own = {name: ForwardRoute(route, outbound(route.alone())) for name, route in compiled.own.items()}
        self.forward = None
        if certificates is not None:
            hosts = {host: self._own[name] for host, name in compiled.by_host.items()}
            self.forward = Forward(hosts, vault, certificates)

    def own(self, name: str) -> Way:
        """Return the way of a route with a port of its own; raises RouteNotFound."""
        if name not in self._own:
            raise RouteNotFound
        return self._own[name].way.handle
