"""Everything that Panless stores, without the KEK, opens nothing (promise 7)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import subprocess
from pathlib import Path
from uuid import UUID

import aiohttp
import asyncpg
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from tests.harness import configuration
from tests.harness.process import panless, serving
from tests.harness.upstream import recording

PAN, CVC = "4242424242424242", "7319"


@pytest.fixture
async def stolen(tmp_path):
    """A vault that was used, stopped, and copied whole but for its KEK; and all that its tables hold."""
    async with recording() as app, recording() as gateway:
        config = configuration.write(tmp_path / "own", app.url, gateway.url)
        async with serving(config) as running, aiohttp.ClientSession() as client:
            await running.add_app("shop")
            body = {"card": {"number": PAN, "cvc": CVC}}
            async with client.post(f"{running.urls['inbound']}/checkout", json=body) as answer:
                assert answer.status == 200
            tables = await _tables(config)
        thief = configuration.write(tmp_path / "thief", app.url, gateway.url)
        subprocess.run(["cp", "-a", tmp_path / "own" / "data", tmp_path / "thief" / "data"], check=True)  # noqa: ASYNC221
        (tmp_path / "thief" / "data" / "kek").unlink()
        kek = base64.b64decode((tmp_path / "own" / "data" / "kek").read_text().split()[2])
        yield thief, tables, kek


async def _tables(config: Path) -> dict[str, list[asyncpg.Record]]:
    connection = await asyncpg.connect(
        host=str(config.parent / "data" / "run"), user="panless_owner", database="panless", ssl=False
    )
    try:
        names = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {row[0]: await connection.fetch(f"SELECT * FROM {row[0]}") for row in names}
    finally:
        await connection.close()


async def test_panless_does_not_start_on_a_copy_without_its_kek_nor_with_another_one(stolen):
    config, *_ = stolen
    refused = await panless("serve", "-c", config)
    assert (refused.code, "the vault was sealed under it" in refused.err) == (1, True), refused.err
    assert (await panless("keys", "init", "-c", config)).code == 0
    refused = await panless("serve", "-c", config)
    assert (refused.code, "key_unavailable" in refused.err) == (1, True), refused.err


def _windows(tables: dict[str, list[asyncpg.Record]]) -> set[bytes]:
    """Return every 32 bytes in a row of everything that is stored: one of them would be the key."""
    values = [value for rows in tables.values() for row in rows for value in row.values()]
    stored = [each for value in values if (each := _as_bytes(value))]
    return {each[at : at + 32] for each in stored for at in range(len(each) - 31)}


def _as_bytes(value: object) -> bytes:
    match value:
        case bytes():
            return value
        case UUID():
            return value.bytes
        case _:
            return str(value).encode()


def test_no_stored_bytes_open_a_record_or_a_code_or_make_a_fingerprint(stolen):
    """Neither by themselves nor as the key that a wrapped key was wrapped with."""
    _, tables, kek = stolen
    windows = _windows(tables)
    wrapped = [row["wrapped"] for row in tables["data_keys"]] + [row["encrypted"][32:] for row in tables["lease_keys"]]
    secrets = windows | {_plain(key, box) for key in windows for box in wrapped}
    assert len(secrets) > 2000
    sealed = [row["sealed"][1:] for name in ("tokens", "cvc_leases") for row in tables[name]]
    assert len(sealed) == 2
    marks = {row["fingerprint"] for row in tables["fingerprints"]}
    message = b"".join(len(part).to_bytes(2, "big") + part for part in (b"pan", PAN.encode()))
    assert hashlib.sha256(PAN.encode()).digest() not in marks
    for key in secrets:
        assert hmac.digest(key, message, hashlib.sha256) not in marks
        assert not {_plain(key, box) for box in sealed} & {PAN.encode(), CVC.encode()}
    assert PAN.encode() in {_plain(_plain(kek, box), record) for box in wrapped for record in sealed}, "with it, it is"


def _plain(key: bytes, box: bytes) -> bytes:
    """Decrypt without looking at the tag, so that no context is needed: GCM is CTR from 2 on (NIST SP 800-38D)."""
    cipher = Cipher(algorithms.AES(key), modes.CTR(box[:12] + (2).to_bytes(4, "big")))
    return cipher.decryptor().update(box[12:-16])
