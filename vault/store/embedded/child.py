"""A program of PostgreSQL, running as our own child."""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, Process
from contextlib import suppress

from vault.store.embedded.datadir import DataDirectory, failing
from vault.store.embedded.postgres_program import ENVIRONMENT, reason_of

LOG_READ_BYTES = 256 * 1024


class Child:
    """Starts `command` (see `PostgresProgram.command`), its output appended to the log.

    The kernel sends the death signal when the thread that forked ends, which is the event loop's: a child
    lives at most as long as the loop that made it.
    """

    def __init__(self, command: list[str], directory: DataDirectory) -> None:
        self._directory = directory
        # A task of its own: a caller that is cancelled while the fork is under way must not lose the process.
        self._birth = asyncio.create_task(self._fork(command))
        self._log_start = 0

    async def _fork(self, command: list[str]) -> Process:
        log = self._directory.open_log()
        try:
            self._log_start = os.fstat(log).st_size
            return await asyncio.create_subprocess_exec(
                *command, stdin=DEVNULL, stdout=log, stderr=log, env=ENVIRONMENT
            )
        finally:
            os.close(log)

    async def born(self) -> Process:
        """Wait for the process to exist. Raises EmbeddedDatabaseFailed when it cannot."""
        with failing("start", self._directory.log):
            return await asyncio.shield(self._birth)

    async def wait(self) -> int:
        """Wait for the end. Returns the exit status, negative for a signal."""
        return await (await self.born()).wait()

    def reason(self, status: int) -> str:
        """Why it ended with `status`, in words that hold nothing of the log's own text."""
        with failing("start", self._directory.log), self._directory.log.open("rb") as log:
            log.seek(self._log_start)
            return reason_of(status, log.read(LOG_READ_BYTES))

    async def end(self, *steps: tuple[signal.Signals, float]) -> None:
        """Send the signals in turn, each with its patience in seconds, then SIGKILL. Harmless when ended."""
        process = await self.born()
        for step, patience in (*steps, (signal.SIGKILL, None)):
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.send_signal(step)
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await process.wait()
                    return
