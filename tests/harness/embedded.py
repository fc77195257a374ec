"""Looking into the embedded database of a running Panless, as its owner."""

from __future__ import annotations

from pathlib import Path

import asyncpg


async def value(config: Path, sql: str) -> int:
    """Return the one value that a statement asks for."""
    connection = await asyncpg.connect(
        host=str(config.parent / "data" / "run"), user="panless_owner", database="panless", ssl=False
    )
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()
