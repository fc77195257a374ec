"""Verifying the log of a database with the keys that it names itself."""

from __future__ import annotations

from vault.store.database import Database
from vault.upkeep.evidence import Report
from vault.upkeep.history import Demands, keys_of_database, verify_history


async def verified(database: Database, **options) -> Report:
    return await verify_history(database, Demands(await keys_of_database(database)), **options)
