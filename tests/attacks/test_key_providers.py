"""Answers and files of key providers that are not what they should be, and a vault that custodians have sealed."""

from __future__ import annotations

import asyncio
import gzip
import json

import pytest
from aiohttp import web

from vault import heartbeat
from vault.errors import KeyProviderUnavailable, KeyUnavailable, VaultSealed
from vault.key_settings import CustodiansSettings, FileSettings, TransitSettings
from vault.keys import ceremony
from vault.keys.custodian_record import append_record
from vault.keys.file import FileKeyProvider
from vault.keys.transit import TransitKeyProvider
from vault.kinds import CVC, PAN
from vault.requests import NewValue, Reference
from vault.sensitive import Sensitive
from vault.service import Vault
from vault.settings import VaultSettings
from vault.unsealing import Unsealing

KNOWN = "4242424242424242"
KEK = "transit:transit/panless:v1"


def pans() -> list[NewValue]:
    return [NewValue(PAN, Sensitive(KNOWN), "$.number")]


@pytest.mark.parametrize("change", [lambda text: text.rstrip("\n"), lambda text: text + "\n\n"])
async def test_a_kek_file_that_an_editor_has_touched_is_not_broken_by_a_rotation(kek, change):
    kek.write_text(change(kek.read_text()))
    provider = FileKeyProvider(FileSettings(kek))
    first = await provider.newest()
    second = await provider.make(None)
    assert await FileKeyProvider(FileSettings(kek)).newest() == second
    await provider.destroy(first)
    again = FileKeyProvider(FileSettings(kek))
    assert (again.holds(first), again.holds(second)) == (False, True)


@pytest.mark.parametrize("length", [0, 16, 33])
async def test_a_provider_that_unwraps_something_else_gives_no_key(open_vault, context, monkeypatch, length):
    async def wrong(_self, _kek, _wrapped, _context):
        return bytes(length)

    vault = await open_vault()
    monkeypatch.setattr(FileKeyProvider, "unwrap", wrong)
    with pytest.raises(KeyUnavailable):
        await vault.tokenize(pans(), "default", context)


@pytest.fixture
async def transit():
    """A provider, and what its server answers: content and headers."""
    answer: dict = {}

    async def handle(_request: web.Request) -> web.Response:
        return web.Response(body=answer["body"], headers=answer.get("headers"))

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    provider = TransitKeyProvider(TransitSettings(f"http://127.0.0.1:{port}", "panless", lambda: "token", timeout=5))
    yield provider, answer
    await provider.close()
    await runner.cleanup()


async def test_an_answer_that_is_nested_without_end_is_none(transit):
    provider, answer = transit
    answer["body"] = b"[" * 60_000
    with pytest.raises(KeyProviderUnavailable):
        await provider.health()


async def test_a_compressed_answer_is_not_unpacked(transit):
    """A few thousand bytes could become gigabytes."""
    provider, answer = transit
    answer["body"] = gzip.compress(json.dumps({"data": {"ciphertext": "vault:v1:AAAA"}}).encode())
    answer["headers"] = {"Content-Encoding": "gzip"}
    with pytest.raises(KeyProviderUnavailable):
        await provider.wrap(KEK, bytes(32), b"")


async def test_no_error_ends_the_heartbeat(open_vault, owner, monkeypatch):
    """Else whoever deletes one row for a second ends it for good, and rotations do not wait for this process."""
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.05)
    vault = await open_vault()
    (number,) = await owner.fetchrow("DELETE FROM key_changes RETURNING number")
    await asyncio.sleep(0.3)
    await owner.execute("INSERT INTO key_changes VALUES ($1)", number + 1)
    async with asyncio.timeout(5):
        sql = "SELECT EXISTS (SELECT FROM processes WHERE id = $1 AND changes = $2)"
        while not await owner.fetchval(sql, vault._lease_keys.id, number + 1):
            await asyncio.sleep(0.05)


@pytest.fixture
async def custodial(database, tmp_path):
    settings = CustodiansSettings(tmp_path / "record.json")
    made = ceremony.make(settings.record, 2, ("anna", "bert"))
    append_record(settings.record, made.record)
    vault = await Vault.open(VaultSettings(tmp_path, [settings]), database)
    yield vault, [share.words for share in made.shares]
    await vault.close()


async def test_a_sealed_vault_opens_and_leases_no_codes(custodial, permit, context):
    vault, words = custodial
    unsealing = Unsealing(vault)
    for each in words:
        await unsealing.give(each, "root")
    codes = [NewValue(CVC, Sensitive("7319"), "$.cvc", None)]
    (token,) = await vault.tokenize(codes, "default", context)
    await unsealing.seal("root")
    with pytest.raises(VaultSealed):
        await vault.reveal([Reference(CVC, token, "$.cvc")], permit, context)
    with pytest.raises(VaultSealed):
        await vault.tokenize(codes, "default", context)
