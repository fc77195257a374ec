"""Making a checkpoint by a command, beside the processes that run."""

from __future__ import annotations

import asyncio

from vault.audit.checkpoint import Checkpoint
from vault.checkpointing import Checkpointing, newest_checkpoint
from vault.errors import CheckpointBusy
from vault.keys.keks import Keks
from vault.keys.keyring import Keyring
from vault.keys.providers import build_all
from vault.settings import VaultSettings
from vault.store.database import Database, Role
from vault.store.keys import KeyRows

TRIES = 50
LOOK_SECONDS = 0.1


async def make_checkpoint(settings: VaultSettings, database: Database) -> Checkpoint | None:
    """Cover all events now; return the newest checkpoint, None for an empty log.

    Raises CheckpointBusy, KeyUnavailable, StoreError or AuditLogChanged.
    """
    pool = await database.pool(Role.PROXY, size=2)
    rows = KeyRows(pool)
    keks = Keks(build_all(settings.providers), rows, per_tenant=settings.tenant_keks)
    try:
        keyring = Keyring(keks, rows, cache_seconds=settings.key_cache.total_seconds())
        making = Checkpointing(keyring, pool, settings.checkpoint_every)
        for _ in range(TRIES):
            if await making.make() is not None:
                return await newest_checkpoint(pool)
            await asyncio.sleep(LOOK_SECONDS)
        raise CheckpointBusy
    finally:
        await keks.close()
        await pool.close()
