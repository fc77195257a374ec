"""Exporting the audit log: what is under a checkpoint, as files that prove themselves; proofs of single events."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from vault.audit.checkpoint import start_document
from vault.audit.formats import Entry
from vault.audit.proof import proof_text
from vault.audit.tree import Leaves, Tree
from vault.errors import AuditEventNotFound, AuditExportRefused
from vault.store import checkpoints
from vault.store.checkpoints import CheckpointRow
from vault.store.database import Connection, Database, Role, translated
from vault.upkeep.evidence import CHECKPOINTS, EVENTS, PROGRESS_EVERY, START, Progress, nothing
from vault.upkeep.history import begin_at

STREAM_PORTION = 1000


@dataclass(frozen=True, slots=True)
class Exported:
    """Leaves `begins` up to `size`, which is that of the last checkpoint written."""

    events: int
    begins: int
    size: int


async def export(
    database: Database, out: Path, *, number: int | None = None, until: int | None = None, progress: Progress = nothing
) -> Exported:
    """Write the log to a new folder: from checkpoint `number` on, and up to the checkpoint of size `until`.

    Raises AuditExportRefused if the folder has an export already, or nothing is there to export.
    """
    connection = await database.connect(Role.AUDITOR)
    try:
        with translated():
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                begins = await checkpoints.begins(connection)
                rows = await checkpoints.checkpoints(connection, size=begins)
                start = begin_at(rows, begins, number)
                rows = [row for row in rows if row.size >= start.size and (until is None or row.size <= until)]
                if not rows or rows[-1].size == start.size:
                    raise AuditExportRefused(reason="no checkpoint covers any event that is to be exported")
                return await _write(connection, out, start, rows, progress)
    finally:
        await connection.close()


async def _write(
    connection: Connection, out: Path, start: Tree, rows: Sequence[CheckpointRow], progress: Progress
) -> Exported:
    size, written = rows[-1].size, 0
    try:
        os.makedirs(out, mode=0o700, exist_ok=True)
        with os.fdopen(os.open(out / EVENTS, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as events:
            async for _, stored in checkpoints.in_tree_order(connection, start.size, size):
                events.write(stored.body + b"\n")
                written += 1
                if written % PROGRESS_EVERY == 0:
                    progress(written, size - start.size)
        (out / CHECKPOINTS).write_text("\n".join(row.note for row in rows), "utf-8")
        if start.size:
            (out / START).write_text(start_document(start), "utf-8")
    except OSError as error:
        there = isinstance(error, FileExistsError)
        raise AuditExportRefused(reason=f"{out} {'has an export already' if there else 'cannot be written'}") from None
    return Exported(written, start.size, size)


async def stream(database: Database, *, number: int | None = None, follow: float | None = None) -> AsyncIterator[Entry]:
    """Yield what is under a checkpoint, in order; with `follow` go on, and look again after so many seconds."""
    connection = await database.connect(Role.AUDITOR)
    try:
        begins = await checkpoints.begins(connection)
        position = begin_at(await checkpoints.checkpoints(connection, size=begins), begins, number).size
        while True:
            found = await checkpoints.leaves(connection, position, STREAM_PORTION)
            for index, body in found:
                yield Entry(index, body)
                position = index + 1
            if not found and follow is None:
                return
            if not found and follow is not None:
                await asyncio.sleep(follow)
    finally:
        await connection.close()


async def prove(database: Database, chain: UUID, seq: int) -> str:
    """Return the proof that an event is in the log, up to the newest checkpoint; raises AuditEventNotFound."""
    connection = await database.connect(Role.AUDITOR)
    try:
        with translated():
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                return await _proof(connection, chain, seq)
    finally:
        await connection.close()


async def _proof(connection: Connection, chain: UUID, seq: int) -> str:
    found = await checkpoints.find_event(connection, chain, seq)
    newest = await checkpoints.newest(connection)
    if found is None:
        raise AuditEventNotFound(event=f"{chain}:{seq}", reason="it is not in the database")
    index, body = found
    if index is None or newest is None:
        raise AuditEventNotFound(event=f"{chain}:{seq}", reason="no checkpoint covers it yet")
    begins = await checkpoints.begins(connection)
    rows = await checkpoints.checkpoints(connection, size=begins, limit=1) if begins else []
    leaves = await checkpoints.leaf_hashes(connection, begins, newest.size)
    tree = Leaves(begin_at(rows, begins, None), leaves)
    if tree.size != newest.size:
        raise AuditEventNotFound(event=f"{chain}:{seq}", reason="the log is not whole; run `panless audit verify`")
    return proof_text(body, index, tree.inclusion(index), newest.note)


async def events_of_request(database: Database, request_id: str) -> list[tuple[UUID, int]]:
    """Return chain and number of the events of a request."""
    connection = await database.connect(Role.AUDITOR)
    try:
        return await checkpoints.events_of_request(connection, request_id)
    finally:
        await connection.close()
