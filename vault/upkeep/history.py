"""Listing and verifying the audit log, as the auditor's role: it can read events and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from vault.audit.verification import Finding, Verifier
from vault.store.audit import Filter, all_events, count_events, first_events, list_events
from vault.store.database import Database, Role, translated

__all__ = ["Filter", "Report", "history", "verify_history"]


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of a verification."""

    events: int
    chains: int
    findings: list[Finding]


async def history(database: Database, wanted: Filter) -> list[dict[str, object]]:
    """Return the newest matching events, oldest first, as their canonical members."""
    connection = await database.connect(Role.AUDITOR)
    try:
        return [json.loads(body) for body in await list_events(connection, wanted)]
    finally:
        await connection.close()


async def verify_history(
    database: Database, progress: Callable[[int, int], None] = lambda _done, _total: None
) -> Report:
    """Verify the whole log in one snapshot; `progress` is told (done, total)."""
    connection = await database.connect(Role.AUDITOR)
    try:
        with translated():
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                total = await count_events(connection)
                firsts = await first_events(connection)
                verifier = Verifier(firsts)
                findings: list[Finding] = []
                async for stored in all_events(connection):
                    findings.extend(verifier.check(stored))
                    progress(verifier.events, total)
        findings.extend(verifier.finish())
        return Report(verifier.events, len(firsts), findings)
    finally:
        await connection.close()
