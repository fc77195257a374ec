"""The server process: started until it accepts connections, and ended."""

from __future__ import annotations

import asyncio
import signal
import time

import asyncpg

from vault.errors import EmbeddedDatabaseFailed
from vault.store.embedded.child import Child
from vault.store.embedded.cluster import SUPERUSER
from vault.store.embedded.datadir import DataDirectory, refused
from vault.store.embedded.leftover import end_leftover_server
from vault.store.embedded.postgres_program import NOT_ENDED_YET, PORT, PostgresProgram, server_arguments

POLL_S = 0.02
LEFTOVER_PATIENCE_S = 15.0
RECOVERY_PATIENCE_S = 600.0  # replaying the log of a long day takes its time; a dead server is noticed at once

# How a server that comes up, or goes down, answers.
NOT_ACCEPTING = (OSError, asyncpg.OperatorInterventionError, asyncpg.PostgresConnectionError)


class Postmaster:
    """One server on one PGDATA; may be started again after it has ended. Not for concurrent use."""

    def __init__(self, directory: DataDirectory, program: PostgresProgram, host: str, processes: int = 1) -> None:
        self._directory = directory
        self._program = program
        self._host = host
        self._processes = processes
        self._child: Child | None = None

    async def start(self) -> None:
        """Return when it accepts connections. Raises EmbeddedDatabaseFailed when it ends instead."""
        deadline = time.monotonic() + LEFTOVER_PATIENCE_S
        while True:
            await end_leftover_server(self._directory)
            arguments = server_arguments(self._directory, self._processes)
            command = self._program.command("postgres", arguments, self._directory, signal.SIGINT)
            self._child = Child(command, self._directory)
            reason = await self._ended_before_ready(self._child)
            if reason is None:
                return
            if reason != NOT_ENDED_YET or time.monotonic() > deadline:
                raise refused("start", reason, self._directory.log)
            await asyncio.sleep(0.1)

    async def wait(self) -> int:
        """Wait for its end; returns the exit status."""
        if self._child is None:
            raise RuntimeError("not started")
        return await self._child.wait()

    async def end(self, *steps: tuple[signal.Signals, float]) -> None:
        """End it (see `Child.end`), whatever state it is in."""
        if self._child is not None:
            await self._child.end(*steps)

    async def _ended_before_ready(self, child: Child) -> str | None:
        """None when the server accepts connections, else why it ended."""
        process = await child.born()
        deadline = time.monotonic() + RECOVERY_PATIENCE_S
        while process.returncode is None:
            if time.monotonic() > deadline:
                raise refused("start", "it does not accept connections", self._directory.log)
            if await self._accepts():
                return None
            await asyncio.sleep(POLL_S)
        return child.reason(process.returncode)

    async def _accepts(self) -> bool:
        try:
            connection = await connect(self._host, SUPERUSER, "postgres")
            await connection.close(timeout=5)
        except NOT_ACCEPTING:
            return False
        except asyncpg.PostgresError as error:
            raise sql_refused("start", error, self._directory) from None
        return True


async def connect(host: str, user: str, database: str) -> asyncpg.Connection:
    """Open a connection of Panless's own to the embedded server; raises what asyncpg raises."""
    return await asyncpg.connect(host=host, port=PORT, user=user, database=database, timeout=5, command_timeout=60)


def sql_refused(step: str, error: asyncpg.PostgresError, directory: DataDirectory) -> EmbeddedDatabaseFailed:
    """The error for a statement or login that the server refused; its text stays behind."""
    if isinstance(error, asyncpg.DiskFullError):
        return refused(step, "the disk is full", directory.log)
    return refused(step, f"the server refused (SQLSTATE {error.sqlstate})", directory.log)
