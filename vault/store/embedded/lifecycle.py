"""The embedded PostgreSQL: what runs when no database is configured."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path
from typing import ClassVar

import asyncpg
import structlog

from vault.errors import DatabaseUnavailable, DataDirectoryInUse, EmbeddedDatabaseFailed
from vault.store.embedded.bootstrap import DATABASE, bootstrap
from vault.store.embedded.cluster import OWNER, make_cluster, write_access_rules
from vault.store.embedded.datadir import DataDirectory, failing
from vault.store.embedded.lock import DataDirectoryLock, Holder
from vault.store.embedded.postgres_program import PORT, PostgresProgram
from vault.store.embedded.postmaster import NOT_ACCEPTING, Postmaster, connect
from vault.store.embedded.socket_directory import SocketDirectory

PATIENCE_S = 15.0
POLL_S = 0.05
FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 0.1, 5.0
SETTLED_S = 10.0
# Fast shutdown, then a crash, which recovery mends. A command first lets those finish who attached to it.
STOP_SERVE = ((signal.SIGINT, 20.0), (signal.SIGQUIT, 5.0))
STOP_COMMAND = ((signal.SIGTERM, 10.0), *STOP_SERVE)

log = structlog.get_logger()


class EmbeddedDatabase:
    """A server on a data directory: our own child, or that of another Panless (`owned` is False).

    `host`, `port` and `database` are for asyncpg.connect, with one of the roles as `user`. `host` is valid in
    this process only, until `stop`.
    """

    port: ClassVar[int] = PORT
    database: ClassVar[str] = DATABASE

    def __init__(self, directory: DataDirectory, lock: DataDirectoryLock, holder: Holder, processes: int = 1) -> None:
        self._directory = directory
        self._lock = lock
        self._holder = holder
        self._processes = processes
        self._socket: SocketDirectory | None = None
        self._postmaster: Postmaster | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._stopping: asyncio.Task[None] | None = None
        self.owned = False

    @property
    def host(self) -> str:
        """The directory of the server's socket, or a short alias of it."""
        if self._socket is None:
            raise DatabaseUnavailable
        return self._socket.name

    @classmethod
    async def start(cls, data_dir: Path, *, holder: Holder, processes: int = 1) -> EmbeddedDatabase:
        """Run the server of `data_dir`, created if need be; return when it accepts connections.

        A `command` that finds a server running attaches to it; a `serve` waits 15 s for a command to end; a `worker`
        attaches to the server of its supervisor, and never runs one. `processes`: how many serve from it.
        Raises DataDirectoryInUse, DatabaseUnavailable (the server found does not answer for 15 s) and
        EmbeddedDatabaseFailed. Whatever it raises, nothing is left running and the lock is free.
        """
        directory = DataDirectory.prepare(data_dir)
        self = cls(directory, DataDirectoryLock(directory), holder, processes)
        try:
            self.owned = await self._own_or_attach()
            if self.owned:
                await self._run()
        except BaseException:
            await self.stop()
            raise
        return self

    async def stop(self) -> None:
        """End the server if it is ours (fast, after 20 s harder) and free the lock. May be called again."""
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop())
        await asyncio.shield(self._stopping)

    async def _own_or_attach(self) -> bool:
        """True with the lock held; False when attached to the server of the one who holds it."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            with failing("lock its data directory", self._directory.log):
                if self._holder != "worker" and self._lock.try_acquire(self._holder):
                    return True
            other = self._lock.holder()
            if self._holder != "serve" and await self._attach():
                return False
            if self._holder == "serve" and (other.holder == "serve" or time.monotonic() > deadline):
                raise DataDirectoryInUse(pid=other.pid, path=str(self._directory.path))
            if time.monotonic() > deadline:
                raise DatabaseUnavailable
            await asyncio.sleep(POLL_S)

    async def _attach(self) -> bool:
        try:
            self._socket = self._socket or SocketDirectory(self._directory.run)
            connection = await connect(self._socket.name, OWNER, DATABASE)
            await connection.close(timeout=5)
        except (
            *NOT_ACCEPTING,
            asyncpg.InvalidAuthorizationSpecificationError,
            asyncpg.InvalidCatalogNameError,
        ):
            return False  # being created, or ending
        return True

    async def _run(self) -> None:
        program = PostgresProgram.locate(self._directory)
        await make_cluster(self._directory, program)
        write_access_rules(self._directory)
        with failing("start", self._directory.log):
            self._socket = self._socket or SocketDirectory(self._directory.run)
        self._postmaster = Postmaster(self._directory, program, self._socket.name, self._processes)
        await self._postmaster.start()
        await bootstrap(self._socket.name, self._directory)
        self._supervisor = asyncio.create_task(self._supervise(self._postmaster))

    async def _supervise(self, postmaster: Postmaster) -> None:
        backoff = FIRST_BACKOFF_S
        running_since = time.monotonic()
        while True:
            status = await postmaster.wait()
            log.error("embedded_postgres_exited", status=status)
            if time.monotonic() - running_since > SETTLED_S:
                backoff = FIRST_BACKOFF_S
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, LONGEST_BACKOFF_S)
            try:
                await postmaster.start()
            except EmbeddedDatabaseFailed as failure:
                log.error("embedded_postgres_restart_failed", **failure.ids)  # no traceback: it is known
                continue
            running_since = time.monotonic()
            log.warning("embedded_postgres_restarted")

    async def _stop(self) -> None:
        try:
            if self._supervisor is not None:
                self._supervisor.cancel()
                await asyncio.wait({self._supervisor})
            if self._postmaster is not None:
                await self._postmaster.end(*(STOP_SERVE if self._holder == "serve" else STOP_COMMAND))
        finally:
            if self._socket is not None:
                self._socket.close()
                self._socket = None
            self._lock.release()
