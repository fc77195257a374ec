"""Key provider `file`: the KEK is 32 bytes in a file. For development and small set-ups.

The file is one line, `panless-kek-1 ID BASE64`, readable by its owner alone (0600). Wrapping is AES-256-GCM with the
context as associated data.
"""

from __future__ import annotations

import base64
import binascii
import os
import stat
from pathlib import Path

from vault.crypto import aead
from vault.errors import KeyUnavailable
from vault.keys.provider import ProviderDescription
from vault.tokens import uuid7

_FORMAT = "panless-kek-1"


class FileKeyProvider:
    """Reads the KEK once, when built; raises KeyUnavailable if the file cannot be trusted."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._id, self._kek = _read(path)

    @staticmethod
    def create(path: Path) -> None:
        """Write a new KEK to `path`, which must not exist yet. The file is on disk when this returns."""
        line = f"{_FORMAT} kek_{uuid7().hex} {base64.b64encode(aead.new_key()).decode()}\n"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    async def wrap(self, key: bytes, context: bytes) -> bytes:
        return aead.encrypt(self._kek, key, context)

    async def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        try:
            return aead.decrypt(self._kek, wrapped, context)
        except aead.DoesNotOpen:
            raise KeyUnavailable(key=self._id, reason="the data key was not wrapped by this KEK") from None

    async def health(self) -> None:
        """The KEK is in memory: nothing can take it away."""

    def describe(self) -> ProviderDescription:
        return ProviderDescription("file", self._id, str(self._path))


def _read(path: Path) -> tuple[str, bytes]:
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            words = file.read(4096).decode("ascii", "replace").split()
    except FileNotFoundError:
        raise KeyUnavailable(key="kek", reason=f"there is no file {path}") from None
    except OSError:
        raise KeyUnavailable(key="kek", reason=f"file {path} cannot be read") from None
    if status.st_uid not in (0, os.geteuid()):
        raise KeyUnavailable(key="kek", reason=f"file {path} belongs to another user than the one that runs Panless")
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise KeyUnavailable(key="kek", reason=f"file {path} is open to others; run chmod 600 on it")
    match words:
        case [_format, key_id, encoded] if _format == _FORMAT:
            return key_id, _decode(encoded, path)
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
