"""Waiting for what happens aside."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

SECONDS = 20.0


async def until(happened: Callable[[], Awaitable[bool]]) -> None:
    """Look until it has happened; fail if it does not."""
    ends = asyncio.get_running_loop().time() + SECONDS
    while not await happened():
        assert asyncio.get_running_loop().time() < ends, "it did not happen"
        await asyncio.sleep(0.02)
