"""What matches no field streams: a gigabyte through a route without fields keeps memory flat.

A quarter of it, eight times what may stay, in every run.
"""

from __future__ import annotations

from pathlib import Path

import pytest

GIBIBYTE = 2**30


def _resident(pid: int) -> int:
    """Return the peak resident memory of a process in bytes (VmHWM)."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


@pytest.mark.parametrize("size", [GIBIBYTE // 4, pytest.param(GIBIBYTE, marks=pytest.mark.long)])
async def test_a_large_upload_keeps_memory_flat(world, size):
    piece = bytes(2**20)

    async def pieces():
        for _ in range(size // len(piece)):
            yield piece

    before = _resident(world.panless.pid)
    world.app.keep_bodies = False
    try:
        headers = {"Content-Length": str(size)}
        async with world.client.put(f"{world.inbound}/upload/big", data=pieces(), headers=headers) as answer:
            assert answer.status == 200
    finally:
        world.app.keep_bodies = True
    assert world.app.body_bytes == size
    assert _resident(world.panless.pid) - before < 32 * 2**20
