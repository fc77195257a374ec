"""Deleting archived events. Only the owner may."""

from __future__ import annotations

from vault.store.database import Connection, translated

PRUNE_SECONDS = 3600.0
_EVENTS = """
DELETE FROM audit_events event USING audit_ranges range
WHERE range.start < $1 AND event.chain = range.chain AND event.seq BETWEEN range.first AND range.last
"""
# The newest range of a chain says how far it is covered, also when its events are gone: the chain may go on.
_RANGES = """
DELETE FROM audit_ranges old WHERE old.start < $1
  AND EXISTS (SELECT FROM audit_ranges newer WHERE newer.chain = old.chain AND newer.last > old.last)
"""


async def prune(connection: Connection, size: int) -> int:
    """Delete the events before leaf `size`, which is the size of a checkpoint; return how many there were."""
    with translated():
        status = await connection.execute(_EVENTS, size, timeout=PRUNE_SECONDS)
        await connection.execute(_RANGES, size, timeout=PRUNE_SECONDS)
        await connection.execute("DELETE FROM audit_checkpoints WHERE size < $1", size, timeout=PRUNE_SECONDS)
        await connection.execute("UPDATE audit_log SET begins = $1", size)
    return int(status.rpartition(" ")[2])
