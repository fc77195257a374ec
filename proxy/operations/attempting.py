"""Sending operations: one attempt at a time, and what follows from how it ended."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import structlog
from multidict import CIMultiDict

from proxy.edge.aside import find_in
from proxy.edge.exchange import Exchange
from proxy.edge.identity import put_secret
from proxy.edge.intake import Incoming
from proxy.edge.kept import pack_answer, unpack_request
from proxy.edge.metrics import Metrics
from proxy.edge.names import take_names
from proxy.edge.signatures import with_digests
from proxy.errors import RouteNotFound
from proxy.operations.ending import Ending
from proxy.outgoing.operation_ids import PREFIX
from proxy.outgoing.order import Order
from proxy.outgoing.outcomes import Effect, of_answer, of_error, passes
from proxy.outgoing.sending import Sending
from proxy.rewrite.reference import swapped
from proxy.routes import OutboundRoute
from proxy.serving.answer import Answer
from proxy.state.errors import OutcomeUnknown
from proxy.state.operations import End, Operation, State
from proxy.state.store import State as Store
from proxy.upstream.backoff import full_jitter, retry_after
from vault.errors import PanlessError
from vault.service import Vault
from vault.tokens import type_id

BASE_SECONDS, MOST_SECONDS = 1.0, 60.0
MOST_ASKED_SECONDS = 3600.0

log = structlog.get_logger()


class Working:
    """Sends operations on the routes of one compiled configuration."""

    def __init__(
        self,
        routes: Mapping[str, OutboundRoute],
        vault: Vault,
        state: Store,
        *,
        sending: Sending,
        ending: Ending,
        metrics: Metrics,
    ) -> None:
        self.routes = routes
        self._vault = vault
        self._state = state
        self._queue = state.queue
        self._held = state.held
        self._sending = sending
        self._ending = ending
        self._metrics = metrics

    async def attempt(self, operation: Operation) -> None:
        """Send an operation once, and write what came of it. Raises nothing that is expected."""
        answered, answer = False, None
        try:
            order = await self._order(operation)
            async with await self._sending.send(order) as sent:
                answered = True
                answer = await self._sending.answer(order, sent, whole=True)
        except PanlessError as error:
            effect = of_error(error, answered=answered)
            if effect is Effect.NONE and not passes(error):
                await self._end(operation, "unknown" if operation.reached else "failed", code=error.code)
            else:
                await self._undone(operation, effect, error.code, wait=_asked(error))
            return
        effect = of_answer(
            answer.status, protected=order.protected, in_doubt=sent.answer.in_doubt, before=operation.reached
        )
        if effect is Effect.DEFINITE:
            await self._end(operation, _state(answer.status), answer=answer)
            await self._sending.settle(order, sent)
        else:
            await self._sending.settle(order, sent)
            code = f"answered_{answer.status}"
            await self._undone(operation, effect, code, wait=_asked_by(answer), answer=answer)

    async def give_up(self, operation: Operation) -> None:
        """Say what is known of an operation whose process is gone."""
        await self._undone(operation, Effect.UNSURE, OutcomeUnknown.code)

    async def _order(self, operation: Operation) -> Order:
        route = self.routes.get(operation.route)
        if route is None:
            raise RouteNotFound
        document = await self._state.document(operation.request, "request", operation.tenant)
        kept = unpack_request(await self._vault.documents.open(document))
        exchange = Exchange("operations", operation.request_id, kept.origin, app=operation.app)
        exchange.route, exchange.destination = route.name, route.destination
        headers = CIMultiDict(kept.message.headers)
        put_secret(headers, route.credential.slots, route.credential.secret, always=route.credential.always)
        if operation.key is not None and route.idempotency.honoured:
            headers[route.idempotency.header] = operation.key
        message = replace(kept.message, headers=tuple(headers.items()))
        incoming = Incoming(message, raw=message.body)
        _, found = take_names(await find_in(message, route.fields))
        plan = swapped(found)
        principal = await self._vault.acting_for(operation.app, operation.tenant, exchange.context)
        permit = await self._sending.decide(principal, route, exchange)
        return Order(
            exchange,
            route,
            kept.method,
            incoming,
            plan,
            permit,
            await self._sending.references(plan, permit, exchange),
            renew=lambda filled: with_digests(incoming, filled),
            protected=operation.key is not None,
            again=operation.reached,
            check=partial(self._state.held.check, operation.run),
        )

    async def _undone(
        self, operation: Operation, effect: Effect, code: str, *, wait: float = 0.0, answer: Answer | None = None
    ) -> None:
        """Put an operation back into the queue, or end it where that may not or need not be."""
        reached = operation.reached or effect is Effect.UNSURE
        if effect is Effect.UNSURE and operation.key is None:
            await self._end(operation, "unknown", code=code, answer=answer)
        elif self._is_spent(operation, effect):
            await self._end(operation, "unknown" if reached else "dead", code=code, answer=answer)
        else:
            chance = random.random()  # noqa: S311  # no secret
            seconds = max(wait, full_jitter(operation.attempts, BASE_SECONDS, MOST_SECONDS, chance))
            again = timedelta(seconds=seconds)
            await self._held.end(operation.run, lambda: self._queue.again(operation, again, reached=reached, code=code))
            self._tell(operation, "pending", code)

    def _is_spent(self, operation: Operation, effect: Effect) -> bool:
        settings = self.routes[operation.route].asynchronous if operation.route in self.routes else None
        if settings is None:
            return True
        hours = timedelta(hours=settings.give_up_hours)
        too_often = effect is Effect.UNSURE and operation.attempts >= settings.attempts
        return too_often or datetime.now(UTC) - operation.begun_at > hours

    async def _end(
        self, operation: Operation, state: State, *, code: str | None = None, answer: Answer | None = None
    ) -> None:
        data = pack_answer(answer) if answer is not None else None
        status = answer.status if answer is not None else None
        await self._held.end(operation.run, lambda: self._ending.end(operation, End(state, status, code), data))
        self._metrics.operations_ended.labels(operation.route, state).inc()
        self._tell(operation, state, code)

    def _tell(self, operation: Operation, state: State, code: str | None) -> None:
        log.info(
            "operation",
            operation=type_id(PREFIX, operation.id),
            route=operation.route,
            app=operation.app,
            state=state,
            code=code,
            attempts=operation.attempts,
            request_id=operation.request_id,
        )


def _state(status: int) -> State:
    """Return how an operation ended with a definite answer. A redirection does not say what has happened."""
    if status < 300:
        return "succeeded"
    return "failed" if status >= 400 else "unknown"


def _asked(error: PanlessError) -> float:
    seconds = error.ids.get("seconds", 0)
    return float(seconds) if isinstance(seconds, int) else 0.0


def _asked_by(answer: Answer) -> float:
    return min(retry_after(answer.headers.get("Retry-After", ""), datetime.now(UTC)) or 0.0, MOST_ASKED_SECONDS)
