"""The inbound listener: which route takes a request, and which way that one goes."""

from __future__ import annotations

from aiohttp import web

from proxy.edge.exchange import Exchange
from proxy.edge.headers import check_framing
from proxy.inbound import Inbound
from proxy.webhook_routes import InboundTable, WebhookRoute
from proxy.webhooks import Webhooks


class Entrance:
    """Browsers and gateways come in by the same listener; paths tell them apart."""

    def __init__(self, routes: InboundTable, inbound: Inbound, webhooks: Webhooks) -> None:
        self._routes = routes
        self._inbound = inbound
        self._webhooks = webhooks

    async def handle(self, request: web.BaseRequest, exchange: Exchange) -> web.StreamResponse:
        check_framing(request)
        route = self._routes.match(request.method, request.raw_path)
        exchange.route, exchange.destination = route.name, route.destination
        if isinstance(route, WebhookRoute):
            return await self._webhooks.handle(request, exchange, route)
        return await self._inbound.handle(request, exchange, route)
