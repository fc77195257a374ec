"""Key provider `file`: KEKs of 32 bytes in a file. For development and small set-ups.

Each line is `panless-kek-1 ID BASE64`, the newest last; the file is readable by its owner alone (0600). Wrapping is
AES-256-GCM with the context as associated data.
"""

from __future__ import annotations

import base64
import binascii
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vault.crypto import aead
from vault.errors import KeyUnavailable
from vault.key_settings import FileSettings
from vault.keys import durable
from vault.keys.held import unwrapped_by, wrapped_by
from vault.keys.provider import ProviderDescription
from vault.tokens import uuid7

_FORMAT = "panless-kek-1"
_ID_PREFIX = "kek_"


class FileKeyProvider:
    """Reads the KEKs when built, and again when one is asked for that is new; raises KeyUnavailable."""

    def __init__(self, settings: FileSettings) -> None:
        self._path = settings.path
        if settings.forbidden is not None and settings.path.resolve().is_relative_to(settings.forbidden.resolve()):
            raise KeyUnavailable(key="kek", reason=f"file {settings.path} is inside the database's own directory")
        self._keks = _read(self._path)

    @staticmethod
    def create(path: Path) -> None:
        """Write a new KEK to `path`, which must not exist yet. The file is on disk when this returns."""
        durable.write_new(path, _new_line(f"{_ID_PREFIX}{uuid7().hex}").encode())

    async def wrap(self, kek: str, key: bytes, context: bytes) -> bytes:
        return wrapped_by(self._kek(kek), key, context)

    async def unwrap(self, kek: str, wrapped: bytes, context: bytes) -> bytes:
        return unwrapped_by(self._kek(kek), kek, wrapped, context)

    async def health(self) -> None:
        """The KEKs are in memory: nothing can take them away."""

    def describe(self) -> ProviderDescription:
        return ProviderDescription("file", str(self._path))

    def holds(self, kek: str) -> bool:
        if kek not in self._keks and kek.startswith(_ID_PREFIX):
            self._keks = _read(self._path)
        return kek in self._keks

    async def newest(self) -> str:
        return list(self._keks)[-1]

    async def make(self, tenant: str | None) -> str:
        del tenant  # a KEK is whoever's the table says
        made = f"{_ID_PREFIX}{uuid7().hex}"
        with _changing(self._path):
            before = self._path.read_bytes().rstrip()  # whoever copied it may have left out the end of the last line
            durable.replace(self._path, before + b"\n" + _new_line(made).encode())
            self._keks = _read(self._path)
        return made

    async def destroy(self, kek: str) -> None:
        with _changing(self._path):
            lines = self._path.read_bytes().splitlines(keepends=True)
            durable.replace(self._path, b"".join(line for line in lines if line.split()[1:2] != [kek.encode()]))
            self._keks.pop(kek, None)

    async def close(self) -> None:
        self._keks = {}

    def _kek(self, kek: str) -> bytes:
        if not self.holds(kek):
            raise KeyUnavailable(key=kek, reason=f"it is not in file {self._path}")
        return self._keks[kek]


def _new_line(kek: str) -> str:
    return f"{_FORMAT} {kek} {base64.b64encode(aead.new_key()).decode()}\n"


@contextmanager
def _changing(path: Path) -> Iterator[None]:
    try:
        with durable.locked(path):
            yield
    except OSError:
        raise KeyUnavailable(key="kek", reason=f"file {path} cannot be changed") from None


def _read(path: Path) -> dict[str, bytes]:
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            text = file.read().decode("ascii", "replace")
    except FileNotFoundError:
        raise KeyUnavailable(key="kek", reason=f"there is no file {path}") from None
    except OSError:
        raise KeyUnavailable(key="kek", reason=f"file {path} cannot be read") from None
    if status.st_uid not in (0, os.geteuid()):
        raise KeyUnavailable(key="kek", reason=f"file {path} belongs to another user than the one that runs Panless")
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise KeyUnavailable(key="kek", reason=f"file {path} is open to others; run chmod 600 on it")
    keks = dict(_parsed(line, path) for line in text.splitlines() if line.strip())
    if not keks:
        raise KeyUnavailable(key="kek", reason=f"file {path} does not hold a KEK")
    return keks


def _parsed(line: str, path: Path) -> tuple[str, bytes]:
    match line.split():
        case [_format, kek, encoded] if _format == _FORMAT:
            return kek, _decode(encoded, path)
        case _:
            raise KeyUnavailable(key="kek", reason=f"file {path} does not hold a KEK")


def _decode(encoded: str, path: Path) -> bytes:
    try:
        kek = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        kek = b""
    if len(kek) != aead.KEY_BYTES:
        raise KeyUnavailable(key="kek", reason=f"file {path} does not hold a KEK of 32 bytes")
    return kek
