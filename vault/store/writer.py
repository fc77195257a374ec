"""The one writer of a process: group commit, and the audit chain.

Rules:
1. What concurrent requests write shares one statement and one commit, with the audit events that describe it.
2. A batch is written whole or not at all. Whoever waits for it is told only after the commit.
3. After an error the outcome of a batch may be unknown: its callers are told that it failed, and the next batch begins
   a new chain. Tokens are minted here, so a repeated request finds what an unacknowledged commit left behind.
4. Nothing is written that was made with keys as they were before the last change of keys.
5. A known card is never sealed again, and is checked to be there still in the statement that relies on it.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import asyncpg

from vault.audit.event import Event
from vault.errors import (
    CardTokenGiven,
    CardTokensExhausted,
    CvcGone,
    DatabaseUnavailable,
    FieldSessionEnded,
    KeysChanged,
    PanlessError,
    TokenExpired,
    VelocityExceeded,
)
from vault.store.audit import Chain, event_parameters, open_chain
from vault.store.batch import Batcher
from vault.store.database import Pool, translated
from vault.store.holding import Holding
from vault.store.records import NewRecord, Records
from vault.store.rows import Conflict, Rows, Write
from vault.store.statement import CONFLICT, compose
from vault.tokens import Token, type_id
from vault.velocity import Count

if TYPE_CHECKING:
    from vault.store.holding import Held

BATCH_LIMIT = 512
KNOWN_LIMIT = 20_000
REPEATS = 3

Sent = TypeVar("Sent")

_REFUSALS: Mapping[str, Callable[[Write], PanlessError]] = {
    "used": lambda _: CvcGone(at="this card"),
    "spent": lambda write: TokenExpired(token=type_id("tok", write.spent[0])),
    "changes": lambda _: KeysChanged(),
    "sessions": lambda _: FieldSessionEnded(),
    "card_token_given": lambda _: CardTokenGiven(at="a card's place"),
    "card_tokens_exhausted": lambda _: CardTokensExhausted(at="this card"),
}


def _refusal(part: str, write: Write) -> PanlessError | None:
    """Return why a write is refused that conflicts in a part; None if it may be repeated."""
    name, _, over = part.partition(" ")
    if name == "counted":
        count = next(each for each in write.counts if over == f"{each.key} {each.seconds}")
        return exceeded(count, datetime.now(UTC))
    return _REFUSALS[name](write) if name in _REFUSALS else None


def exceeded(count: Count, now: datetime) -> VelocityExceeded:
    """Return the error of a limit that was reached: how many seconds there are to wait, and by which rule."""
    wait = max(1, math.ceil((count.ends(now) - now).total_seconds()))
    return VelocityExceeded(seconds=wait, rule=count.rule, subject=count.subject, window=count.seconds)


@dataclass(slots=True)
class Statistics:
    """What the writer did since it started."""

    statements: int = 0
    batches: int = 0
    writes: int = 0


def _nobody(_crossed: Sequence[Count]) -> None:
    pass


class Writer:
    """Writes for all requests of this process. `cvc_attempts`: how often a lease may be used.

    `crossed` is told, after the commit, which limits were gone over that are only watched.
    """

    def __init__(self, pool: Pool | Holding, records: Records, *, cvc_attempts: int) -> None:
        self._pool = pool
        self.crossed: Callable[[Sequence[Count]], None] = _nobody
        self._cvc_attempts = cvc_attempts
        self._chain: Chain | None = None
        self._turn = asyncio.Lock()
        self._records = records
        self._known: OrderedDict[bytes, Token] = OrderedDict()
        self._card_tokens: OrderedDict[UUID, list[str]] = OrderedDict()
        self._look_ups = Batcher(records.find_fingerprints, limit=BATCH_LIMIT)
        self._batches = Batcher(self._run, limit=BATCH_LIMIT)
        self.statistics = Statistics()

    async def write(self, write: Write) -> list[Token]:
        """Return the final tokens of the records, after the commit.

        Raises StoreError (KeysChanged: with the keys as they are now it may succeed), CvcGone, CardTokenGiven or
        CardTokensExhausted.
        """
        if write.records:
            await self._look_up(write)
        return await self._batches.submit(write)

    async def close(self) -> None:
        """Finish what was submitted."""
        await self._look_ups.close()
        await self._batches.close()

    async def _look_up(self, write: Write) -> None:
        known = self._known
        unknown = [each for record in write.records for each in _fingerprints(record) if each not in known]
        if unknown:
            self._remember(await self._look_ups.submit(unknown))
        if any(record.candidates for record in write.records):
            await self._look_up_card_tokens(write)

    async def _look_up_card_tokens(self, write: Write) -> None:
        """Known cards may have card-shaped tokens that are not their first candidate: an older key's."""
        cards = [token for record in write.records if (token := self._perhaps_given(record)) is not None]
        if cards:
            self._card_tokens.update(await self._records.find_card_tokens(cards))
            while len(self._card_tokens) > KNOWN_LIMIT:
                self._card_tokens.popitem(last=False)

    def _perhaps_given(self, record: NewRecord) -> UUID | None:
        """Return a known card's token, unless it is known which of its card-shaped forms the record gets."""
        card = next((known for mark in record.marks if (known := self._known.get(mark.fingerprint))), None)
        if card is None or not record.candidates:
            return None
        if any(record.fits(digits) for digits in self._card_tokens.get(card.id, ())):
            return None
        first = (self._known.get(mark.fingerprint) for mark in record.candidates[0].marks)
        return None if card in first else card.id

    def _remember(self, tokens: Mapping[bytes, Token]) -> None:
        self._known.update(tokens)
        while len(self._known) > KNOWN_LIMIT:
            self._known.popitem(last=False)

    async def _run(self, writes: Sequence[Write]) -> Sequence[list[Token] | BaseException]:
        try:
            return await self._commit(writes)
        except Conflict:
            # One of them is out of date. Alone, each shows whether it is the one.
            return [await self._run_alone(write) for write in writes]

    async def _run_alone(self, write: Write) -> list[Token] | BaseException:
        try:
            # Each time another process may have taken one of the candidates.
            for _ in range(REPEATS + sum(len(record.candidates) for record in write.records)):
                try:
                    return (await self._commit([write]))[0]
                except Conflict as conflict:
                    if (refusal := _refusal(conflict.part, write)) is not None:
                        return refusal
                for fingerprint in (each for record in write.records for each in _fingerprints(record)):
                    self._known.pop(fingerprint, None)
                await self._look_up(write)
        except PanlessError as error:
            return error
        return DatabaseUnavailable()

    async def _commit(self, writes: Sequence[Write]) -> list[list[Token]]:
        batch = Rows(writes, self._known, self._card_tokens, self._cvc_attempts)
        totals = await self.chained(batch.events, partial(self._execute, batch.parts()))
        self._remember(batch.new)
        self.statistics.batches += 1
        self.statistics.writes += len(writes)
        if not totals:
            return batch.tokens
        if crossed := [
            count for count, total in zip(batch.counts, totals, strict=True) if count.crossed(total, count.n)
        ]:
            self.crossed(crossed)
        return batch.tokens

    async def chained(self, events: Sequence[Event], send: Callable[[Sequence[object]], Awaitable[Sent]]) -> Sent:
        """Have events committed by `send`, which gets the parameters of their part, one caller after the other.

        Where it raises Conflict nothing was written. After anything else nobody knows: then a new chain begins.
        """
        async with self._turn:
            if self._chain is None:
                self._chain = await open_chain(self._pool)
            links = self._chain.link(events)
            try:
                sent = await send(event_parameters(links))
            except Conflict:
                raise
            except BaseException:
                self._chain = None
                raise
            self._chain.advance(links)
            return sent

    async def _execute(self, parts: Mapping[str, Sequence[object]], events: Sequence[object]) -> Sequence[int]:
        """Return the totals of what was counted."""
        self.statistics.statements += 1
        with translated():
            row = await self.ask(self._pool, *compose({**parts, "events": events}))
        return row["counted"] if row is not None and "counted" in parts else ()

    @staticmethod
    async def ask(executor: Pool | Holding | Held, statement: str, parameters: Sequence[object]) -> Any:
        """Return the row of a composed statement; raises Conflict if the vault is otherwise than it assumes."""
        try:
            return await executor.fetchrow(statement, *parameters)
        except asyncpg.PostgresError as error:
            if error.sqlstate == CONFLICT:
                raise Conflict(error.detail or "") from None
            raise


def _fingerprints(record: NewRecord) -> list[bytes]:
    marks = record.marks
    if record.candidates:
        marks = [*marks, *(mark for each in record.candidates for mark in each.marks)]
    return [mark.fingerprint for mark in marks]
