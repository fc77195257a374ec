"""Making a checkpoint by a command, beside the processes that run."""

from __future__ import annotations

import asyncio

from vault.audit.checkpoint import Checkpoint
from vault.checkpointing import Checkpointing, newest_checkpoint
from vault.errors import CheckpointBusy, KeyUnavailable
from vault.keys.keks import Keks
from vault.keys.keyring import Keyring
from vault.keys.providers import build_all
from vault.settings import VaultSettings
from vault.store.checkpoints import uncovered
from vault.store.database import Database, Role
from vault.store.keys import KeyRows

TRIES = 50
LOOK_SECONDS = 0.1
OTHERS_SECONDS = 20.0


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


async def covered(settings: VaultSettings, database: Database) -> None:
    """Let everything that is in the log be under a checkpoint: by this command or, without the KEK, by who has it.

    Raises what `make_checkpoint` does.
    """
    try:
        await make_checkpoint(settings, database)
    except KeyUnavailable as error:  # custodians have given their shares to the processes that run
        if not await _covered_by_others(database):
            raise error from None


async def _covered_by_others(database: Database) -> bool:
    connection = await database.connect(Role.PROXY)
    try:
        for _ in range(int(OTHERS_SECONDS / LOOK_SECONDS)):
            if not await uncovered(connection, 1):
                return True
            await asyncio.sleep(LOOK_SECONDS)
        return False
    finally:
        await connection.close()
