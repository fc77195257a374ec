"""The inbound listener: which route takes a request, and which way that one goes."""

from __future__ import annotations

from collections.abc import Awaitable

from proxy.edge.exchange import Exchange
from proxy.edge.headers import check_method
from proxy.inbound import Inbound
from proxy.serving.answer import Answer
from proxy.serving.request import Request
from proxy.webhook_routes import InboundTable, WebhookRoute
from proxy.webhooks import Webhooks


class Entrance:
    """Browsers and gateways come in by the same listener; paths tell them apart."""

    def __init__(self, routes: InboundTable, inbound: Inbound, webhooks: Webhooks) -> None:
        self._routes = routes
        self._inbound = inbound
        self._webhooks = webhooks

    def handle(self, request: Request, exchange: Exchange) -> Awaitable[Answer]:
        """Return the answer to come; raises a RequestError for what is no request of any route."""
        check_method(request)
        route = self._routes.match(request.method, request.target)
        exchange.route, exchange.destination = route.name, route.destination
        if isinstance(route, WebhookRoute):
            return self._webhooks.handle(request, exchange, route)
        return self._inbound.handle(request, exchange, route)
