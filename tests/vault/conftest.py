"""One real PostgreSQL for the vault's tests. Every test begins with a migrated database that holds one event."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest

from vault.audit.event import Event, Outcome
from vault.key_settings import FileSettings
from vault.keys.file import FileKeyProvider
from vault.keys.keks import Keks
from vault.policy import Permit, Principal
from vault.requests import Context
from vault.service import Vault
from vault.settings import VaultSettings
from vault.store.audit import append
from vault.store.database import Database, Pool, Role
from vault.store.embedded import EmbeddedDatabase
from vault.store.keys import KeyRows
from vault.upkeep.keychain.work import work
from vault.upkeep.migrate import migrate

TABLES = (
    "tokens, fingerprints, cvc_leases, data_keys, keks, processes, lease_keys, "
    "audit_checkpoints, audit_ranges, audit_sinks, "
    "app_keys, apps, operator_keys, operators, break_glass, authorities, audit_events, "
    "token_customers, ended_tokens, reveal_counts, stops, "
    "documents, idempotency, operations, webhook_events, "
    "publishable_keys, used_sessions"
)


@pytest.fixture(scope="session")
async def migrated(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Database]:
    folder: Path = tmp_path_factory.mktemp("vault") / "data"
    database = Database(embedded=await EmbeddedDatabase.start(folder, holder="serve"))
    await migrate(database)
    yield database
    await database.close()


@pytest.fixture
async def database(migrated: Database) -> Database:
    """The database as it is after a migration: empty tables, and the event that the migration leaves."""
    connection = await migrated.connect(Role.OWNER)
    try:
        await connection.execute(f"TRUNCATE {TABLES}")
        await connection.execute("UPDATE audit_log SET begins = 0")
        await append(connection, [Event(at=datetime.now(UTC), action="migrate", outcome=Outcome.PERMITTED)])
    finally:
        await connection.close()
    return migrated


@pytest.fixture
async def owner(database: Database) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the tables' owner: whoever can change rows behind the vault's back."""
    connection = await database.connect(Role.OWNER)
    yield connection
    await connection.close()


@pytest.fixture
async def open_pool(database: Database) -> AsyncIterator[Callable]:
    """Open pools as the proxy role; each is what one process would have."""
    pools: list[Pool] = []

    async def make(size: int = 4) -> Pool:
        pools.append(await database.pool(Role.PROXY, size=size))
        return pools[-1]

    yield make
    for pool in pools:
        await pool.close()


@pytest.fixture
async def kek(tmp_path: Path) -> Path:
    path = tmp_path / "kek"
    FileKeyProvider.create(path)
    return path


@pytest.fixture
async def keks(open_pool: Callable, kek: Path) -> Keks:
    return Keks([FileKeyProvider(FileSettings(kek))], KeyRows(await open_pool(size=1)))


@pytest.fixture
async def open_vault(database: Database, kek: Path) -> AsyncIterator[Callable]:
    """Open vaults over one KEK; each is what one process would have. Keyword arguments go to the settings."""
    opened: list[Vault] = []

    async def make(**settings) -> Vault:
        opened.append(await Vault.open(VaultSettings(kek.parent, [FileSettings(kek)], **settings), database))
        return opened[-1]

    yield make
    for vault in opened:
        await vault.close()


@pytest.fixture
async def vault(open_vault: Callable) -> Vault:
    return await open_vault()


@pytest.fixture
def settings(kek: Path) -> VaultSettings:
    return VaultSettings(kek.parent, [FileSettings(kek)])


@pytest.fixture
def working(settings: VaultSettings, database: Database) -> Callable:
    """What commands on keys work with; keyword arguments go to `work`."""

    @asynccontextmanager
    async def open_work(changed: VaultSettings = settings, **told):
        async with work(changed, database, **told) as opened:
            yield opened

    return open_work


@pytest.fixture
def context() -> Context:
    return Context(request_id="req-1", route="gateway", destination="api.example", origin="192.0.2.1")


@pytest.fixture
def permit() -> Permit:
    return Permit(Principal("shop", "default"), "reveal", "gateway", "api.example")


_NOT_OF_REQUESTS = (
    r"\b(processes|lease_keys|audit_checkpoints|audit_ranges|audit_log|pg_try_advisory_xact_lock)\b|^SELECT number"
)


@dataclass
class Statements:
    """What PostgreSQL says that the proxy role sent for requests since `restart`, no heartbeats, no checkpoints"""

    log: Path
    begin: int = 0

    def restart(self) -> None:
        self.begin = self.log.stat().st_size

    def seen(self) -> list[str]:
        text = self.log.read_bytes()[self.begin :].decode()
        parts = re.split(r"^\d{4}-\d\d-\d\d \S+ UTC \[\d+\] ", text, flags=re.MULTILINE)
        found = [re.match(r"LOG:  (?:execute [^:]*|statement): (.*)", part, re.DOTALL) for part in parts]
        sent = [" ".join(match[1].split()) for match in found if match]
        return [each for each in sent if not re.search(_NOT_OF_REQUESTS, each)]


@pytest.fixture
async def statements(database: Database) -> AsyncIterator[Statements]:
    """Ask for it before the vault or the pool: PostgreSQL logs the statements of sessions that begin afterwards."""
    embedded = database.embedded
    superuser = await asyncpg.connect(
        host=embedded.host, port=embedded.port, user="postgres", database=embedded.database
    )
    await superuser.execute("ALTER ROLE panless_proxy SET log_statement = 'all'")
    (name,) = await superuser.fetchrow("SELECT setting FROM pg_settings WHERE name = 'data_directory'")
    counter = Statements(Path(name).parent / "postgres.log")
    counter.restart()
    yield counter
    await superuser.execute("ALTER ROLE panless_proxy RESET log_statement")
    await superuser.close()
