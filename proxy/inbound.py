"""Inbound: from a browser to an application. Card data becomes tokens before the application sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from proxy.config import LimitsConfig
from proxy.edge.aside import find_in
from proxy.edge.exchange import Exchange
from proxy.edge.forwarded import forwarded
from proxy.edge.headers import end_to_end
from proxy.edge.identity import certificate_for, find_key
from proxy.edge.intake import Incoming, take
from proxy.edge.leaks import LeakGuard, Mode
from proxy.edge.metrics import Metrics
from proxy.edge.names import take_names
from proxy.edge.relay import relay
from proxy.edge.signatures import check_digests, with_digests
from proxy.errors import BodyUnsearchable, CardNumberFound
from proxy.guard.leaks import may_leak
from proxy.rewrite.fields import CUSTOMER
from proxy.rewrite.message import Message
from proxy.rewrite.plan import Plan
from proxy.rewrite.reference import new_values
from proxy.routes import InboundRoute
from proxy.serving.answer import Answer
from proxy.serving.request import Request
from proxy.upstream.client import UpstreamClient
from proxy.upstream.flight import body_of
from vault.errors import Denied
from vault.policy import Denial, Policy, Principal
from vault.rules import Action
from vault.service import Vault
from vault.tokens import Token


class Inbound:
    """Handles the requests of inbound routes."""

    def __init__(
        self,
        vault: Vault,
        upstream: UpstreamClient,
        limits: LimitsConfig,
        metrics: Metrics,
        *,
        policy: Policy,
    ) -> None:
        self._policy = policy
        self._vault = vault
        self._upstream = upstream
        self._limits = limits
        self._metrics = metrics
        self._guard = LeakGuard(vault, metrics, CardNumberFound, BodyUnsearchable)

    async def handle(self, request: Request, exchange: Exchange, route: InboundRoute) -> Answer:
        """Tokenize and forward; raises a PanlessError, and then nothing was forwarded that had to be tokenized."""
        path, _, query = request.target.partition("?")
        if route.apps is not None:
            await self._admit(request, route, exchange)
        target = route.upstream_path(path), query
        tokenizes = route.guard == Mode.TOKENIZE.value
        headers = forwarded(request, exchange)
        incoming = await take(request, route, target, headers, self._limits, tokenizes=tokenizes)
        message, body = incoming.message, incoming.streams
        if body is not None or incoming.raw != message.body or route.fields or may_leak(message):
            message, body = await self._tokenized(incoming, route, exchange)
        answer = await self._upstream.send(route, request.method, message, body)
        async with answer:
            passed = Answer(answer.status, answer.reason, end_to_end(answer.lines), body_of(answer, route))
            return await relay(request, exchange, passed)

    async def _admit(self, request: Request, route: InboundRoute, exchange: Exchange) -> None:
        """Refuse who may not use a route that names its applications; raises Denied."""
        headers = request.headers
        certificate = certificate_for(headers, exchange)
        exchange.app = (await self._vault.identify(find_key(headers, ()), exchange.context, certificate)).app
        await self._decide(route, exchange)

    async def _decide(self, route: InboundRoute, exchange: Exchange, kinds: frozenset[str] | None = None) -> None:
        """Ask the policy; raises Denied, which is recorded."""
        action = Action("tokenize", route.name, route.apps, kinds, exchange.origin)
        decision = self._policy.decide(Principal(exchange.app or "", route.tenant), action, route.destination)
        if isinstance(decision, Denial):
            await self._vault.record_denial(decision, exchange.context)
            raise Denied(route=route.name)

    async def _tokenized(
        self, incoming: Incoming, route: InboundRoute, exchange: Exchange
    ) -> tuple[Message, AsyncIterator[bytes] | None]:
        names, plan = take_names(await find_in(incoming.message, route.fields))
        route.check_required(match.field.at for match in plan.matches)
        mode = Mode(route.guard)
        plan = await self._guard.judge(plan, mode, exchange)
        check_digests(plan, incoming)
        exchange.values = len(plan.matches) if route.fields else None
        body = incoming.streams
        if body is not None and self._guard.can_search(incoming.coding, mode, exchange):
            body = self._guard.stream(body, incoming.coding, mode, exchange)
        tokens = await self._tokenize(plan, route, exchange, names.get(CUSTOMER))
        return with_digests(incoming, plan.fill([token.shown for token in tokens])), body

    async def _tokenize(
        self, plan: Plan, route: InboundRoute, exchange: Exchange, customer: str | None
    ) -> Sequence[Token]:
        if not plan.matches:
            return []
        await self._decide(route, exchange, frozenset(match.field.kind for match in plan.matches))
        tokens = await self._vault.tokenize(new_values(plan), route.tenant, exchange.context, customer=customer)
        for match in plan.matches:
            self._metrics.values.count("tokenize", match.field.kind)
        return tokens
