"""Outbound: from an application to a gateway. Tokens become card data on the way, and only on the way."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog
from aiohttp import web
from multidict import CIMultiDict

from proxy.answering import Answering
from proxy.config import LimitsConfig
from proxy.edge.aside import find_in
from proxy.edge.exchange import Exchange
from proxy.edge.headers import check_framing, end_to_end
from proxy.edge.identity import certificate_for, credential, find_key, put_secret
from proxy.edge.intake import Incoming, take
from proxy.edge.metrics import Metrics
from proxy.edge.signatures import check_digests, key_of_signer, renewed, verify
from proxy.errors import KeyMisplaced, RequestError, ValueGuessed
from proxy.rewrite.fields import KEY_PREFIXES
from proxy.rewrite.message import Message
from proxy.rewrite.plan import Plan
from proxy.rewrite.reference import filled, key_in, references, swapped
from proxy.rewrite.written import View, decoded, is_plain
from proxy.routes import OutboundRoute, RouteTable
from proxy.scrub.guesses import holds_guess, without, worth_searching
from proxy.scrub.scrubber import Secret
from proxy.upstream.answer import ask_for_readable, ask_for_whole
from proxy.upstream.client import UpstreamClient
from proxy.upstream.shown import Expected
from vault.errors import Denied, NotAToken, StoreError
from vault.policy import Denial, Permit, Policy, Principal
from vault.requests import Reference, Revealed
from vault.rules import Action
from vault.sensitive import Sensitive
from vault.service import Vault

_REPLACED = ("host", "expect", "content-length")
# After these the gateway may still take the same request: the verification code has to be there for it.
_NOT_DEFINITE = {408, 409, 425, 429}
_key = re.compile(rb"(?:%b)[0-9A-Za-z]{16}" % "|".join(KEY_PREFIXES).encode()).search

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Outgoing:
    """What goes to the gateway, what was revealed in it, and what its answer is searched for."""

    message: Message
    revealed: Sequence[Revealed] = ()
    secrets: Sequence[Secret] = ()
    permit: Permit | None = None


class Outbound:
    """Handles the requests of the outbound listener."""

    def __init__(
        self,
        routes: RouteTable[OutboundRoute],
        vault: Vault,
        upstream: UpstreamClient,
        limits: LimitsConfig,
        metrics: Metrics,
        *,
        policy: Policy,
    ) -> None:
        self._policy = policy
        self._routes = routes
        self._vault = vault
        self._upstream = upstream
        self._limits = limits
        self._metrics = metrics
        self._answering = Answering(vault, metrics, limits.answer_bytes)

    async def handle(self, request: web.BaseRequest, exchange: Exchange) -> web.StreamResponse:
        """Reveal and forward; raises a PanlessError, and then the gateway got nothing unless the error says so."""
        check_framing(request)
        path, _, query = request.raw_path.partition("?")
        route = self._routes.match(request.method, request.raw_path)
        exchange.route, exchange.destination = route.name, route.destination
        headers = end_to_end(request.raw_headers, drop=_REPLACED)
        credential = route.credential
        certificate = certificate_for(headers, exchange)
        key = key_of_signer(request, route, headers, find_key(headers, credential.slots, exchange.key))
        put_secret(headers, credential.slots, credential.secret, always=credential.always)
        ask_for_readable(headers)
        # Who asks is known before a body is read, unless the key is in it.
        permit = await self._permit(key, certificate, route, exchange) if key or not credential.inside else None
        target, signed = (route.upstream_path(path), query), route.signing is not None
        incoming = await take(request, route, target, headers, self._limits, signed=signed)
        found = await find_in(incoming.message, route.fields)
        plan = swapped(found)
        permit = permit or await self._permit(key_in(found), certificate, route, exchange)
        await self._verify(request, route, incoming, plan, permit=permit, exchange=exchange)
        route.check_required(match.field.at for match in found.matches)
        outgoing = await self._revealed(plan, route, permit, exchange)
        message = renewed(request, route, incoming, outgoing.message)
        shown = self._expected(outgoing, exchange)
        async with await self._upstream.send(route, request.method, message, incoming.streams, shown) as answer:
            # The gateway has answered, whether or not its answer can be passed on.
            await self._settle(answer.status, outgoing.revealed, exchange)
            tenant = permit.principal.tenant
            return await self._answering.pass_on(
                request, exchange, route, answer, secrets=outgoing.secrets, tenant=tenant
            )

    async def _permit(self, key: str, certificate: bytes | None, route: OutboundRoute, exchange: Exchange) -> Permit:
        principal = await self._vault.identify(key, exchange.context, certificate)
        exchange.app = principal.app
        return await self._decided(principal, route, exchange)

    async def _decided(
        self, principal: Principal, route: OutboundRoute, exchange: Exchange, kinds: frozenset[str] | None = None
    ) -> Permit:
        action = Action("reveal", route.name, route.apps or None, kinds, exchange.origin)
        decision = self._policy.decide(principal, action, route.destination)
        if isinstance(decision, Denial):
            await self._vault.record_denial(decision, exchange.context)
            raise Denied(route=route.name)
        return decision

    async def _verify(
        self,
        request: web.BaseRequest,
        route: OutboundRoute,
        incoming: Incoming,
        plan: Plan,
        *,
        permit: Permit,
        exchange: Exchange,
    ) -> None:
        try:
            verify(request, route, incoming)
            check_digests(plan, incoming)
        except RequestError as error:
            await self._vault.record_denial(permit.refused(error.code), exchange.context)
            raise

    async def _revealed(self, plan: Plan, route: OutboundRoute, permit: Permit, exchange: Exchange) -> _Outgoing:
        wanted = await self._references(plan, permit, exchange)
        exchange.values = len(wanted) if route.fields else None
        if wanted:
            kinds = frozenset(reference.kind.name for reference in wanted)
            permit = await self._decided(permit.principal, route, exchange, kinds)
            permit = replace(permit, certificate=await self._upstream.certificate(route))
        revealed = await self._vault.reveal(wanted, permit, exchange.context) if wanted else []
        for reference in wanted:
            self._metrics.values.labels("reveal", reference.kind.name).inc()
        secrets = [
            Secret(each.value, each.token.shown)
            for each, reference in zip(revealed, wanted, strict=True)
            if reference.kind.withheld
        ]
        if secrets:
            others = list(without(secrets, plan.everything_else()))
            if holds_guess(others, secrets):
                await self._vault.record_denial(permit.refused(ValueGuessed.code), exchange.context)
                raise ValueGuessed(route=route.name)
            secrets = [*worth_searching(others, secrets), *_own(route)]
        message = plan.fill(filled(plan, revealed, route.credential.secret))
        if _holds_key(message):
            raise KeyMisplaced(route=route.name)
        return _Outgoing(_searchable(message) if revealed else message, revealed, secrets, permit)

    def _expected(self, outgoing: _Outgoing, exchange: Exchange) -> Expected | None:
        """Return the certificate that the reveal was recorded with; of another one there is an event of its own."""
        permit = outgoing.permit
        if not outgoing.revealed or permit is None or permit.certificate is None:
            return None

        async def told(certificate: str) -> None:
            await self._vault.record_certificate(replace(permit, certificate=certificate), exchange.context)

        return Expected(permit.certificate, told)

    async def _references(self, plan: Plan, permit: Permit, exchange: Exchange) -> Sequence[Reference]:
        try:
            return references(plan)
        except NotAToken as error:
            await self._vault.record_denial(permit.refused(error.code), exchange.context)
            raise

    async def _settle(self, status: int, revealed: Sequence[Revealed], exchange: Exchange) -> None:
        if not revealed or status >= 500 or status in _NOT_DEFINITE:
            return
        try:
            await self._vault.settle(revealed)
        except StoreError as error:
            # The gateway has answered and the application must learn it. The lease ends with its time.
            log.warning("lease_not_ended", code=error.code, request_id=exchange.request_id)


def _holds_key(message: Message) -> bool:
    target = f"{message.path}?{message.query}".encode("utf-8", "surrogateescape")
    return any(_key(each) or (not is_plain(each) and _key(View(decoded(each)).text)) for each in (target, message.body))


def _searchable(message: Message) -> Message:
    headers = CIMultiDict(message.headers)
    ask_for_whole(headers)
    return replace(message, headers=tuple(headers.items()))


def _own(route: OutboundRoute) -> list[Secret]:
    """Return the gateway's secret as it stands in a request: a gateway that quotes it must not tell the application."""
    secret = route.credential.secret
    if secret is None:
        return []
    basic = credential("basic", secret).partition(" ")[2]
    return [Secret(Sensitive(text), "[credential]") for text in (secret, basic)]
