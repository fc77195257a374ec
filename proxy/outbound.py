"""Outbound: from an application to a gateway. Tokens become card data on the way, and only on the way."""

from __future__ import annotations

from proxy.edge.exchange import Exchange
from proxy.edge.headers import check_method
from proxy.edge.identity import certificate_for, find_key
from proxy.edge.relay import relay
from proxy.errors import MethodNotAllowed
from proxy.operations.accepting import Operations
from proxy.outgoing.idempotency import Idempotency
from proxy.outgoing.operation_ids import Asked, asked_for
from proxy.outgoing.ordering import Ordering
from proxy.outgoing.sending import Sending
from proxy.routes import OutboundRoute, RouteTable
from proxy.serving.answer import Answer
from proxy.serving.request import Request
from vault.service import Vault

# Where a client may put its Panless key when it asks for an operation.
_KEY_SLOTS = ("bearer", "basic")


class Outbound:
    """Handles the requests of the outbound listener, of a port of a route's own, or of a tunnel."""

    def __init__(
        self,
        routes: RouteTable[OutboundRoute],
        vault: Vault,
        ordering: Ordering,
        *,
        sending: Sending,
        idempotency: Idempotency,
        operations: Operations,
    ) -> None:
        self._routes = routes
        self._vault = vault
        self._ordering = ordering
        self._sending = sending
        self._idempotency = idempotency
        self._operations = operations

    async def handle(self, request: Request, exchange: Exchange) -> Answer:
        """Reveal and forward; raises a PanlessError, and then the gateway got nothing unless the error says so."""
        check_method(request)
        if (operation := asked_for(request.target)) is not None:
            return await relay(request, exchange, await self._tell(request, exchange, operation))
        route = self._routes.match(request.method, request.target)
        exchange.route, exchange.destination = route.name, route.destination
        order, later = await self._ordering.order(request, exchange, route)
        if later is not None:
            return await relay(request, exchange, await self._operations.accept(order, later))
        if (key := order.key) is not None:
            return await relay(request, exchange, await self._idempotency.answer(order, key))
        sent = await self._sending.send(order)
        try:
            # The gateway has answered, whether or not its answer can be passed on.
            await self._sending.settle(order, sent)
            return await relay(request, exchange, await self._sending.answer(order, sent))
        finally:
            sent.answer.release()

    async def _tell(self, request: Request, exchange: Exchange, asked: Asked) -> Answer:
        """Answer a question about an operation, of the application whose it is."""
        exchange.route = "operations"
        headers = request.headers
        certificate = certificate_for(headers, exchange)
        principal = await self._vault.identify(
            find_key(headers, _KEY_SLOTS, exchange.key), exchange.context, certificate
        )
        exchange.app = principal.app
        if request.method == "GET":
            tell = self._operations.answer if asked.answer else self._operations.tell
            return await tell(principal, asked.name)
        if request.method == "DELETE" and not asked.answer:
            return await self._operations.cancel(principal, asked.name)
        raise MethodNotAllowed(route="operations")
