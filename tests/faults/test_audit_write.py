"""No reveal without a record, in every way that the write of the record can fail (promise 2).

A relay stands between the vault and PostgreSQL, and breaks off, holds back or loses what goes through it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.harness.external import external
from vault import opening
from vault.errors import DatabaseFailed, DatabaseUnavailable
from vault.exposure import expose
from vault.key_settings import FileSettings
from vault.keys.file import FileKeyProvider
from vault.kinds import PAN
from vault.policy import Permit, Principal
from vault.requests import Context, NewValue, Reference
from vault.sensitive import Sensitive
from vault.service import Vault
from vault.settings import VaultSettings
from vault.store import database as database_module
from vault.store.database import Database, Role
from vault.upkeep.migrate import migrate

VISA = "4242424242424242"
CONTEXT = Context("req-1", "gateway", "api.example")
PERMIT = Permit(Principal("shop", "default"), "reveal", "gateway", "api.example")


@dataclass
class Relay:
    """`mode` is what is done to a statement that writes an event: nothing, `break`, `hold` or `lose` (its answer)."""

    target: Path
    mode: str = ""
    met: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_unix_connection(str(self.target))
        lost = asyncio.Event()
        answers = asyncio.create_task(self._answers(far_reader, writer, lost))
        try:
            while chunk := await reader.read(65536):
                if self.mode and b"req-faulty" in chunk:
                    self.met.set()
                    if self.mode == "break":
                        break
                    if self.mode == "hold":
                        await self.go_on.wait()
                    if self.mode == "lose":
                        lost.set()
                far_writer.write(chunk)
        except ConnectionError:
            pass
        finally:
            if self.mode == "lose":
                await asyncio.sleep(0.3)  # what was sent is done there
            for each in (writer, far_writer):
                each.close()
            answers.cancel()

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lost: asyncio.Event) -> None:
        while chunk := await reader.read(65536):
            if not lost.is_set():
                writer.write(chunk)
        writer.close()


@dataclass
class Parts:
    vault: Vault
    relay: Relay
    direct: Database
    reference: Reference
    opened: list[str]

    async def permitted(self, request_id: str) -> int:
        owner = await self.direct.connect(Role.OWNER)
        try:
            sql = "SELECT count(*) FROM audit_events WHERE request_id = $1 AND outcome = 'permitted'"
            return await owner.fetchval(sql, request_id)
        finally:
            await owner.close()

    async def reveal(self, request_id: str) -> list[str]:
        context = Context(request_id, "gateway", "api.example")
        return [expose(each.value) for each in await self.vault.reveal([self.reference], PERMIT, context)]


@pytest.fixture
async def parts(tmp_path, monkeypatch) -> AsyncIterator[Parts]:
    monkeypatch.setattr(database_module, "COMMAND_SECONDS", 1.0)
    opened: list[str] = []
    real = opening.unseal
    monkeypatch.setattr(opening, "unseal", lambda *given: opened.append("opened") or real(*given))
    FileKeyProvider.create(tmp_path / "kek")
    async with external(tmp_path / "pg") as server:
        direct = Database(urls={Role.OWNER: server.url, Role.PROXY: server.url})
        await migrate(direct)
        relay = Relay(server.folder / "run" / ".s.PGSQL.5432")
        (tmp_path / "r").mkdir()
        listening = await asyncio.start_unix_server(relay.handle, str(tmp_path / "r" / ".s.PGSQL.5432"))
        through = Database(urls={Role.PROXY: f"postgresql://postgres@/panless?host={tmp_path / 'r'}&port=5432"})
        vault = await Vault.open(VaultSettings(tmp_path, [FileSettings(tmp_path / "kek")]), through)
        (token,) = await vault.tokenize([NewValue(PAN, Sensitive(VISA), "$")], "default", CONTEXT)
        yield Parts(vault, relay, direct, Reference(PAN, token, "$"), opened)
        relay.mode = ""
        await vault.close()
        listening.close()


@pytest.mark.parametrize("mode", ["break", "hold", "lose"])
async def test_nothing_is_opened_when_the_record_may_not_be_there(parts, mode):
    assert await parts.reveal("req-before") == [VISA]
    parts.opened.clear()
    parts.relay.mode = mode
    with pytest.raises(DatabaseUnavailable):
        await parts.reveal("req-faulty")
    assert parts.relay.met.is_set()
    assert parts.opened == []
    parts.relay.mode = ""
    parts.relay.go_on.set()
    # Recorded and not revealed may be, where the answer was lost or late; revealed and not recorded never.
    assert await parts.permitted("req-faulty") in {"break": [0], "hold": [0, 1], "lose": [1]}[mode]
    assert await parts.reveal("req-after") == [VISA]
    assert await parts.permitted("req-after") == 1


async def test_nothing_is_opened_when_the_database_refuses_the_record(parts):
    owner = await parts.direct.connect(Role.OWNER)
    try:
        await owner.execute("ALTER TABLE audit_events ADD CONSTRAINT refused CHECK (request_id <> 'req-faulty')")
    finally:
        await owner.close()
    with pytest.raises(DatabaseFailed):
        await parts.reveal("req-faulty")
    assert parts.opened == []
    assert await parts.reveal("req-after") == [VISA]


async def test_a_client_that_goes_away_does_not_cancel_the_record(parts):
    parts.relay.mode = "hold"
    asking = asyncio.create_task(parts.reveal("req-faulty"))
    async with asyncio.timeout(10):
        await parts.relay.met.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    parts.relay.go_on.set()
    async with asyncio.timeout(10):
        while not await parts.permitted("req-faulty"):
            await asyncio.sleep(0.05)
    assert parts.opened == []
