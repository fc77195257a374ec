"""Archiving old events, and pruning them: the archive verifies alone, and what is left says from where it begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from vault.audit.event import Event, Outcome
from vault.audit.tree import Tree
from vault.errors import AuditExportRefused
from vault.recorded import by_operator
from vault.store import checkpoints, pruning, sinks
from vault.store.audit import append
from vault.store.database import Database, Role, translated
from vault.upkeep.evidence import Demands, Progress, Report, nothing, verify_export
from vault.upkeep.export import export
from vault.upkeep.history import PRUNE, begins_text


@dataclass(frozen=True, slots=True)
class Archived:
    """What was archived, as it verified, and how many events were pruned."""

    report: Report
    pruned: int


async def archive(
    database: Database,
    out: Path,
    before: datetime,
    demands: Demands,
    *,
    prune: bool = False,
    due: Sequence[str] = (),
    progress: Progress = nothing,
) -> Archived:
    """Export everything up to the last checkpoint before a time, verify that and, with `prune`, delete it.

    `due` names the sinks of events: what one of them has not got is not pruned. Raises AuditExportRefused, or what
    exporting and verifying raise; nothing is deleted then.
    """
    size, tree = await _end(database, before)
    await export(database, out, until=size, progress=progress)
    report = verify_export(out, demands)
    if report.findings or report.size != size:
        problem = str(report.findings[0]) if report.findings else "it does not reach the checkpoint"
        raise AuditExportRefused(reason=f"what was written does not verify ({problem})")
    return Archived(report, await _prune(database, size, tree, due, out) if prune else 0)


async def _end(database: Database, before: datetime) -> tuple[int, Tree]:
    connection = await database.connect(Role.AUDITOR)
    try:
        begins = await checkpoints.begins(connection)
        rows = [row for row in await checkpoints.checkpoints(connection, size=begins + 1) if row.at < before]
    finally:
        await connection.close()
    if not rows:
        raise AuditExportRefused(reason=f"no checkpoint is older than {before:%Y-%m-%d %H:%M:%S} UTC")
    try:
        return rows[-1].size, rows[-1].tree()
    except ValueError:
        raise AuditExportRefused(reason="what is stored of the checkpoint is not its tree") from None


async def _prune(database: Database, size: int, tree: Tree, due: Sequence[str], out: Path) -> int:
    """Delete the events before leaf `size`, as the owner; the event that says so is of the same transaction."""
    done = Event(
        at=datetime.now(UTC),
        action=PRUNE,
        outcome=Outcome.PERMITTED,
        destination=str(out),
        origin=by_operator(),
        begins=begins_text(tree),
    )
    connection = await database.connect(Role.OWNER)
    try:
        for name in due:
            if await sinks.position(connection, name) < size:
                raise AuditExportRefused(reason=f"sink {name} has not got all of it, so that it is not pruned")
        with translated():
            async with connection.transaction():
                archived = size - await checkpoints.begins(connection)
                pruned = await pruning.prune(connection, size)
                if pruned != archived:  # ranges were added: what was not archived would go with the rest
                    raise AuditExportRefused(reason=f"{pruned} events would be deleted, and {archived} were archived")
                await append(connection, [done])
        return pruned
    finally:
        await connection.close()
