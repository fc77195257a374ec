"""Webhooks: from a gateway to an application. Verified before anything else, each event once, without card numbers.

Rules:
1. The signature is verified over the bytes that came. What is not right is answered 401, recorded, and never parsed.
2. An event that is stored is durable before the gateway gets its answer; one that is passed on is marked as taken only
   once the application took it. What came before is answered 200, and not delivered again.
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from multidict import CIMultiDict

from proxy.config import LimitsConfig
from proxy.edge.aside import aside, find_in
from proxy.edge.body import read_body
from proxy.edge.exchange import Exchange
from proxy.edge.forwarded import forwarded
from proxy.edge.headers import end_to_end
from proxy.edge.intake import Incoming, taken
from proxy.edge.kept import KeptRequest, pack_request
from proxy.edge.leaks import LeakGuard, Mode
from proxy.edge.metrics import Metrics
from proxy.edge.relay import relay
from proxy.edge.signatures import check_digests, with_digests
from proxy.errors import BodyUnsearchable, CardNumberFound
from proxy.guard.masking import mask
from proxy.notifying.worker import Notifying
from proxy.rewrite.message import Message
from proxy.rewrite.reference import new_values
from proxy.serving.answer import Answer, answer_of
from proxy.serving.request import Request
from proxy.state.webhook_events import KIND, WEBHOOK, NewEvent, WebhookEvents
from proxy.upstream.certificates import SigningCertificates
from proxy.upstream.client import UpstreamClient
from proxy.upstream.flight import body_of
from proxy.verifying.errors import WebhookBusy, WebhookRejected
from proxy.verifying.scheme import Hook, digest_of
from proxy.webhook_routes import WebhookRoute
from vault.errors import PanlessError
from vault.service import Vault

_TEXT = "text/plain; charset=utf-8"
HELD_BEYOND = timedelta(seconds=30)
_OK = range(200, 300)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)


class Webhooks:
    """Handles the requests of webhook routes."""

    def __init__(
        self, vault: Vault, upstream: UpstreamClient, limits: LimitsConfig, metrics: Metrics, notifying: Notifying
    ) -> None:
        self._vault = vault
        self._upstream = upstream
        self._limits = limits
        self._metrics = metrics
        self._notifying = notifying
        self._events: WebhookEvents = notifying.events
        self._certificates = SigningCertificates(upstream)
        self._guard = LeakGuard(vault, metrics, CardNumberFound, BodyUnsearchable)

    async def handle(self, request: Request, exchange: Exchange, route: WebhookRoute) -> Answer:
        """Take a webhook; raises a PanlessError, and then nothing was stored or forwarded."""
        try:
            if (asked := route.verifier.challenge(_hook(request, b""))) is not None:
                return answer_of(asked, _TEXT)
            raw = await self._body(request)
            key = await self._verified(_hook(request, raw), route)
            came = await self._events.state_of(WEBHOOK, route.name, key)
            if came is not None and came != "passing":
                return self._accepted(route, "replayed")
            if route.passes:
                return await self._pass_on(request, exchange, route, raw, key)
            return await self._store(request, exchange, route, raw, key)
        except WebhookRejected as error:
            await self._refused(error, exchange, route)
            raise
        except PanlessError as error:
            self._metrics.webhooks.labels(route.name, error.code).inc()
            raise

    async def _body(self, request: Request) -> bytes:
        request.ask_for_body()
        if not request.has_body:
            return b""
        return await read_body(request, limit=self._limits.body_bytes, seconds=self._limits.body_seconds)

    async def _verified(self, hook: Hook, route: WebhookRoute) -> str:
        """Return what the event is known by; raises a WebhookRejected."""
        now = time.time()
        at = route.verifier.certificate_at(hook, now)
        certificate = await self._certificates.get(route, at) if at is not None else b""
        key = await aside(len(hook.body), route.verifier.verify, hook, now, certificate)
        bare = _UUID.sub("-", key)
        # Of an id that could be a card number no digest is kept that could be guessed.
        return key if mask(bare) == bare else digest_of(key.encode("utf-8", "surrogatepass") + hook.body)

    async def _refused(self, error: WebhookRejected, exchange: Exchange, route: WebhookRoute) -> None:
        self._metrics.webhooks.labels(route.name, error.code).inc()
        await self._vault.record("webhook", exchange.context, tenant=route.tenant, refusal=error.code)

    def _accepted(self, route: WebhookRoute, outcome: str) -> Answer:
        self._metrics.webhooks.labels(route.name, outcome).inc()
        return answer_of(route.verifier.accepted, _TEXT)

    async def _store(self, request: Request, exchange: Exchange, route: WebhookRoute, raw: bytes, key: str) -> Answer:
        now = datetime.now(UTC)
        message = await self._tokenized(request, exchange, route, raw)
        data = pack_request(KeptRequest(request.method, message))
        sequence = route.order.of(message.headers, message.body) if route.order is not None else None
        if not await self._add(route, key, data, sequence, now):
            await self._events.forget_abandoned(WEBHOOK, route.name, key, now)
            if await self._events.state_of(WEBHOOK, route.name, key) in ("passing", None):
                raise WebhookBusy
            return self._accepted(route, "replayed")
        self._notifying.wake()
        return self._accepted(route, "stored")

    async def _add(self, route: WebhookRoute, key: str, data: bytes, sequence: str | None, now: datetime) -> bool:
        until, timeless = now + route.deliver_for, not route.verifier.timed

        async def write() -> bool:
            document = await self._vault.documents.seal(KIND, route.tenant, data)
            return await self._events.add(NewEvent(WEBHOOK, route.name, key, document, now, until, sequence, timeless))

        return await self._vault.documents.written(write)

    async def _pass_on(self, request: Request, exchange: Exchange, route: WebhookRoute, raw: bytes, key: str) -> Answer:
        message = await self._tokenized(request, exchange, route, raw)
        sent = replace(message, path=route.upstream_path(message.path))
        async with self._held(route, key) as held, await self._upstream.send(route, request.method, sent) as answer:
            took = answer.status in _OK
            if took:
                now = datetime.now(UTC)
                await self._events.passed(held, now, now + route.keep)
            self._metrics.webhooks.labels(route.name, "passed" if took else "not_taken").inc()
            passed = Answer(answer.status, answer.reason, end_to_end(answer.lines), body_of(answer, route))
            return await relay(request, exchange, passed)

    @asynccontextmanager
    async def _held(self, route: WebhookRoute, key: str) -> AsyncIterator[UUID]:
        """Hold an event while it is passed on; what was not taken may come again. Raises WebhookBusy."""
        now = datetime.now(UTC)
        until = now + timedelta(seconds=route.whole_seconds) + HELD_BEYOND
        held = await self._events.hold(
            WEBHOOK, route.name, key, timeless=not route.verifier.timed, now=now, until=until
        )
        if held is None:
            raise WebhookBusy
        try:
            yield held
        finally:
            await self._events.let_go(held)  # nothing, once it is marked as passed

    async def _tokenized(self, request: Request, exchange: Exchange, route: WebhookRoute, raw: bytes) -> Message:
        """Return the message without card numbers; its path is still the one that came."""
        path, _, query = request.target.partition("?")
        incoming = taken(raw, route, (path, query), forwarded(request, exchange), self._limits)
        plan = await find_in(incoming.message, route.fields)
        route.check_required(match.field.at for match in plan.matches)
        plan = await self._guard.judge(plan, Mode(route.guard), exchange)
        check_digests(plan, incoming)
        exchange.values = len(plan.matches)
        tokens = await self._vault.tokenize(new_values(plan), route.tenant, exchange.context) if plan.matches else []
        for match in plan.matches:
            self._metrics.values.count("tokenize", match.field.kind)
        return _unsigned(with_digests(incoming, plan.fill([token.shown for token in tokens])), incoming, route)


def _hook(request: Request, raw: bytes) -> Hook:
    return Hook(request.method, request.target, tuple(request.pairs), raw)


def _unsigned(message: Message, incoming: Incoming, route: WebhookRoute) -> Message:
    """Take the gateway's signature out if it is not that of the body any more."""
    changed = message.body != incoming.raw
    dropped = route.verifier.signature_headers if changed else frozenset[str]()
    kept = CIMultiDict([each for each in message.headers if each[0].lower() not in dropped])
    return replace(message, headers=tuple(kept.items()))
