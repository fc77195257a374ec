"""The KEK in a file: only its owner reads it, nothing overwrites it, and it opens only what belongs to it."""

from __future__ import annotations

import base64
import json
import os
import stat
import traceback
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from vault.crypto.data_key import WrappedKey
from vault.errors import KeyUnavailable
from vault.key_settings import FileSettings
from vault.keys.file import FileKeyProvider
from vault.tokens import uuid7

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "kek.json").read_text())
vectors = pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["tenant"] + "-" + vector["purpose"])
CANARY = base64.b64encode(b"canary canary canary canary 1234").decode()


def write(path: Path, content: str | bytes, mode: int = 0o600) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)
    return path


def key_row(vector: dict) -> WrappedKey:
    wrapped = bytes.fromhex(vector["wrapped"])
    return WrappedKey(UUID(vector["id"]), vector["tenant"], vector["purpose"], "kek", wrapped, datetime.now(UTC))


@vectors
async def test_an_old_data_key_is_unwrapped(tmp_path, vector):
    provider = FileKeyProvider(FileSettings(write(tmp_path / "kek", vector["file"])))
    row = key_row(vector)
    assert row.context.hex() == vector["context"]
    assert (await provider.unwrap(vector["file"].split()[1], row.wrapped, row.context)).hex() == vector["data_key"]
    assert await provider.newest() == vector["file"].split()[1]


@vectors
def test_a_vector_is_what_aes_gcm_gives_for_the_documented_context(vector):
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    parts = [UUID(vector["id"]).bytes, vector["tenant"].encode(), vector["purpose"].encode()]
    context = b"panless data key" + b"".join(len(part).to_bytes(2, "big") + part for part in parts)
    kek, nonce = base64.b64decode(vector["file"].split()[2]), bytes.fromhex(vector["nonce"])
    wrapped = nonce + AESGCM(kek).encrypt(nonce, bytes.fromhex(vector["data_key"]), context)
    assert (context.hex(), wrapped.hex()) == (vector["context"], vector["wrapped"])


async def test_what_is_wrapped_is_unwrapped_in_the_same_context_only(tmp_path):
    FileKeyProvider.create(tmp_path / "kek")
    provider = FileKeyProvider(FileSettings(tmp_path / "kek"))
    row = WrappedKey(uuid7(), "default", "seal", "kek", b"", datetime.now(UTC))
    secret = b"0123456789abcdef0123456789abcdef"
    wrapped = await provider.wrap(await provider.newest(), secret, row.context)
    assert secret not in wrapped
    assert await provider.unwrap(await provider.newest(), wrapped, row.context) == secret
    others = [
        WrappedKey(row.id, "other", "seal", "kek", b"", row.created_at),
        WrappedKey(row.id, "default", "fingerprint", "kek", b"", row.created_at),
        WrappedKey(uuid7(), "default", "seal", "kek", b"", row.created_at),
        WrappedKey(row.id, "defaultseal", "", "kek", b"", row.created_at),
    ]
    for context in [other.context for other in others] + [b"", row.context + b"\x00"]:
        with pytest.raises(KeyUnavailable) as caught:
            await provider.unwrap(await provider.newest(), wrapped, context)
        assert "0123456789abcdef" not in "".join(traceback.format_exception(caught.value))


async def test_a_changed_wrapping_and_another_kek_do_not_unwrap(tmp_path):
    for name in ("mine", "other"):
        FileKeyProvider.create(tmp_path / name)
    mine, other = (FileKeyProvider(FileSettings(tmp_path / name)) for name in ("mine", "other"))
    wrapped = await mine.wrap(await mine.newest(), bytes(32), b"context")
    for bit in range(len(wrapped) * 8):
        changed = bytearray(wrapped)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(KeyUnavailable):
            await mine.unwrap(await mine.newest(), bytes(changed), b"context")
    for box in (b"", wrapped[:-1], wrapped[1:], wrapped + b"\x00"):
        with pytest.raises(KeyUnavailable):
            await mine.unwrap(await mine.newest(), box, b"context")
    with pytest.raises(KeyUnavailable):
        await other.unwrap(await other.newest(), wrapped, b"context")


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_a_new_file_is_readable_by_its_owner_alone_whatever_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        FileKeyProvider.create(tmp_path / "kek")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "kek").stat().st_mode) == 0o600


def test_every_new_kek_is_another_one(tmp_path):
    for number in range(20):
        FileKeyProvider.create(tmp_path / str(number))
    words = [(tmp_path / str(number)).read_text().split() for number in range(20)]
    assert len({word[1] for word in words}) == len({word[2] for word in words}) == 20
    assert {len(base64.b64decode(word[2])) for word in words} == {32}


def test_an_existing_file_is_never_overwritten_not_even_through_a_link(tmp_path):
    kek = write(tmp_path / "kek", "precious")
    (tmp_path / "link").symlink_to(kek)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for name in ("kek", "link", "dangling"):
        with pytest.raises(FileExistsError):
            FileKeyProvider.create(tmp_path / name)
    assert kek.read_text() == "precious"
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610, 0o601, 0o666, 0o777])
def test_a_file_that_others_can_get_at_is_refused(tmp_path, mode):
    FileKeyProvider.create(tmp_path / "kek")
    (tmp_path / "kek").chmod(mode)
    with pytest.raises(KeyUnavailable, match="chmod 600"):
        FileKeyProvider(FileSettings(tmp_path / "kek"))


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_file_of_its_owner_alone_is_taken(tmp_path, mode):
    FileKeyProvider.create(tmp_path / "kek")
    (tmp_path / "kek").chmod(mode)
    assert FileKeyProvider(FileSettings(tmp_path / "kek")).describe().provider == "file"


GARBAGE = {
    "empty": b"",
    "nothing but white space": b"\n \n",
    "another format": f"panless-kek-2 kek_1 {CANARY}\n".encode(),
    "no id": f"panless-kek-1 {CANARY}\n".encode(),
    "one word too many": f"panless-kek-1 kek_1 {CANARY} more\n".encode(),
    "only the key": CANARY.encode(),
    "too short": b"panless-kek-1 kek_1 " + base64.b64encode(b"canary canary canary canary 123"),
    "too long": b"panless-kek-1 kek_1 " + base64.b64encode(b"canary canary canary canary 12345"),
    "not base64": f"panless-kek-1 kek_1 {CANARY[:-2]}!=".encode(),
    "base64 for urls": b"panless-kek-1 kek_1 " + base64.urlsafe_b64encode(b"\xff" * 32),
    "without padding": f"panless-kek-1 kek_1 {CANARY.rstrip('=')}".encode(),
}


def seen(error: BaseException) -> str:
    """Everything that could be shown of an error and of what led to it."""
    shown, each = "", error
    while each is not None:
        shown += f"{each} {each!r} {each.args} {vars(each)}"
        each = each.__cause__ or each.__context__
    return shown + "".join(traceback.format_exception(error))


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_is_refused_and_not_shown(tmp_path, name):
    path = write(tmp_path / "kek", GARBAGE[name])
    with pytest.raises(KeyUnavailable) as caught:
        FileKeyProvider(FileSettings(path))
    assert str(path) in str(caught.value)
    assert CANARY[:20] not in seen(caught.value)


def test_a_kek_with_a_stray_byte_is_refused_and_not_shown(tmp_path):
    path = write(tmp_path / "kek", f"panless-kek-1 kek_1 {CANARY}\n".encode() + b"\xff")
    with pytest.raises(KeyUnavailable) as caught:
        FileKeyProvider(FileSettings(path))
    assert CANARY[:20] not in seen(caught.value)


def test_a_file_that_is_not_there_or_is_a_directory_is_refused(tmp_path):
    with pytest.raises(KeyUnavailable, match="there is no file"):
        FileKeyProvider(FileSettings(tmp_path / "nowhere"))
    with pytest.raises(KeyUnavailable, match="cannot be read"):
        FileKeyProvider(FileSettings(tmp_path))


def test_nothing_that_can_be_shown_of_a_provider_is_its_key(tmp_path):
    FileKeyProvider.create(tmp_path / "kek")
    provider = FileKeyProvider(FileSettings(tmp_path / "kek"))
    key = (tmp_path / "kek").read_text().split()[2]
    raw = base64.b64decode(key)
    shown = f"{provider!r} {provider} {provider.describe()!r}"
    assert key not in shown
    assert raw.hex() not in shown
    assert repr(raw)[2:-1] not in shown


def test_a_file_inside_the_databases_own_directory_is_refused_also_by_a_link(tmp_path):
    database = tmp_path / "postgres"
    (database / "base").mkdir(parents=True)
    FileKeyProvider.create(database / "base" / "kek")
    (tmp_path / "link").symlink_to(database / "base" / "kek")
    for path in (database / "base" / "kek", tmp_path / "link", database / ".." / "postgres" / "base" / "kek"):
        with pytest.raises(KeyUnavailable, match="database's own directory"):
            FileKeyProvider(FileSettings(path, forbidden=database))


async def test_keks_are_added_and_removed_one_at_a_time_and_a_reader_takes_notice(tmp_path):
    FileKeyProvider.create(tmp_path / "kek")
    settings = FileSettings(tmp_path / "kek")
    reader, writer, other = (FileKeyProvider(settings) for _ in range(3))
    first = await reader.newest()
    second, third = await writer.make(None), await other.make("tenant")
    wrapped = await writer.wrap(second, bytes(32), b"context")
    assert await reader.unwrap(second, wrapped, b"context") == bytes(32)
    assert stat.S_IMODE((tmp_path / "kek").stat().st_mode) == 0o600
    assert [line.split()[1] for line in (tmp_path / "kek").read_text().splitlines()] == [first, second, third]
    await writer.destroy(second)
    assert not FileKeyProvider(settings).holds(second)
    with pytest.raises(KeyUnavailable):
        await FileKeyProvider(settings).unwrap(second, wrapped, b"context")
    assert list(tmp_path.iterdir()) == [tmp_path / "kek"]
