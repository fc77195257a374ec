"""localstripe, a stand-in for Stripe that checks what it gets, in a process of its own."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

_PROGRAM = Path(__file__).with_name("localstripe_server.py")
_SECONDS = 30


@asynccontextmanager
async def localstripe() -> AsyncIterator[str]:
    """Yield the URL of an empty localstripe, which is gone in the end."""
    # -P: or this module, which lies beside the program, would stand in for the package of the same name.
    command = (sys.executable, "-P", str(_PROGRAM))
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        line = (await asyncio.wait_for(process.stdout.readline(), _SECONDS)).decode()
        assert line.startswith("ready "), "localstripe did not start"
        yield f"http://127.0.0.1:{line.split()[1]}"
    finally:
        if process.returncode is None:
            process.kill()  # it has nothing to save
        await process.wait()
