"""New rows as PostgreSQL copies them in: COPY in binary format. Pure.

A row is the number of its columns, and for each its length and its bytes, all big-endian; NULL has the length -1. What
is the same in many rows is encoded once.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from uuid import UUID

from vault.tokens import Token

TOKEN_COLUMNS = ("token", "tenant", "kind", "data_key", "sealed", "brand", "last4", "created_at")
FINGERPRINT_COLUMNS = ("fingerprint", "token", "data_key")
_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_END = b"\xff\xff"
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_length = struct.Struct(">i").pack
_NULL = _length(-1)
_UUID = _length(16)
_FINGERPRINT = struct.pack(">h", len(FINGERPRINT_COLUMNS)) + _length(32)
_TOKEN = struct.pack(">h", len(TOKEN_COLUMNS)) + _UUID


class TokenRows:
    """Rows of `tokens`, with TOKEN_COLUMNS: of one tenant and kind, sealed with one key, made now."""

    def __init__(self, tenant: str, kind: str, data_key: UUID) -> None:
        self._belongs = _text(tenant) + _text(kind) + _UUID + data_key.bytes
        self._made = _length(8) + struct.pack(">q", (datetime.now(UTC) - _EPOCH) // _MICROSECOND)

    def row(self, token: Token, sealed: bytes, brand: str | None, last4: str | None) -> bytes:
        """Return one."""
        cells = (token.raw, self._belongs, _length(len(sealed)), sealed, _text(brand), _text(last4), self._made)
        return _TOKEN + b"".join(cells)


def fingerprint_rows(marks: Mapping[bytes, Token], key: UUID) -> list[bytes]:
    """Return rows of `fingerprints`, with FINGERPRINT_COLUMNS; all are made with one key.

    Sorted as they are, they are in the order of the fingerprints.
    """
    made_with = _UUID + key.bytes
    return [b"".join((_FINGERPRINT, mark, _UUID, token.raw, made_with)) for mark, token in marks.items()]


def payload(rows: Sequence[bytes]) -> bytes:
    """Return what is sent for rows."""
    return b"".join((_HEADER, *rows, _END))


@lru_cache(maxsize=20_000)
def _text(value: str | None) -> bytes:
    if value is None:
        return _NULL
    encoded = value.encode()
    return _length(len(encoded)) + encoded
