"""What a commit takes: one row, one connection, again and again; and how much of that is waiting for the disk."""

from __future__ import annotations

import statistics
import time

import asyncpg

COMMITS = 40


async def measure(connection: asyncpg.Connection) -> tuple[float, float]:
    """Return the median milliseconds of a commit, and of that what a commit without fsync does not take."""
    await connection.execute("CREATE TABLE IF NOT EXISTS bench_commits (n integer)")
    try:
        durable = await _median(connection)
        await connection.execute("SET synchronous_commit = off")
        lazy = await _median(connection)
        await connection.execute("SET synchronous_commit = on")
    finally:
        await connection.execute("DROP TABLE bench_commits")
    return durable, max(0.0, durable - lazy)


async def _median(connection: asyncpg.Connection) -> float:
    insert = await connection.prepare("INSERT INTO bench_commits VALUES ($1)")
    taken = []
    for number in range(COMMITS):
        begin = time.perf_counter()
        await insert.fetch(number)
        taken.append((time.perf_counter() - begin) * 1e3)
    return statistics.median(taken)
