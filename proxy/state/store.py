"""All of the proxy's own state in the database: one pool, its tables, and what this process has under way."""

from __future__ import annotations

from datetime import timedelta
from typing import cast
from uuid import UUID

from proxy.state.held import Held
from proxy.state.idempotency import Keys
from proxy.state.operations import End, Operation, Queue
from proxy.state.pool import Connection, Database, Pool, open_pool, translated
from proxy.state.webhook_events import NewEvent, WebhookEvents
from vault.documents import Document
from vault.errors import RecordDoesNotOpen

KEPT = timedelta(days=30)
_FIND = "SELECT id, tenant, kind, data_key, sealed FROM documents WHERE id = $1"


class State:
    """Build it with `open`."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.keys = Keys(pool)
        self.queue = Queue(pool)
        self.events = WebhookEvents(pool)
        self.held = Held(self.keys, self.queue)

    @classmethod
    async def open(cls, database: Database) -> State:
        """Raises StoreError."""
        return cls(await open_pool(database))

    async def close(self) -> None:
        """Write what could not be written, if it can be now, and disconnect."""
        await self.held.close()
        await self.pool.close()

    async def end_operation(self, operation: Operation, end: End, event: NewEvent | None) -> bool:
        """Write how an operation ended, and the event that tells of it, in one commit; raises KeysChanged.

        Returns whether it was this run's to say.
        """
        if event is None:
            return await self.queue.end(operation, end)
        with translated():
            async with self.pool.acquire() as acquired, acquired.transaction():
                connection = cast("Connection", acquired)
                ended = await self.queue.end(operation, end, connection)
                if ended:
                    await self.events.add(event, connection)
                return ended

    async def purge(self) -> None:
        """Forget what nobody will ask for any more."""
        await self.keys.purge()
        await self.queue.purge(KEPT)

    async def document(self, identifier: UUID, kind: str, tenant: str | None = None) -> Document:
        """Return a document as it is stored; raises RecordDoesNotOpen if there is none of this kind, and tenant.

        What points to a document could be changed to point to another one, which opens as what it is.
        """
        with translated():
            row = await self.pool.fetchrow(_FIND, identifier)
        document = Document(*row) if row is not None else None
        if document is None or document.kind != kind or tenant not in (None, document.tenant):
            raise RecordDoesNotOpen(token=str(identifier))
        return document
