"""What a record costs: a reveal with and without its audit event, and with velocity limits, in one run.

The vault of this process on a real PostgreSQL, 32 callers at once, no network. "Not recorded" is no setting of Panless:
the writer is taken out for the comparison.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.harness.cards import cards
from vault.key_settings import FileSettings
from vault.keys.file import FileKeyProvider
from vault.kinds import PAN
from vault.policy import Permit, Principal
from vault.requests import Context, NewValue, Reference
from vault.sensitive import Sensitive
from vault.service import Vault
from vault.settings import VaultSettings
from vault.store.database import Database
from vault.store.embedded import EmbeddedDatabase
from vault.store.rows import Write
from vault.upkeep.migrate import migrate
from vault.velocity import DAY, HOUR, MINUTE, Limit, Limits, Per, Then

ROUNDS = 7
REVEALS = 2000
CALLERS = 32
CONTEXT = Context("req-1", "gateway", "api.example", "192.0.2.1")
PERMIT = Permit(Principal("shop", "default"), "reveal", "gateway", "api.example")
LIMITS = Limits(
    [Limit(per.value, per, {MINUTE: 10**9, HOUR: 10**9, DAY: 10**9}, Then.THROTTLE) for per in (Per.APP, Per.ROUTE)]
)


class _NoWriter:
    """Records nothing."""

    async def write(self, _write: Write) -> list[object]:
        return []


async def _reveals(vault: Vault, references: Sequence[Reference]) -> tuple[float, float]:
    """Reveal REVEALS times; return CPU microseconds each, and the median latency in milliseconds."""
    waits: list[float] = []

    async def caller(number: int) -> None:
        for turn in range(REVEALS // CALLERS):
            begin = time.perf_counter()
            await vault.reveal([references[(number + turn) % len(references)]], PERMIT, CONTEXT)
            waits.append(time.perf_counter() - begin)

    before = time.process_time()
    await asyncio.gather(*map(caller, range(CALLERS)))
    return (time.process_time() - before) / REVEALS * 1e6, statistics.median(waits) * 1e3


async def measure(folder: Path) -> list[dict[str, object]]:
    """Measure all, print a table, and return its rows."""
    FileKeyProvider.create(folder / "kek")
    server = await EmbeddedDatabase.start(folder / "pg", holder="serve")
    database = Database(embedded=server)
    try:
        await migrate(database)
        keys = [FileSettings(folder / "kek")]
        plain, limited, unrecorded = [
            await Vault.open(VaultSettings(folder, keys, limits=limits), database)
            for limits in (Limits(), LIMITS, Limits())
        ]
        tokens = await plain.tokenize([NewValue(PAN, Sensitive(each), "$") for each in cards()], "default", CONTEXT)
        unrecorded._revealing._writer = _NoWriter()
        vaults = {"not recorded": unrecorded, "recorded": plain, "recorded, with six limits": limited}
        found = await _rounds(vaults, [Reference(PAN, each, "$") for each in tokens])
        for vault in vaults.values():
            await vault.close()
    finally:
        await database.close()
    return _shown(found)


async def _rounds(vaults: dict[str, Vault], references: Sequence[Reference]) -> dict[str, list[tuple[float, float]]]:
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in vaults}
    for turn in range(ROUNDS + 1):
        for name, vault in vaults.items():
            measured = await _reveals(vault, references)
            if turn:  # the first round warms up
                found[name].append(measured)
    return found


def _shown(found: dict[str, list[tuple[float, float]]]) -> list[dict[str, object]]:
    table = Table(title=f"a reveal and its record: {REVEALS} x {ROUNDS}, {CALLERS} at once", title_justify="left")
    for column in ("reveal", "CPU µs", "min-max", "p50 ms"):
        table.add_column(column)
    rows: list[dict[str, object]] = []
    for name, measured in found.items():
        cpu, wait = [each[0] for each in measured], [each[1] for each in measured]
        row = {"name": name, "cpu_us": round(statistics.median(cpu), 1), "p50_ms": round(statistics.median(wait), 2)}
        rows.append(row)
        table.add_row(name, str(row["cpu_us"]), f"{min(cpu):.0f}-{max(cpu):.0f}", str(row["p50_ms"]))
    Console().print(table)
    return rows
