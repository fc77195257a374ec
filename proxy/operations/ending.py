"""The end of an operation: what is stored of it, and what its application is told, in one commit."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from proxy.edge.kept import KeptRequest, pack_request
from proxy.outgoing.operation_ids import about, rfc3339
from proxy.rewrite.message import Message
from proxy.state.operations import End, Operation
from proxy.state.store import State
from proxy.state.webhook_events import KIND, OPERATION, NewEvent
from proxy.webhook_routes import Destinations
from vault.service import Vault


class Ending:
    """Ends operations. `wake`: something is to be delivered."""

    def __init__(self, vault: Vault, state: State, destinations: Destinations, wake: Callable[[], None]) -> None:
        self._documents = vault.documents
        self._state = state
        self._destinations = destinations
        self._wake = wake

    async def end(self, operation: Operation, end: End, answer: bytes | None) -> None:
        """Store how an operation ended, unless that is another run's to say; raises a StoreError or KeyFailure."""

        async def write() -> bool:
            sealed = await self._documents.seal("answer", operation.tenant, answer) if answer is not None else None
            done = replace(end, answer=sealed)
            return await self._state.end_operation(operation, done, await self._event(operation, done))

        if await self._documents.written(write) and (OPERATION, operation.route) in self._destinations:
            self._wake()

    async def _event(self, operation: Operation, end: End) -> NewEvent | None:
        """Return what the application is told, if it is told anything."""
        destination = self._destinations.get((OPERATION, operation.route))
        if destination is None:
            return None
        now = datetime.now(UTC)
        answered = end.answer.id if end.answer is not None else None
        told = replace(
            operation, state=end.state, status=end.status, code=end.code, answer=answered, updated_at=now, ended_at=now
        )
        notice = {"type": f"operation.{end.state}", "timestamp": rfc3339(now), "data": about(told)}
        body = json.dumps(notice).encode()
        headers = (("Content-Type", "application/json"), ("Content-Length", str(len(body))))
        data = pack_request(KeptRequest("POST", Message(body, path="/", headers=headers)))
        document = await self._documents.seal(KIND, operation.tenant, data)
        until = now + destination.deliver_for
        return NewEvent(OPERATION, operation.route, f"{operation.id} {operation.run} {end.state}", document, now, until)
