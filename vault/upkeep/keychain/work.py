"""What every command on keys works with: the owner's connection, the KEKs, a keyring, events, the running processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from vault.errors import KeysBusy, ProcessesSilent
from vault.keys.keks import Keks
from vault.keys.keyring import Keyring
from vault.keys.providers import build_all
from vault.recorded import operator_event
from vault.settings import VaultSettings
from vault.store.audit import append
from vault.store.database import Connection, Database, Role, translated
from vault.store.keychain import announce, try_lock
from vault.store.keys import KeyRows
from vault.store.processes import live_processes

SETTLE_SECONDS = 30.0
LOCK_SECONDS = 5.0
LOOK_SECONDS = 0.1

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Work:
    """`report` is told in a sentence what happens; `progress` (done, total) of what takes long."""

    settings: VaultSettings
    connection: Connection
    keks: Keks
    keyring: Keyring
    report: Callable[[str], None]
    progress: Progress

    @asynccontextmanager
    async def change(self, action: str, about: str, tenant: str | None = None) -> AsyncIterator[datetime]:
        """One transaction: what the caller does, the event that tells of it, and a call to all processes to look."""
        at = datetime.now(UTC)
        with translated():
            async with self.connection.transaction():
                yield at
                await append(self.connection, [operator_event(action, about, tenant, at)])
                await announce(self.connection)

    async def announce(self) -> None:
        """Let nothing be written any more with keys as they were until now, also by a process that hangs."""
        with translated():
            async with self.connection.transaction():
                await announce(self.connection)

    async def record(self, action: str, about: str, tenant: str | None = None) -> None:
        """Record something that changes no key's state."""
        await append(self.connection, [operator_event(action, about, tenant)])

    async def settle(self) -> None:
        """Wait until every running process has seen the last change; raises ProcessesSilent."""
        number = await KeyRows(self.connection).changes()
        ends = asyncio.get_running_loop().time() + SETTLE_SECONDS
        while waiting := [each for each in await live_processes(self.connection) if each.changes < number]:
            if asyncio.get_running_loop().time() > ends:
                raise ProcessesSilent(processes=", ".join(f"{each.pid} on {each.host}" for each in waiting))
            await asyncio.sleep(LOOK_SECONDS)
        self.keyring.forget()


async def _alone(connection: Connection) -> None:
    """Let one command change keys at a time. The lock ends with the connection, also when the command is killed."""
    ends = asyncio.get_running_loop().time() + LOCK_SECONDS
    while not await try_lock(connection):
        if asyncio.get_running_loop().time() > ends:
            raise KeysBusy
        await asyncio.sleep(LOOK_SECONDS)


def _nothing(*_: object) -> None:
    pass


@asynccontextmanager
async def work(
    settings: VaultSettings,
    database: Database,
    *,
    report: Callable[[str], None] = _nothing,
    progress: Progress = _nothing,
) -> AsyncIterator[Work]:
    """Connect as the owner, and to the key providers."""
    connection = await database.connect(Role.OWNER)
    try:
        await _alone(connection)
        rows = KeyRows(connection)
        keks = Keks(build_all(settings.providers), rows, per_tenant=settings.tenant_keks)
        try:
            keyring = Keyring(keks, rows, cache_seconds=settings.key_cache.total_seconds(), compromised=True)
            yield Work(settings, connection, keks, keyring, report, progress)
        finally:
            await keks.close()
    finally:
        await connection.close()
