"""Many new records of one call: copied in, with the event that tells of them, in one transaction.

Only the event, whose hash depends on the one before, and the commit are one after the other with the other writes of
the process. What is copied before waits for nobody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg

from vault.audit.event import Event
from vault.frozen import frozen
from vault.store import copying, packed
from vault.store.batch import Batcher
from vault.store.database import Pool, translated
from vault.store.rows import Conflict
from vault.store.statement import compose
from vault.store.writer import Writer
from vault.tokens import Token

if TYPE_CHECKING:
    from vault.store.holding import Held

AT_ONCE = 2
COPY_SECONDS = 60.0


@frozen
class NewRows:
    """What is to be copied in, and the event of it.

    `records`: rows of `tokens`; `marks`: their tokens by fingerprints, which are made with `key`; `relied_on`: tokens
    that have to be there still; `changes`: the number of the last key change that all of it was made after.
    """

    records: Sequence[bytes]
    marks: Mapping[bytes, Token]
    key: UUID
    relied_on: set[Token]
    changes: int
    event: Event


class BulkWriter:
    """Copies for one vault, in turn with its writer. What several callers bring at once shares a transaction."""

    def __init__(self, pool: Pool, writer: Writer) -> None:
        self._pool = pool
        self._writer = writer
        self._batches = Batcher(self._write, limit=AT_ONCE)

    async def write(self, new: NewRows) -> bool:
        """Write all of it and return True, or nothing and return False: the vault is otherwise than it was looked up.

        Raises StoreError. A caller that goes away leaves it whole.
        """
        return await self._batches.submit(new)

    async def close(self) -> None:
        """Finish what was begun."""
        await self._batches.close()

    async def _write(self, batch: Sequence[NewRows]) -> list[bool]:
        with translated():
            async with self._pool.acquire() as connection:
                transaction = connection.transaction()
                await transaction.start()
                try:
                    await _copy(connection, batch)
                    events = [new.event for new in batch]
                    await self._writer.chained(events, partial(_finish, connection, transaction, batch))
                except BaseException as error:
                    with suppress(asyncpg.InterfaceError, asyncpg.PostgresError, OSError):
                        await transaction.rollback()
                    if isinstance(error, Conflict):
                        return [False] * len(batch)
                    raise
        return [True] * len(batch)


async def _copy(connection: Held, batch: Sequence[NewRows]) -> None:
    """Copy the rows in, fingerprints first: there it shows whether another process was faster."""
    marks = sorted([row for new in batch for row in copying.fingerprint_rows(new.marks, new.key)])
    records = [row for new in batch for row in new.records]
    for table, columns, rows in (
        ("fingerprints", copying.FINGERPRINT_COLUMNS, marks),
        ("tokens", copying.TOKEN_COLUMNS, records),
    ):
        source = BytesIO(copying.payload(rows))
        try:
            await connection.copy_to_table(table, source=source, columns=columns, format="binary", timeout=COPY_SECONDS)
        except asyncpg.PostgresError:
            # Not told by its code: a distributed PostgreSQL has others. If it is no conflict, the writer meets it, too.
            raise Conflict(table) from None


async def _finish(
    connection: Held, transaction: asyncpg.transaction.Transaction, batch: Sequence[NewRows], events: Sequence[object]
) -> None:
    """Write the events where all is still as it was, and commit."""
    parts: dict[str, Sequence[object]] = {"events": events, "changes": [list({new.changes for new in batch})]}
    if relied_on := {token for new in batch for token in new.relied_on}:
        parts["known"] = [packed.packed([token.hex for token in relied_on])]
    await Writer.ask(connection, *compose(parts))
    await transaction.commit()
