"""Sending an order: tokens become card data on the way to the gateway, and only on the way."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Sequence
from dataclasses import field, replace

import structlog

from proxy.edge.exchange import Exchange
from proxy.edge.identity import credential
from proxy.edge.metrics import Metrics
from proxy.errors import AnswerWithheld, KeyMisplaced, UpstreamError, ValueGuessed
from proxy.outgoing.answering import Answering
from proxy.outgoing.order import Order
from proxy.outgoing.outcomes import CONFLICT, Effect, of_answer, of_error
from proxy.rewrite.fields import KEY_PREFIXES
from proxy.rewrite.message import Message
from proxy.rewrite.plan import Plan
from proxy.rewrite.reference import filled, references
from proxy.rewrite.written import View, decoded, is_plain
from proxy.routes import OutboundRoute
from proxy.scrub.guesses import holds_guess, without, worth_searching
from proxy.scrub.scrubber import Secret
from proxy.serving.answer import Answer
from proxy.upstream.answer import for_whole
from proxy.upstream.client import UpstreamClient
from proxy.upstream.flight import GatewayAnswer
from proxy.upstream.shown import Expected
from vault.errors import Denied, KeyFailure, NotAToken, PanlessError, StoreError
from vault.frozen import frozen
from vault.policy import Denial, Permit, Policy, Principal
from vault.requests import Reference, Revealed
from vault.rules import Action
from vault.sensitive import Sensitive
from vault.service import Vault

_key = re.compile(rb"(?:%b)[0-9A-Za-z]{16}" % "|".join(KEY_PREFIXES).encode()).search

log = structlog.get_logger()


@frozen
class _Outgoing:
    """What goes to the gateway, what was revealed in it, and what its answer is searched for."""

    message: Message = field(repr=False)
    revealed: Sequence[Revealed] = ()
    secrets: Sequence[Secret] = ()
    permit: Permit | None = None


@frozen
class Sent:
    """The gateway has answered. `revealed` is what it got, `secrets` what its answer must not hold."""

    answer: GatewayAnswer
    revealed: Sequence[Revealed]
    secrets: Sequence[Secret]

    async def __aenter__(self) -> Sent:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.answer.release()


class Sending:
    """Decides, reveals, sends. Under one compiled configuration."""

    def __init__(
        self, vault: Vault, upstream: UpstreamClient, metrics: Metrics, *, policy: Policy, answer_bytes: int
    ) -> None:
        self._vault = vault
        self._upstream = upstream
        self._metrics = metrics
        self._policy = policy
        self._answering = Answering(vault, metrics, answer_bytes)
        self._own: dict[str, Sequence[Secret]] = {}  # by the secrets of the configuration

    async def decide(
        self, principal: Principal, route: OutboundRoute, exchange: Exchange, kinds: frozenset[str] | None = None
    ) -> Permit:
        """Return the permit for a route; raises Denied, which is recorded."""
        action = Action("reveal", route.name, route.apps or None, kinds, exchange.origin)
        decision = self._policy.decide(principal, action, route.destination)
        if isinstance(decision, Denial):
            await self._vault.record_denial(decision, exchange.context)
            raise Denied(route=route.name)
        return decision

    async def references(self, plan: Plan, permit: Permit, exchange: Exchange) -> Sequence[Reference]:
        """Return the tokens of a plan; raises NotAToken, which is recorded."""
        try:
            return references(plan)
        except NotAToken as error:
            await self._vault.record_denial(permit.refused(error.code), exchange.context)
            raise

    async def send(self, order: Order) -> Sent:
        """Reveal and send; raises a PanlessError. Where that is no UpstreamError the gateway got nothing.

        What it returns has to be released.
        """
        route, exchange = order.route, order.exchange
        outgoing = await self._revealed(order)
        streams, shown = order.incoming.streams, self._expected(outgoing, exchange)

        def message() -> Message:  # made for each attempt: signatures have times and nonces
            order.check()
            return order.renew(outgoing.message)

        try:
            answer = await self._upstream.send(route, order.method, message, streams, shown, protected=order.protected)
        except PanlessError as error:
            _say(error, order)
            if of_error(error, answered=False) is Effect.NONE:
                await self._give_back(order, outgoing.revealed)
            raise
        return Sent(answer, outgoing.revealed, outgoing.secrets)

    async def answer(self, order: Order, sent: Sent, *, whole: bool = False) -> Answer:
        """Return what the application gets; raises an UpstreamError for an answer that cannot be passed on."""
        try:
            return await self._answering.answer(
                order.exchange,
                order.route,
                sent.answer,
                secrets=sent.secrets,
                tenant=order.permit.principal.tenant,
                whole=whole,
            )
        except UpstreamError as error:
            _say(error, order)
            raise
        except (StoreError, KeyFailure) as error:  # which say that nothing was sent, and something was
            withheld = AnswerWithheld(route=order.route.name, reason=error.code)
            _say(withheld, order)
            raise withheld from None

    async def settle(self, order: Order, sent: Sent) -> None:
        """End the leases of what was revealed if the gateway has given its definite answer.

        If it has not taken the request, tokens of limited use get their use back.
        """
        status = sent.answer.status
        match of_answer(status, protected=order.protected, in_doubt=sent.answer.in_doubt):
            case Effect.NONE:
                await self._give_back(order, sent.revealed)
            case Effect.DEFINITE if status != CONFLICT and [each for each in sent.revealed if each.lease is not None]:
                # A conflict may be with an earlier request, whose answer is still to come.
                await self._written(order, self._vault.settle(sent.revealed))

    async def _give_back(self, order: Order, revealed: Sequence[Revealed]) -> None:
        if revealed and not order.again:  # sent again, nothing was used
            await self._written(order, self._vault.give_back(revealed))

    async def _written(self, order: Order, work: Awaitable[None]) -> None:
        """Do what comes after the gateway's answer: the application must learn that, whatever becomes of this."""
        try:
            await work
        except StoreError as error:
            log.warning("not_settled", code=error.code, request_id=order.exchange.request_id)

    async def _revealed(self, order: Order) -> _Outgoing:
        plan, route, permit, exchange = order.plan, order.route, order.permit, order.exchange
        wanted = order.references
        revealed: Sequence[Revealed] = []
        if wanted:
            if self._policy.looks_at_kinds:
                kinds = frozenset([reference.kind.name for reference in wanted])
                permit = await self.decide(permit.principal, route, exchange, kinds)
            if (certificate := await self._upstream.certificate(route)) is not None:
                permit = replace(permit, certificate=certificate)
            revealed = await self._vault.reveal(wanted, permit, exchange.context, again=order.again)
        for reference in wanted:
            self._metrics.values.count("reveal", reference.kind.name)
        secrets = await self._secrets(order, permit, revealed)
        message = plan.fill(filled(plan, revealed, route.credential.secret))
        if carries_key(message):
            raise KeyMisplaced(route=route.name)
        return _Outgoing(for_whole(message) if revealed else message, revealed, secrets, permit)

    async def _secrets(self, order: Order, permit: Permit, revealed: Sequence[Revealed]) -> Sequence[Secret]:
        """Return what must not be in the answer; raises ValueGuessed, which is recorded."""
        secrets = [
            Secret(each.value, each.token.shown)
            for each, reference in zip(revealed, order.references, strict=True)
            if reference.kind.withheld
        ]
        if not secrets:
            return []
        others = without(secrets, order.plan.everything_else())
        if holds_guess(others, secrets):
            await self._vault.record_denial(permit.refused(ValueGuessed.code), order.exchange.context)
            raise ValueGuessed(route=order.route.name)
        return [*worth_searching(others, secrets), *self._own_of(order.route.credential.secret)]

    def _own_of(self, secret: str | None) -> Sequence[Secret]:
        if secret is None:
            return ()
        if (own := self._own.get(secret)) is None:
            own = self._own[secret] = _own(secret)
        return own

    def _expected(self, outgoing: _Outgoing, exchange: Exchange) -> Expected | None:
        """Return the certificate that the reveal was recorded with; of another one there is an event of its own."""
        permit = outgoing.permit
        if not outgoing.revealed or permit is None or permit.certificate is None:
            return None

        async def told(certificate: str) -> None:
            await self._vault.record_certificate(replace(permit, certificate=certificate), exchange.context)

        return Expected(permit.certificate, told)


def carries_key(message: Message) -> bool:
    """Tell whether a Panless key stands in the target or the body, escaped or not."""
    target = f"{message.path}?{message.query}".encode("utf-8", "surrogateescape")
    for each in (target, message.body):  # noqa: SIM110  # a generator would cost more than the search
        if _key(each) or (not is_plain(each) and _key(View(decoded(each)).text)):
            return True
    return False


def _say(error: PanlessError, order: Order) -> None:
    """Let an error say whether the gateway honours a key that the request had."""
    if isinstance(error, UpstreamError):
        error.protected = order.protected


def _own(secret: str) -> list[Secret]:
    """Return the gateway's secret as it stands in a request: a gateway that quotes it must not tell the application."""
    basic = credential("basic", secret).partition(" ")[2]
    return [Secret(Sensitive(text), "[credential]") for text in (secret, basic)]
