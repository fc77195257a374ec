"""Inbound: from a browser to an application. Card data becomes tokens before the application sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from aiohttp import web
from multidict import CIMultiDict

from proxy.config import LimitsConfig
from proxy.edge.body import body_type, continue_if_expected, pass_body, read_body
from proxy.edge.exchange import Exchange
from proxy.edge.headers import check_framing, end_to_end
from proxy.edge.identity import KEY_HEADER
from proxy.edge.metrics import Metrics
from proxy.edge.problem import REQUEST_ID_HEADER
from proxy.edge.relay import Answer, relay
from proxy.rewrite.plan import Plan, find
from proxy.routes import InboundRoute, RouteTable
from proxy.upstream.client import UpstreamClient, read_answer
from vault.kinds import KINDS
from vault.requests import NewValue
from vault.service import Vault
from vault.tokens import Token

_REPLACED = (
    "host",
    "expect",
    "content-length",
    "x-forwarded-proto",
    "x-forwarded-host",
    REQUEST_ID_HEADER.lower(),
    KEY_HEADER.lower(),  # meant for Panless; no application may collect others' keys
)


class Inbound:
    """Handles the requests of the inbound listener."""

    def __init__(
        self,
        routes: RouteTable[InboundRoute],
        vault: Vault,
        upstream: UpstreamClient,
        limits: LimitsConfig,
        metrics: Metrics,
    ) -> None:
        self._routes = routes
        self._vault = vault
        self._upstream = upstream
        self._limits = limits
        self._metrics = metrics

    async def handle(self, request: web.BaseRequest, exchange: Exchange) -> web.StreamResponse:
        """Tokenize and forward; raises a PanlessError, and then nothing was forwarded that had to be tokenized."""
        check_framing(request)
        path, _, query = request.raw_path.partition("?")
        route = self._routes.match(request.method, request.raw_path)
        exchange.route, exchange.destination = route.name, route.destination
        headers = _forwarded(request, exchange)
        await continue_if_expected(request)
        body = await self._body(request, route, exchange, headers)
        answer = await self._upstream.send(route, request.method, route.upstream_target(path, query), headers, body)
        async with answer:
            headers = end_to_end(answer.raw_headers)
            passed = Answer(answer.status, answer.reason, headers, read_answer(answer, route))
            return await relay(request, exchange, passed)

    async def _body(
        self, request: web.BaseRequest, route: InboundRoute, exchange: Exchange, headers: CIMultiDict[str]
    ) -> bytes | AsyncIterator[bytes] | None:
        if not request.body_exists:
            route.check_required(())
            return None
        if not route.fields:
            return await pass_body(request, headers)
        kind = body_type(request, route.name)
        raw = await read_body(request, limit=self._limits.body_bytes, seconds=self._limits.body_seconds)
        plan = find(raw, kind, route.fields)
        route.check_required(match.field.at for match in plan.matches)
        exchange.values = len(plan.matches)
        tokens = await self._tokenize(plan, route, exchange)
        return plan.fill([str(token) for token in tokens])

    async def _tokenize(self, plan: Plan, route: InboundRoute, exchange: Exchange) -> Sequence[Token]:
        if not plan.matches:
            return []
        values = [
            NewValue(KINDS[match.field.kind], match.value, str(match.field.at), match.of) for match in plan.matches
        ]
        tokens = await self._vault.tokenize(values, route.tenant, exchange.context)
        for match in plan.matches:
            self._metrics.values.labels("tokenize", match.field.kind).inc()
        return tokens


def _forwarded(request: web.BaseRequest, exchange: Exchange) -> CIMultiDict[str]:
    """Return the request's headers for the application, with where the request came from (X-Forwarded-*)."""
    headers = end_to_end(request.raw_headers, drop=_REPLACED)
    before = headers.popall("X-Forwarded-For", [])
    headers["X-Forwarded-For"] = ", ".join([*before, exchange.origin or "unknown"])
    headers["X-Forwarded-Proto"] = request.scheme
    if host := request.headers.get("Host"):
        headers["X-Forwarded-Host"] = host
    headers[REQUEST_ID_HEADER] = exchange.request_id
    return headers
