"""Listing and verifying the audit log, as the auditor's role: it can read events and checkpoints, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Sequence

from vault.audit.chains import members_of
from vault.audit.checkpoint import CheckpointRejected, read_checkpoint
from vault.audit.findings import Finding, Kind, Signed
from vault.audit.tree import Tree
from vault.audit.verification import Verifier
from vault.errors import AuditEventNotFound, AuditLogChanged
from vault.store import checkpoints
from vault.store.audit import Filter, count_events, first_events, list_events
from vault.store.checkpoints import CheckpointRow
from vault.store.database import Connection, Database, Role, translated
from vault.upkeep.evidence import PROGRESS_EVERY, Demands, Progress, Report, is_signed, nothing, report
from vault.upkeep.keychain.signing import verifier_keys

__all__ = ["Demands", "Filter", "Report", "history", "keys_of_database", "verify_history"]

PRUNE = "audit.prune"


async def history(database: Database, wanted: Filter) -> list[dict[str, object]]:
    """Return the newest matching events, oldest first, as their canonical members."""
    connection = await database.connect(Role.AUDITOR)
    try:
        return [json.loads(body) for body in await list_events(connection, wanted)]
    finally:
        await connection.close()


async def keys_of_database(database: Database) -> list[str]:
    """Return the verifier keys that the database names. They prove nothing against whoever owns it."""
    connection = await database.connect(Role.OWNER)
    try:
        return list((await verifier_keys(connection)).values())
    finally:
        await connection.close()


async def verify_history(
    database: Database, demands: Demands, progress: Progress = nothing, *, number: int | None = None
) -> Report:
    """Verify the log in one snapshot: all of it, or from checkpoint `number` on; `progress` is told (done, total)."""
    connection = await database.connect(Role.AUDITOR)
    try:
        with translated():
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                return await _verified(connection, demands, progress, number)
    finally:
        await connection.close()


async def _verified(connection: Connection, demands: Demands, progress: Progress, number: int | None) -> Report:
    begins = await checkpoints.begins(connection)
    rows = await checkpoints.checkpoints(connection, size=begins)
    start = begin_at(rows, begins, number)
    own = [_signed(row, demands) for row in rows if row.size >= start.size]
    anchors = demands.anchored()
    verifier = Verifier(own, anchors, start=start)
    for first in await first_events(connection):
        verifier.chains.announce(str(first.chain), first.body)
    pruned = start.size == begins and begins > 0
    total = await count_events(connection)
    async for index, stored in checkpoints.in_tree_order(connection, start.size, checkpoints.END):
        verifier.check(stored.body, stored, index)
        pruned = pruned and not _tells_of(stored.body, start)
        if verifier.events % PROGRESS_EVERY == 0:
            progress(verifier.events, total)
    async for stored in checkpoints.not_covered(connection, begins):
        verifier.check_uncovered(stored)
    for each in await checkpoints.outside(connection, begins):
        problem = f"events up to {each.last} are said to be leaves from {each.start} on, where there are none"
        verifier.findings.append(Finding(Kind.INSERTED, problem, str(each.chain), each.first))
    if pruned:
        problem = f"no signed event {PRUNE} says that the log begins here"
        verifier.findings.append(Finding(Kind.MISSING, problem, index=begins))
    return report(verifier, own, anchors, start, demands)


def begin_at(rows: Sequence[CheckpointRow], begins: int, number: int | None) -> Tree:
    """Return the tree that the log, or the wanted part of it, begins after.

    Raises AuditEventNotFound if there is no such checkpoint, AuditLogChanged if what is stored of it is not its tree.
    """
    if not begins and number is None:
        return Tree()
    row = next((row for row in rows if (row.size == begins if number is None else row.number == number)), None)
    if row is None:
        raise AuditEventNotFound(event=f"checkpoint {number or ''}", reason="it is not in the database")
    try:
        return row.tree()
    except ValueError:
        raise AuditLogChanged(size=row.size) from None


def _signed(row: CheckpointRow, demands: Demands) -> Signed:
    try:
        checkpoint = read_checkpoint(row.note)
    except CheckpointRejected:
        raise AuditLogChanged(size=row.size) from None
    return Signed(checkpoint, is_signed(row.note, demands.keys))


def _tells_of(body: bytes, start: Tree) -> bool:
    members = members_of(body) if PRUNE.encode() in body else None
    return members is not None and (members.get("action"), members.get("begins")) == (PRUNE, begins_text(start))


def begins_text(start: Tree) -> str:
    """Return what the event says of the tree that is not in the database any more."""
    return f"{start.size} {start.root().hex()}"
