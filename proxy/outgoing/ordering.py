"""From a request of an application to an order: who asks, what is in it, and whether it may be. Nothing is revealed."""

from __future__ import annotations

from dataclasses import field
from uuid import uuid4

from multidict import CIMultiDict

from proxy.config import LimitsConfig
from proxy.edge.aside import find_in
from proxy.edge.exchange import Exchange
from proxy.edge.headers import end_to_end
from proxy.edge.identity import certificate_for, find_key, keep_place, put_secret
from proxy.edge.intake import Incoming, take
from proxy.edge.leaks import LeakGuard, Mode
from proxy.edge.names import key_in_header, take_names
from proxy.edge.prefer import drop_async, prefers_async
from proxy.edge.signatures import check_digests, has_none, key_of_signer, renewed, verify
from proxy.errors import RequestError
from proxy.outgoing.order import Later, Order
from proxy.outgoing.sending import Sending
from proxy.rewrite.fields import IDEMPOTENCY, SEQUENCE
from proxy.rewrite.message import Message
from proxy.rewrite.plan import Plan
from proxy.rewrite.reference import key_in, swapped
from proxy.routes import OutboundRoute
from proxy.serving.request import Request
from proxy.state.errors import IdempotencyKeyMissing
from proxy.upstream.answer import ask_for_readable
from vault.frozen import frozen
from vault.policy import Permit
from vault.service import Vault

_REPLACED = frozenset({"host", "expect", "content-length"})
# They change nothing, so there is nothing that could happen twice (RFC 9110, section 9.2.1).
_SAFE = {"GET", "HEAD", "OPTIONS"}


@frozen
class _Head:
    """What the head of a request says. `headers` are those to be sent on, with the gateway's secret or, where it is
    `later`, with a stand-in. `key` is the Panless key; `app_key` and `gateway_key` are for idempotency.
    `unsigned`: there is neither a signature nor a digest.
    """

    headers: CIMultiDict[str] = field(repr=False)
    key: str = field(repr=False)
    certificate: bytes | None = field(repr=False)
    app_key: str | None
    gateway_key: str | None
    later: bool
    unsigned: bool


class Ordering:
    """Makes orders."""

    def __init__(self, vault: Vault, sending: Sending, limits: LimitsConfig, guard: LeakGuard) -> None:
        self._vault = vault
        self._sending = sending
        self._limits = limits
        self._guard = guard

    async def order(self, request: Request, exchange: Exchange, route: OutboundRoute) -> tuple[Order, Later | None]:
        """Return what is to be sent and, if that is to be later, how it is kept. Raises a PanlessError."""
        head = _head(request, exchange, route)
        # Who asks is known before a body is read, unless the key is in it.
        known = head.key or not route.credential.inside
        permit = await self._permit(head.key, head, route, exchange) if known else None
        incoming = await self._take(request, route, head)
        names, found = take_names(await find_in(incoming.message, route.fields))
        permit = permit or await self._permit(key_in(found), head, route, exchange)
        plan = await self._checked(request, route, incoming, found, head=head, permit=permit, exchange=exchange)
        if head.later:  # what is kept holds no card number, wherever it stands
            mode = Mode.REPORT if route.guard == Mode.REPORT.value else Mode.REFUSE
            await self._guard.judge(found, mode, exchange)
        in_body = names.get(IDEMPOTENCY) if request.method not in _SAFE else None
        key, gateway_key = in_body or head.app_key, in_body or head.gateway_key
        _check_key(request, route, key)
        references = await self._sending.references(plan, permit, exchange)
        exchange.values = len(references) if route.fields else None
        order = Order(
            exchange,
            route,
            request.method,
            incoming,
            plan,
            permit,
            references,
            renew=_as_it_is if head.unsigned else lambda message: renewed(request, route, incoming, message),
            key=key,
            protected=gateway_key is not None,
        )
        return order, Later(key, gateway_key, names.get(SEQUENCE)) if head.later else None

    async def _permit(self, key: str, head: _Head, route: OutboundRoute, exchange: Exchange) -> Permit:
        principal = await self._vault.identify(key, exchange.context, head.certificate)
        exchange.app = principal.app
        return await self._sending.decide(principal, route, exchange)

    async def _take(self, request: Request, route: OutboundRoute, head: _Head) -> Incoming:
        path, _, query = request.target.partition("?")
        whole = route.signing is not None or head.app_key is not None or head.later
        target = (route.upstream_path(path), query)
        return await take(request, route, target, head.headers, self._limits, signed=whole)

    async def _checked(
        self,
        request: Request,
        route: OutboundRoute,
        incoming: Incoming,
        found: Plan,
        *,
        head: _Head,
        permit: Permit,
        exchange: Exchange,
    ) -> Plan:
        """Return the plan of what is swapped; raises a RequestError for what is not as it has to be."""
        plan = swapped(found)
        try:
            if not head.unsigned:
                verify(request, route, incoming)
                check_digests(plan, incoming)
        except RequestError as error:
            await self._vault.record_denial(permit.refused(error.code), exchange.context)
            raise
        route.check_required(match.field.at for match in found.matches)
        return plan


def _head(request: Request, exchange: Exchange, route: OutboundRoute) -> _Head:
    headers = end_to_end(request.lines, drop=_REPLACED)
    later = route.asynchronous is not None and prefers_async(headers)
    credential = route.credential
    certificate = certificate_for(headers, exchange)
    key = key_of_signer(request, route, headers, find_key(headers, credential.slots, exchange.key))
    app_key, gateway_key = _idempotency_keys(request, route, headers)
    if later:
        keep_place(headers, credential.slots)
        drop_async(headers)
    else:
        put_secret(headers, credential.slots, credential.secret, always=credential.always)
    ask_for_readable(headers)
    return _Head(headers, key, certificate, app_key, gateway_key, later, has_none(request, route))


def _as_it_is(message: Message) -> Message:
    return message


def _check_key(request: Request, route: OutboundRoute, key: str | None) -> None:
    if route.idempotency.required and key is None and request.method not in _SAFE:
        raise IdempotencyKeyMissing(route=route.name, header=route.idempotency.header)


def _idempotency_keys(
    request: Request, route: OutboundRoute, headers: CIMultiDict[str]
) -> tuple[str | None, str | None]:
    """Return the application's key, and the one that the gateway gets and honours.

    Where the application sends none and the gateway takes one, it is made here: our own retries are safe then.
    """
    if request.method in _SAFE:
        return None, None
    rules = route.idempotency
    given = key_in_header(headers, rules.header)
    if not rules.honoured:
        return given, None
    made = given or str(uuid4())
    headers[rules.header] = made
    return given, made
