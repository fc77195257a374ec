"""Many new cards in one stream: `Vault.tokenize` beside a bare COPY of the same sealed rows, in turn.

The vault of this process on an embedded PostgreSQL; COPY goes into tables of the same definition, with its indexes,
over one connection. Both have all cores, and both are durable when they return.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tests.bench import processes
from tests.bench.bodies import Numbers
from tests.bench.figures import Target
from tests.bench.targets import BULK_SHARE
from vault.key_settings import FileSettings
from vault.keys.file import FileKeyProvider
from vault.kinds import PAN
from vault.requests import Context, NewValue
from vault.sensitive import Sensitive
from vault.service import Vault
from vault.settings import VaultSettings
from vault.store.database import Database, Role
from vault.store.embedded import EmbeddedDatabase
from vault.upkeep.migrate import migrate

if TYPE_CHECKING:
    from tests.bench.stage import Stage

CARDS = 100_000
EACH_CALL = 1000
CALLERS = 4
ROUNDS = 3
CONTEXT = Context("bulk", "bulk", "vault", None)
TABLES = ("tokens", "fingerprints")


async def measure(stage: Stage) -> tuple[Any, list[Target]]:
    """Measure, print, and return the rates with their share."""
    folder = stage.folder / "bulk"
    folder.mkdir()
    FileKeyProvider.create(folder / "kek")
    with processes.everywhere():
        database = Database(embedded=await EmbeddedDatabase.start(folder / "pg", holder="serve"))
        try:
            rates = await _rounds(folder, database)
        finally:
            await database.close()
    shares = [own / bare for own, bare in rates]
    found = {
        "cards": CARDS,
        "tokenize_per_s": round(statistics.median(own for own, _ in rates)),
        "copy_per_s": round(statistics.median(bare for _, bare in rates)),
        "share": round(statistics.median(shares), 3),
        "share_min": round(min(shares), 3),
        "share_max": round(max(shares), 3),
    }
    table = Table("tokenize/s", "COPY/s", "share", "min-max", title=f"{CARDS:,} new cards", title_justify="left")
    table.add_row(
        *(str(found[name]) for name in ("tokenize_per_s", "copy_per_s", "share")),
        f"{min(shares):.2f}-{max(shares):.2f}",
    )
    Console().print(table)
    return found, [Target("bulk: rate of tokenize over COPY", statistics.median(shares), BULK_SHARE, least=True)]


async def _rounds(folder: Path, database: Database) -> list[tuple[float, float]]:
    await migrate(database)
    vault = await Vault.open(VaultSettings(folder, [FileSettings(folder / "kek")]), database)
    connection = await database.connect(Role.OWNER)
    numbers, rates = Numbers(), []
    try:
        with Progress(transient=True) as progress:
            for _ in progress.track(range(ROUNDS), description="bulk"):
                await connection.execute(f"TRUNCATE {', '.join(TABLES)}")
                cards = [numbers.new() for _ in range(CARDS)]
                taken = await _tokenize(vault, cards)
                rates.append((CARDS / taken, CARDS / await _copy(connection)))
    finally:
        await connection.close()
        await vault.close()
    return rates


async def _tokenize(vault: Vault, cards: Sequence[str]) -> float:
    """Tokenize all, some calls at a time; return the seconds."""
    calls = iter([cards[at : at + EACH_CALL] for at in range(0, len(cards), EACH_CALL)])
    tokens: set[str] = set()

    async def caller() -> None:
        for call in calls:
            values = [NewValue(PAN, Sensitive(card), "$") for card in call]
            tokens.update(map(str, await vault.tokenize(values, "default", CONTEXT)))

    begun = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    taken = time.perf_counter() - begun
    assert len(tokens) == len(cards)
    return taken


async def _copy(connection: asyncpg.Connection) -> float:
    """Copy the rows that are there into empty tables like theirs, in one transaction; return the seconds."""
    rows = {table: await connection.fetch(f"SELECT * FROM {table}", timeout=600) for table in TABLES}
    assert all(len(each) == CARDS for each in rows.values())
    for table in TABLES:
        await connection.execute(
            f"DROP TABLE IF EXISTS bare_{table}; CREATE TABLE bare_{table} (LIKE {table} INCLUDING ALL)"
        )
    begun = time.perf_counter()
    async with connection.transaction():
        for table, each in rows.items():
            await connection.copy_records_to_table(f"bare_{table}", records=each, timeout=600)
    return time.perf_counter() - begun
