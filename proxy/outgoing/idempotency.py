"""Requests with an idempotency key: one key, one effect (draft-ietf-httpapi-idempotency-key-header).

Rules:
1. The first request with a key runs. The row that says so is committed before anything is revealed or sent.
2. What the application gets is stored before it gets it. A later request with the key gets the same, byte for byte.
3. A request that may have taken effect is sent again only where the gateway itself honours the key that it got.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from uuid import UUID

from proxy.edge.kept import pack_answer, unpack_answer
from proxy.edge.metrics import Metrics
from proxy.outgoing.operation_ids import accepted
from proxy.outgoing.order import Order
from proxy.outgoing.outcomes import Effect, of_answer, of_error, passes
from proxy.outgoing.sending import Sending
from proxy.rewrite.reference import canonical
from proxy.serving.answer import Answer
from proxy.state.errors import IdempotencyKeyReused, OutcomeSettled, OutcomeUnknown, RequestRunning
from proxy.state.idempotency import Key, KeyRow, Outcome
from proxy.state.store import State
from vault.errors import KeysChanged, NotAToken, PanlessError, StoreError
from vault.service import Vault
from vault.tokens import uuid7

REPLAYED = "Idempotent-Replayed"
LOOK_SECONDS = 0.1


class Idempotency:
    """Runs orders that have a key."""

    def __init__(self, vault: Vault, state: State, sending: Sending, metrics: Metrics) -> None:
        self._vault = vault
        self._state = state
        self._keys = state.keys
        self._held = state.held
        self._sending = sending
        self._metrics = metrics

    async def answer(self, order: Order, text: str) -> Answer:
        """Return the answer to an order with the key `text`: the gateway's, or the one that is stored.

        Raises IdempotencyKeyReused, RequestRunning, OutcomeUnknown or OutcomeSettled; then nothing was sent.
        """
        key = Key(order.permit.principal.app, order.route.name, text)
        digest = await self.digest(order)
        waits = _Waits(order.route.idempotency.wait)
        while True:
            run = await self._claim(order, key, digest)
            if run is not None:
                return await self._run(order, run, fresh=True)
            known = await self.known(order, key, digest, waits.wait)
            if isinstance(known, Answer):
                self._metrics.idempotent.labels(order.route.name, "replayed").inc()
                return known
            if known is not None and (run := await self._keys.take_over(known.run, order.exchange.request_id)):
                return await self._run(order, run, fresh=False)

    async def digest(self, order: Order) -> bytes:
        """Return the SHA-256 by which an order is known again; raises NotAToken."""
        tenant = order.permit.principal.tenant
        try:
            resolved = await self._vault.resolve(order.references, tenant)
        except NotAToken as error:
            await self._vault.record_denial(order.permit.refused(error.code), order.exchange.context)
            raise
        message = canonical(order.plan, resolved)
        target = f"{message.path}?{message.query}".encode("utf-8", "surrogateescape")
        parts = (order.method.encode(), target, message.body)
        return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).digest()

    async def known(
        self, order: Order, key: Key, digest: bytes, wait: Callable[[], Awaitable[None]]
    ) -> Answer | KeyRow | None:
        """Return the answer that is stored, or the row of a request that may be run again; None: look again."""
        row = await self._keys.find(key)
        if row is None or await self._is_over(row):
            return None
        if not hmac.compare_digest(await self._vault.documents.open(row.digest), digest):
            raise IdempotencyKeyReused
        if row.answer is not None and row.state in ("done", "unknown"):
            return await self._stored(row.answer, order.permit.principal.tenant)
        match row.state:
            case "done" if row.operation is not None:
                return accepted(row.operation, replayed=True)
            case "running":
                await wait()
                return None
            case "repeatable" if order.protected:
                return row
            case "settled":
                raise OutcomeSettled(first=row.request_id)
        raise OutcomeUnknown(first=row.request_id)

    async def _is_over(self, row: KeyRow) -> bool:
        """Tell whether a row is not what it was any more: its time was up, or its process is gone."""
        if row.abandoned:
            await self._keys.sweep()
        elif row.expired and row.state != "running":
            await self._keys.expire(row.run)
        else:
            return False
        return True

    async def _claim(self, order: Order, key: Key, digest: bytes) -> UUID | None:
        """Return the run of a key that is new; raises a StoreError, and then nothing is left of it."""
        run, documents = uuid7(), self._vault.documents

        async def write() -> bool:
            document = await documents.seal("digest", order.permit.principal.tenant, digest)
            try:
                return await self._keys.claim(
                    key,
                    run,
                    document,
                    protected=order.protected,
                    request_id=order.exchange.request_id,
                    keep=order.route.idempotency.keep,
                )
            except KeysChanged:
                raise
            except StoreError:
                # It may be there all the same; nothing was sent, and that will be said as soon as it can be.
                self._held.begin(run)
                await self._held.end(run, lambda: self._keys.release(run))
                raise

        return run if await documents.written(write) else None

    async def _run(self, order: Order, run: UUID, *, fresh: bool) -> Answer:
        """Send, and store what came of it. `fresh`: nothing was sent with the key before."""
        self._held.begin(run)
        self._metrics.idempotent.labels(order.route.name, "sent").inc()
        answered = False
        try:
            async with await self._sending.send(
                replace(order, again=not fresh, check=partial(self._held.check, run))
            ) as sent:
                answered = True
                answer = await self._sending.answer(order, sent, whole=True)
        except PanlessError as error:
            effect = of_error(error, answered=answered)
            if effect is Effect.NONE and not fresh and not passes(error):
                # It cannot be sent again, because its code is gone, say: what came of the first one stays unknown.
                await self._end(order, run, Effect.DEFINITE, Outcome("unknown", code=error.code), fresh=fresh)
                raise OutcomeUnknown(first=order.exchange.request_id) from None
            await self._end(order, run, effect, Outcome("unknown", code=error.code), fresh=fresh)
            raise
        except BaseException:
            self._held.abandon(run)  # its end is not known, and is found to be so
            raise
        effect = of_answer(answer.status, protected=order.protected, in_doubt=sent.answer.in_doubt, before=not fresh)
        if effect is Effect.NONE:  # the next one may come as soon as the key is free
            await self._sending.settle(order, sent)
        await self._end(order, run, effect, Outcome("done", answer.status), fresh=fresh, answer=answer)
        if effect is not Effect.NONE:
            # Not before: whoever has to send it again, because this process ended here, needs the code once more.
            await self._sending.settle(order, sent)
        return answer

    async def _end(
        self, order: Order, run: UUID, effect: Effect, outcome: Outcome, *, fresh: bool, answer: Answer | None = None
    ) -> None:
        ended = _ending(effect, outcome, fresh=fresh, protected=order.protected)
        if ended is None:
            await self._held.end(run, lambda: self._keys.release(run))
            return
        data = pack_answer(answer) if answer is not None and ended.state != "repeatable" else None
        tenant = order.permit.principal.tenant
        await self._held.end(run, lambda: self._finish(run, ended, tenant, data))

    async def _finish(self, run: UUID, outcome: Outcome, tenant: str, data: bytes | None) -> None:
        documents = self._vault.documents

        async def write() -> None:
            document = await documents.seal("answer", tenant, data) if data is not None else None
            await self._keys.finish(run, replace(outcome, answer=document))

        await documents.written(write)

    async def _stored(self, answer: UUID, tenant: str) -> Answer:
        document = await self._state.document(answer, "answer", tenant)
        stored = unpack_answer(await self._vault.documents.open(document))
        stored.headers[REPLAYED] = "true"
        return stored


def _ending(effect: Effect, outcome: Outcome, *, fresh: bool, protected: bool) -> Outcome | None:
    """Return how a run ends whose request had an effect; None: as if it had never been.

    `fresh`: nothing was sent with its key before. What may have taken effect is repeatable where a gateway protects it.
    """
    if effect is Effect.NONE and fresh:
        return None
    if effect is Effect.NONE or (effect is Effect.UNSURE and protected):
        return replace(outcome, state="repeatable")
    return outcome if effect is Effect.DEFINITE else replace(outcome, state="unknown")


class _Waits:
    """Waits for another request to end, for as long as the route says."""

    def __init__(self, for_: timedelta) -> None:
        self._ends = asyncio.get_running_loop().time() + for_.total_seconds()

    async def wait(self) -> None:
        if asyncio.get_running_loop().time() >= self._ends:
            raise RequestRunning
        await asyncio.sleep(LOOK_SECONDS)
