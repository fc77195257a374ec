"""The one writer of a process: group commit, and the audit chain.

Rules:
1. What concurrent requests write shares one statement and one commit, with the audit events that describe it.
2. A batch is written whole or not at all. Whoever waits for it is told only after the commit.
3. After an error the outcome of a batch may be unknown: its callers are told that it failed, and the next batch begins
   a new chain. Tokens are minted here, so a repeated request finds what an unacknowledged commit left behind.
4. A known card is never sealed again, and is checked to be there still in the statement that relies on it.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import asyncpg

from vault.audit.event import Event
from vault.errors import CvcGone, DatabaseUnavailable, PanlessError
from vault.store.audit import Chain, event_columns, open_chain
from vault.store.batch import Batcher
from vault.store.database import Pool, translated
from vault.store.records import NewLease, NewRecord, Records
from vault.store.statement import CONFLICT, compose

BATCH_LIMIT = 512
KNOWN_LIMIT = 20_000
REPEATS = 3


@dataclass(frozen=True, slots=True)
class Write:
    """What one request writes. `event` gets the final tokens of the records, in their order."""

    event: Callable[[Sequence[UUID]], Event]
    records: Sequence[NewRecord] = ()
    leases: Sequence[NewLease] = ()
    used_leases: Sequence[UUID] = ()


class _Conflict(Exception):
    """The statement found the vault otherwise than the batch assumed."""

    def __init__(self, part: str) -> None:
        self.part = part


@dataclass(slots=True)
class Statistics:
    """What the writer did since it started."""

    statements: int = 0
    batches: int = 0
    writes: int = 0


class Writer:
    """Writes for all requests of this process. `cvc_attempts`: how often a lease may be used."""

    def __init__(self, pool: Pool, records: Records, *, cvc_attempts: int) -> None:
        self._pool = pool
        self._cvc_attempts = cvc_attempts
        self._chain: Chain | None = None
        self._known: OrderedDict[bytes, UUID] = OrderedDict()
        self._look_ups = Batcher(records.find_fingerprints, limit=BATCH_LIMIT)
        self._batches = Batcher(self._run, limit=BATCH_LIMIT)
        self.statistics = Statistics()

    async def write(self, write: Write) -> list[UUID]:
        """Return the final tokens of the records, after the commit; raises StoreError or CvcGone."""
        await self._look_up(write)
        return await self._batches.submit(write)

    async def close(self) -> None:
        """Finish what was submitted."""
        await self._look_ups.close()
        await self._batches.close()

    async def _look_up(self, write: Write) -> None:
        unknown = [
            record.fingerprint
            for record in write.records
            if record.fingerprint is not None and record.fingerprint not in self._known
        ]
        if unknown:
            self._remember(await self._look_ups.submit(unknown))

    def _remember(self, tokens: dict[bytes, UUID]) -> None:
        self._known.update(tokens)
        while len(self._known) > KNOWN_LIMIT:
            self._known.popitem(last=False)

    async def _run(self, writes: Sequence[Write]) -> Sequence[list[UUID] | BaseException]:
        try:
            return await self._commit(writes)
        except _Conflict:
            # One of them is out of date. Alone, each shows whether it is the one.
            return [await self._run_alone(write) for write in writes]

    async def _run_alone(self, write: Write) -> list[UUID] | BaseException:
        try:
            for _ in range(REPEATS):
                try:
                    return (await self._commit([write]))[0]
                except _Conflict as conflict:
                    if conflict.part == "used":
                        return CvcGone(at="this card")
                for record in write.records:
                    self._known.pop(record.fingerprint or b"", None)
                await self._look_up(write)
        except PanlessError as error:
            return error
        return DatabaseUnavailable()

    async def _commit(self, writes: Sequence[Write]) -> list[list[UUID]]:
        batch = _Batch(writes, self._known, self._cvc_attempts)
        if self._chain is None:
            self._chain = await open_chain(self._pool)
        links = self._chain.link(batch.events)
        try:
            await self._execute(batch.parts() | {"events": event_columns(links)})
        except PanlessError:
            self._chain = None
            raise
        self._chain.advance(links)
        self._remember(batch.new_tokens)
        self.statistics.batches += 1
        self.statistics.writes += len(writes)
        return batch.tokens

    async def _execute(self, parts: dict[str, list[list[object]]]) -> None:
        statement, parameters = compose(parts)
        self.statistics.statements += 1
        with translated():
            try:
                await self._pool.fetch(statement, *parameters)
            except asyncpg.PostgresError as error:
                if error.sqlstate == CONFLICT:
                    raise _Conflict(error.detail or "") from None
                raise


class _Batch:
    """The rows of several writes, with each card that occurs twice stored once."""

    def __init__(self, writes: Sequence[Write], known: OrderedDict[bytes, UUID], cvc_attempts: int) -> None:
        self._now = datetime.now(UTC)
        self._cvc_attempts = cvc_attempts
        self._writes = writes
        self._relied_on: set[UUID] = set()
        self._new: list[NewRecord] = []
        self.new_tokens: dict[bytes, UUID] = {}
        self.tokens = [[self._resolve(record, known) for record in write.records] for write in writes]
        self.events = [write.event(tokens) for write, tokens in zip(writes, self.tokens, strict=True)]

    def _resolve(self, record: NewRecord, known: OrderedDict[bytes, UUID]) -> UUID:
        if record.fingerprint is None:
            self._new.append(record)
            return record.token
        if (token := self.new_tokens.get(record.fingerprint)) is not None:
            return token
        if (token := known.get(record.fingerprint)) is not None:
            self._relied_on.add(token)
            return token
        self._new.append(record)
        self.new_tokens[record.fingerprint] = record.token
        return record.token

    def parts(self) -> dict[str, list[list[object]]]:
        """Return the columns of each part of the statement; parts without rows are empty."""
        # Sorted, so that two processes that insert the same cards wait for one another in the same order.
        fingerprints = sorted(self.new_tokens.items())
        return {
            "records": _columns(
                (r.token, r.tenant, r.kind, r.data_key, r.sealed, r.brand, r.last4, self._now) for r in self._new
            ),
            "fingerprints": _columns(fingerprints),
            "known": [list(self._relied_on)] if self._relied_on else [],
            "leases": _columns(self._lease_rows()),
            "used": _columns(self._use_rows()),
        }

    def _lease_rows(self) -> list[tuple[object, ...]]:
        return [
            (
                lease.token,
                None if lease.record is None else tokens[lease.record],
                lease.tenant,
                lease.data_key,
                lease.sealed,
                self._now,
                lease.expires_at,
            )
            for write, tokens in zip(self._writes, self.tokens, strict=True)
            for lease in write.leases
        ]

    def _use_rows(self) -> list[tuple[object, ...]]:
        uses = Counter(lease for write in self._writes for lease in write.used_leases)
        # Sorted like the fingerprints, and for the same reason.
        return [(lease, count, self._now, self._cvc_attempts) for lease, count in sorted(uses.items())]


def _columns(rows: Iterable[tuple[object, ...]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]
