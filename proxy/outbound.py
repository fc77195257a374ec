"""Outbound: from an application to a gateway. Tokens become card data on the way, and only on the way."""

from __future__ import annotations

from uuid import uuid4

from aiohttp import web
from multidict import CIMultiDict

from proxy.config import LimitsConfig
from proxy.edge.aside import find_in
from proxy.edge.exchange import Exchange
from proxy.edge.headers import check_framing, end_to_end
from proxy.edge.identity import certificate_for, find_key, keep_place, put_secret
from proxy.edge.intake import Incoming, take
from proxy.edge.leaks import LeakGuard, Mode
from proxy.edge.names import key_in_header, take_names
from proxy.edge.prefer import drop_async, prefers_async
from proxy.edge.relay import Answer, relay
from proxy.edge.signatures import check_digests, key_of_signer, renewed, verify
from proxy.errors import MethodNotAllowed, RequestError
from proxy.idempotency import Idempotency
from proxy.operation_ids import Asked, asked_for
from proxy.operations import Later, Operations
from proxy.order import Order
from proxy.rewrite.fields import IDEMPOTENCY, SEQUENCE
from proxy.rewrite.plan import Plan
from proxy.rewrite.reference import key_in, swapped
from proxy.routes import OutboundRoute, RouteTable
from proxy.sending import Sending
from proxy.state.errors import IdempotencyKeyMissing
from proxy.upstream.answer import ask_for_readable
from vault.policy import Permit
from vault.service import Vault

_REPLACED = ("host", "expect", "content-length")
# They change nothing, so there is nothing that could happen twice (RFC 9110, section 9.2.1).
_SAFE = {"GET", "HEAD", "OPTIONS"}
# Where a client may put its Panless key when it asks for an operation.
_KEY_SLOTS = ("bearer", "basic")


class Outbound:
    """Handles the requests of the outbound listener, of a port of a route's own, or of a tunnel."""

    def __init__(
        self,
        routes: RouteTable[OutboundRoute],
        vault: Vault,
        limits: LimitsConfig,
        *,
        sending: Sending,
        idempotency: Idempotency,
        operations: Operations,
        guard: LeakGuard,
    ) -> None:
        self._routes = routes
        self._vault = vault
        self._limits = limits
        self._sending = sending
        self._idempotency = idempotency
        self._operations = operations
        self._guard = guard

    async def handle(self, request: web.BaseRequest, exchange: Exchange) -> web.StreamResponse:
        """Reveal and forward; raises a PanlessError, and then the gateway got nothing unless the error says so."""
        check_framing(request)
        if (operation := asked_for(request.raw_path)) is not None:
            return await relay(request, exchange, await self._tell(request, exchange, operation))
        route = self._routes.match(request.method, request.raw_path)
        exchange.route, exchange.destination = route.name, route.destination
        order, later = await self._order(request, exchange, route)
        if later is not None:
            return await relay(request, exchange, await self._operations.accept(order, later))
        if (key := order.key) is not None:
            return await relay(request, exchange, await self._idempotency.answer(order, key))
        async with self._sending.send(order) as sent:
            # The gateway has answered, whether or not its answer can be passed on.
            await self._sending.settle(order, sent)
            return await relay(request, exchange, await self._sending.answer(order, sent))

    async def _order(
        self, request: web.BaseRequest, exchange: Exchange, route: OutboundRoute
    ) -> tuple[Order, Later | None]:
        """Check a request; return what is to be sent, and how it is to be kept if it is to be sent later."""
        path, _, query = request.raw_path.partition("?")
        headers = end_to_end(request.raw_headers, drop=_REPLACED)
        asynchronous = route.asynchronous is not None and prefers_async(headers)
        credential = route.credential
        certificate = certificate_for(headers, exchange)
        key = key_of_signer(request, route, headers, find_key(headers, credential.slots, exchange.key))
        app_key, gateway_key = _idempotency_keys(request, route, headers)
        if asynchronous:
            keep_place(headers, credential.slots)
            drop_async(headers)
        else:
            put_secret(headers, credential.slots, credential.secret, always=credential.always)
        ask_for_readable(headers)
        # Who asks is known before a body is read, unless the key is in it.
        permit = await self._permit(key, certificate, route, exchange) if key or not credential.inside else None
        whole = route.signing is not None or app_key is not None or asynchronous
        target = (route.upstream_path(path), query)
        incoming = await take(request, route, target, headers, self._limits, signed=whole)
        names, found = take_names(await find_in(incoming.message, route.fields))
        if asynchronous:  # what is kept holds no card number, wherever it stands
            await self._guard.judge(found, Mode.REPORT if route.guard == Mode.REPORT.value else Mode.REFUSE, exchange)
        plan = swapped(found)
        permit = permit or await self._permit(key_in(found), certificate, route, exchange)
        await self._verify(request, route, incoming, plan, permit=permit, exchange=exchange)
        route.check_required(match.field.at for match in found.matches)
        if request.method not in _SAFE and IDEMPOTENCY in names:
            app_key = gateway_key = names[IDEMPOTENCY]
        if route.idempotency.required and app_key is None and request.method not in _SAFE:
            raise IdempotencyKeyMissing(route=route.name, header=route.idempotency.header)
        order = Order(
            exchange,
            route,
            request.method,
            incoming,
            plan,
            permit,
            await self._sending.references(plan, permit, exchange),
            renew=lambda message: renewed(request, route, incoming, message),
            key=app_key,
            protected=gateway_key is not None,
        )
        exchange.values = len(order.references) if route.fields else None
        later = Later(app_key, gateway_key, names.get(SEQUENCE)) if asynchronous else None
        return order, later

    async def _permit(self, key: str, certificate: bytes | None, route: OutboundRoute, exchange: Exchange) -> Permit:
        principal = await self._vault.identify(key, exchange.context, certificate)
        exchange.app = principal.app
        return await self._sending.decide(principal, route, exchange)

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

    async def _tell(self, request: web.BaseRequest, exchange: Exchange, asked: Asked) -> Answer:
        """Answer a question about an operation, of the application whose it is."""
        exchange.route = "operations"
        headers = CIMultiDict(request.headers)
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


def _idempotency_keys(
    request: web.BaseRequest, route: OutboundRoute, headers: CIMultiDict[str]
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
