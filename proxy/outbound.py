"""Outbound: from an application to a gateway. Tokens become card data on the way, and only on the way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import structlog
from aiohttp import ClientResponse, web
from multidict import CIMultiDict

from proxy.config import LimitsConfig
from proxy.edge.body import body_type, continue_if_expected, pass_body, read_body
from proxy.edge.exchange import Exchange
from proxy.edge.headers import check_framing, end_to_end
from proxy.edge.identity import credential, find_key, put_secret
from proxy.edge.metrics import Metrics
from proxy.edge.relay import Answer, relay
from proxy.errors import ValueGuessed
from proxy.rewrite.guesses import holds_guess, worth_searching
from proxy.rewrite.plan import Plan, find
from proxy.rewrite.reference import references
from proxy.rewrite.scrub import Scrubber, Secret
from proxy.routes import OutboundRoute, RouteTable
from proxy.upstream.answer import ask_for_readable, cleaned
from proxy.upstream.client import UpstreamClient, read_answer
from vault.errors import Denied, NotAToken, StoreError
from vault.policy import Action, Denial, Permit, decide
from vault.requests import Revealed
from vault.sensitive import Sensitive
from vault.service import Vault

_REPLACED = ("host", "expect", "content-length")
# After these the gateway may still take the same request: the verification code has to be there for it.
_NOT_DEFINITE = {408, 409, 425, 429}

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Outgoing:
    """What goes to the gateway: its body, what was revealed in it, and what its answer is searched for."""

    body: bytes | AsyncIterator[bytes] | None
    revealed: Sequence[Revealed] = ()
    secrets: Sequence[Secret] = ()


class Outbound:
    """Handles the requests of the outbound listener."""

    def __init__(
        self,
        routes: RouteTable[OutboundRoute],
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
        """Reveal and forward; raises a PanlessError, and then the gateway got nothing unless the error says so."""
        check_framing(request)
        path, _, query = request.raw_path.partition("?")
        route = self._routes.match(request.method, request.raw_path)
        exchange.route, exchange.destination = route.name, route.destination
        headers = end_to_end(request.raw_headers, drop=_REPLACED)
        permit = await self._permit(headers, route, exchange)
        put_secret(headers, route.slots, route.secret)
        await continue_if_expected(request)
        outgoing = await self._outgoing(request, route, permit, exchange, headers)
        target = route.upstream_target(path, query)
        answer = await self._upstream.send(route, request.method, target, headers, outgoing.body)
        async with answer:
            return await self._answer(request, exchange, route, answer, outgoing)

    async def _permit(self, headers: CIMultiDict[str], route: OutboundRoute, exchange: Exchange) -> Permit:
        principal = await self._vault.identify(find_key(headers, route.slots, exchange.key), exchange.context)
        exchange.app = principal.app
        decision = decide(principal, Action("reveal", route.name, route.apps), route.destination)
        if isinstance(decision, Denial):
            await self._vault.record_denial(decision, exchange.context)
            raise Denied(route=route.name)
        return decision

    async def _outgoing(
        self,
        request: web.BaseRequest,
        route: OutboundRoute,
        permit: Permit,
        exchange: Exchange,
        headers: CIMultiDict[str],
    ) -> _Outgoing:
        if not request.body_exists:
            route.check_required(())
            return _Outgoing(None)
        if not route.fields:
            return _Outgoing(await pass_body(request, headers))
        kind = body_type(request, route.name)
        raw = await read_body(request, limit=self._limits.body_bytes, seconds=self._limits.body_seconds)
        plan = find(raw, kind, route.fields)
        route.check_required(match.field.at for match in plan.matches)
        exchange.values = len(plan.matches)
        if not plan.matches:
            return _Outgoing(raw)
        revealed = await self._reveal(plan, permit, exchange)
        secrets = [Secret(each.value, str(each.token)) for each in revealed]
        others: list[bytes | memoryview] = [*plan.remainder(), *_as_bytes(request.raw_path, *headers.values())]
        if holds_guess(others, secrets):
            await self._vault.record_denial(permit.refused(ValueGuessed.code), exchange.context)
            raise ValueGuessed(route=route.name)
        ask_for_readable(headers)
        body = plan.fill([each.value for each in revealed])
        return _Outgoing(body, revealed, [*worth_searching(others, secrets), *_own(route)])

    async def _reveal(self, plan: Plan, permit: Permit, exchange: Exchange) -> Sequence[Revealed]:
        try:
            wanted = references(plan)
        except NotAToken as error:
            await self._vault.record_denial(permit.refused(error.code), exchange.context)
            raise
        revealed = await self._vault.reveal(wanted, permit, exchange.context)
        for match in plan.matches:
            self._metrics.values.labels("reveal", match.field.kind).inc()
        return revealed

    async def _answer(
        self,
        request: web.BaseRequest,
        exchange: Exchange,
        route: OutboundRoute,
        answer: ClientResponse,
        outgoing: _Outgoing,
    ) -> web.StreamResponse:
        if not outgoing.revealed:
            headers = end_to_end(answer.raw_headers)
            passed = Answer(answer.status, answer.reason, headers, read_answer(answer, route))
            return await relay(request, exchange, passed)
        # The gateway has answered, whether or not its answer can be passed on.
        await self._settle(answer.status, outgoing.revealed, exchange)
        scrubber = Scrubber(outgoing.secrets)
        headers, body = await cleaned(answer, scrubber, route, self._limits.answer_bytes)
        reason = scrubber.clean_text(answer.reason or "")
        return await relay(request, exchange, Answer(answer.status, reason, headers, body))

    async def _settle(self, status: int, revealed: Sequence[Revealed], exchange: Exchange) -> None:
        if status >= 500 or status in _NOT_DEFINITE:
            return
        try:
            await self._vault.settle(revealed)
        except StoreError as error:
            # The gateway has answered and the application must learn it. The lease ends with its time.
            log.warning("lease_not_ended", code=error.code, request_id=exchange.request_id)


def _as_bytes(*texts: str) -> list[bytes]:
    return [text.encode("utf-8", "surrogateescape") for text in texts]


def _own(route: OutboundRoute) -> list[Secret]:
    """Return the gateway's secret as it stands in a request: a gateway that quotes it must not tell the application."""
    if route.secret is None:
        return []
    basic = credential("basic", route.secret).partition(" ")[2]
    return [Secret(Sensitive(text), "[credential]") for text in (route.secret, basic)]
