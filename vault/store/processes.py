"""The tables `processes` and `lease_keys`: who runs, and keys on their way from one process to another. Unlogged both.

Whether a process is alive is told by the database's clock alone: it has shown itself within ALIVE.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from vault.crypto.sharing import Copy, Peer
from vault.store.database import Connection, Pool, translated

ALIVE = timedelta(seconds=10)

_BEAT = """
INSERT INTO processes (id, host, pid, providers, public_key, mac, changes, started_at, seen_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, clock_timestamp(), clock_timestamp())
ON CONFLICT (id) DO UPDATE SET providers = $4, public_key = $5, mac = $6, changes = $7, seen_at = clock_timestamp()
"""
_LIVE = """
SELECT id, host, pid, providers, changes, started_at FROM processes
WHERE seen_at > clock_timestamp() - $1::interval ORDER BY started_at
"""
_PEERS = "SELECT id, public_key, mac FROM processes WHERE id <> $1 AND seen_at > clock_timestamp() - $2::interval"
_LEAVE = "DELETE FROM processes WHERE id = $1"
_CLEAN = """
WITH gone AS (DELETE FROM processes WHERE seen_at < clock_timestamp() - 6 * $1::interval)
DELETE FROM lease_keys
WHERE expires_at < clock_timestamp() OR process NOT IN (
  SELECT id FROM processes WHERE seen_at > clock_timestamp() - $1::interval)
"""
_GIVE = """
INSERT INTO lease_keys (id, process, encrypted, expires_at)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bytea[], $4::timestamptz[]) ON CONFLICT DO NOTHING
"""
_TAKE = "DELETE FROM lease_keys WHERE process = $1 RETURNING id, process, encrypted, expires_at"


@dataclass(frozen=True, slots=True)
class LiveProcess:
    """A process that runs. `changes`: the number of the last key change that it has seen."""

    id: UUID
    host: str
    pid: int
    providers: Sequence[str]
    changes: int
    started_at: datetime


class ProcessRows:
    """What one process does with the tables."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def beat(self, own: Peer, providers: Sequence[str], changes: int) -> None:
        """Show that this process is alive."""
        about = (own.id, socket.gethostname(), os.getpid(), providers, own.public_key, own.mac, changes)
        with translated():
            await self._pool.execute(_BEAT, *about)

    async def leave(self, own: UUID) -> None:
        """Say that this process ends."""
        with translated():
            await self._pool.execute(_LEAVE, own)

    async def clean(self) -> None:
        """Delete what is left of processes that have ended."""
        with translated():
            await self._pool.execute(_CLEAN, ALIVE)

    async def peers(self, own: UUID) -> list[Peer]:
        with translated():
            return [Peer(*row) for row in await self._pool.fetch(_PEERS, own, ALIVE)]

    async def give(self, copies: Sequence[Copy]) -> None:
        rows = [(each.key, each.process, each.encrypted, each.expires_at) for each in copies]
        with translated():
            await self._pool.execute(_GIVE, *(list(column) for column in zip(*rows, strict=True)))

    async def take(self, own: UUID) -> list[Copy]:
        with translated():
            return [Copy(*row) for row in await self._pool.fetch(_TAKE, own)]


async def live_processes(connection: Connection) -> list[LiveProcess]:
    """Return the processes that run, oldest first."""
    with translated():
        return [LiveProcess(*row) for row in await connection.fetch(_LIVE, ALIVE)]
