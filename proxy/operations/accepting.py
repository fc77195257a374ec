"""Operations: requests that an application wants to be sent later (RFC 7240, `Prefer: respond-async`).

Rules:
1. An operation and the row of its idempotency key are committed together, before the application hears of it.
2. What is kept holds tokens, and stand-ins for credentials. They are swapped at the moment of sending.
3. An operation that may have been sent is sent again only where the gateway honours the key that it got.
"""

from __future__ import annotations

import json
from uuid import UUID

from multidict import CIMultiDict

from proxy.edge.kept import KeptRequest, pack_request, unpack_answer
from proxy.edge.signatures import with_digests
from proxy.errors import KeyMisplaced
from proxy.outgoing.idempotency import Idempotency
from proxy.outgoing.operation_ids import PREFIX, about, accepted, operation_id
from proxy.outgoing.order import Later, Order
from proxy.outgoing.sending import carries_key
from proxy.rewrite.reference import without_keys
from proxy.serving.answer import Answer
from proxy.state.errors import (
    OperationInDoubt,
    OperationNotFound,
    OperationUnanswered,
    OperationUnderWay,
    OutcomeUnknown,
    RequestRunning,
)
from proxy.state.idempotency import Key
from proxy.state.operations import NewOperation, Operation
from proxy.state.store import State
from vault.errors import KeysChanged, StoreError
from vault.policy import Principal
from vault.service import Vault
from vault.tokens import type_id, uuid7

UNDER_WAY = ("pending", "running")


class Operations:
    """Takes orders to be sent later, and tells what has become of them."""

    def __init__(self, vault: Vault, state: State, idempotency: Idempotency) -> None:
        self._vault = vault
        self._state = state
        self._queue = state.queue
        self._idempotency = idempotency

    async def accept(self, order: Order, later: Later) -> Answer:
        """Keep an order; return the 202 that says where to ask for it. Raises what Idempotency does."""
        request, key = _kept(order), None
        if carries_key(request.message):
            raise KeyMisplaced(route=order.route.name)
        kept = pack_request(request)
        if later.app_key is not None:
            key = Key(order.permit.principal.app, order.route.name, later.app_key)
        # Also without a key: digits that are no token of ours are found out here, and not kept.
        digest = await self._idempotency.digest(order)
        while True:
            if (operation := await self._enqueue(order, later, kept, key, digest)) is not None:
                return accepted(operation)
            if key is None:
                raise AssertionError("without a key of the application's every operation is a new one")
            known = await self._idempotency.known(order, key, digest, _refuse)
            if isinstance(known, Answer):
                return known
            if known is not None:  # it was sent at once before, and can only be so again
                raise OutcomeUnknown(first=known.request_id)

    async def _enqueue(self, order: Order, later: Later, kept: bytes, key: Key | None, digest: bytes) -> UUID | None:
        """Return the id of a new operation; None if its key is there already."""
        documents, tenant, identifier = self._vault.documents, order.permit.principal.tenant, uuid7()

        async def write() -> bool:
            request = await documents.seal("request", tenant, kept)
            of_key = await documents.seal("digest", tenant, digest) if key is not None else None
            new = NewOperation(
                identifier,
                order.permit.principal.app,
                order.route.name,
                later.gateway_key,
                later.app_key,
                later.sequence,
                request,
                order.exchange.request_id,
            )
            try:
                return await self._queue.enqueue(new, key, of_key, order.route.idempotency.keep)
            except KeysChanged:
                raise
            except StoreError:
                if key is not None:  # the same key again tells
                    raise
                raise OperationInDoubt(operation=type_id(PREFIX, identifier)) from None

        return identifier if await documents.written(write) else None

    async def tell(self, principal: Principal, name: str) -> Answer:
        """Return what has become of an application's own operation; raises OperationNotFound."""
        operation = await self._own(principal, name)
        headers = {"Retry-After": "1"} if operation.state in UNDER_WAY else {}
        return _json(200, about(operation), headers)

    async def answer(self, principal: Principal, name: str) -> Answer:
        """Return the gateway's answer as it came; raises OperationUnanswered where there is none."""
        operation = await self._own(principal, name)
        if operation.answer is None:
            raise OperationUnanswered(operation=name, state=operation.state)
        document = await self._state.document(operation.answer, "answer", principal.tenant)
        return unpack_answer(await self._vault.documents.open(document))

    async def cancel(self, principal: Principal, name: str) -> Answer:
        """Cancel an operation that was never sent; raises OperationUnderWay."""
        operation = await self._own(principal, name)
        if not await self._queue.cancel(operation.id):
            operation = await self._own(principal, name)
            if operation.state != "cancelled":
                state = "waiting to be sent again" if operation.state == "pending" else operation.state
                raise OperationUnderWay(operation=name, state=state)
        return await self.tell(principal, name)

    async def _own(self, principal: Principal, name: str) -> Operation:
        identifier = operation_id(name)
        operation = await self._queue.find(identifier) if identifier is not None else None
        if operation is None or (operation.app, operation.tenant) != (principal.app, principal.tenant):
            raise OperationNotFound
        return operation


async def _refuse() -> None:
    raise RequestRunning


def _kept(order: Order) -> KeptRequest:
    message = with_digests(order.incoming, without_keys(order.plan))
    return KeptRequest(order.method, message, order.exchange.origin)


def _json(status: int, document: dict[str, object], headers: dict[str, str]) -> Answer:
    body = (json.dumps(document, indent=2) + "\n").encode()
    given = {"Content-Type": "application/json", "Cache-Control": "no-store", "Content-Length": str(len(body))}
    return Answer(status, None, CIMultiDict(given | headers), body)
