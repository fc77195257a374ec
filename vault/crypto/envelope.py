"""The sealed-record format.

    sealed = version(1) | nonce(12) | ciphertext | tag(16)
    associated data = version(1) | tenant | token id (16 bytes) | kind | DEK id (16 bytes)

each part of the associated data after the version prefixed with its length as two bytes, big-endian. So a record
opens only in the row that it was sealed for: moved to another tenant, token, kind or key it does not.
Vectors: tests/vectors/envelope.json.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from uuid import UUID

from vault.crypto import aead
from vault.crypto.data_key import DataKey
from vault.crypto.encoding import length_prefixed
from vault.errors import RecordDoesNotOpen
from vault.exposure import expose
from vault.frozen import frozen
from vault.sensitive import Sensitive
from vault.tokens import Token

VERSION = b"\x01"


@frozen
class Binding:
    """Where a record belongs."""

    tenant: str
    token: Token
    kind: str


def _associated_data(binding: Binding, key_id: UUID) -> bytes:
    tenant, kind = _around(binding.tenant, binding.kind, key_id)
    return tenant + binding.token.raw + kind


@lru_cache(maxsize=1000)
def _around(tenant: str, kind: str, key_id: UUID) -> tuple[bytes, bytes]:
    """Return what stands before and after the token's 16 bytes: it is the same for many records."""
    whole = length_prefixed(tenant.encode(), bytes(16), kind.encode(), key_id.bytes)
    before = len(tenant.encode()) + 4
    return VERSION + whole[:before], whole[before + 16 :]


def seal_all(key: DataKey, values: Sequence[tuple[Sensitive, Token]], tenant: str, kind: str) -> list[bytes]:
    """Seal many values of one tenant and kind, each for the row of its token."""
    before, after = _around(tenant, kind, key.id)
    plain = [(expose(value).encode(), before + token.raw + after) for value, token in values]
    return [VERSION + box for box in key.cipher.encrypt_all(plain)]


def seal(key: DataKey, value: Sensitive, binding: Binding) -> bytes:
    """Seal a value for its row."""
    return seal_bytes(key, expose(value).encode(), binding)


def unseal(key: DataKey, sealed: bytes, binding: Binding) -> Sensitive:
    """Open a sealed record; raises RecordDoesNotOpen if it is not exactly what was sealed for this row."""
    return Sensitive(unseal_bytes(key, sealed, binding).decode())


def seal_bytes(key: DataKey, data: bytes, binding: Binding) -> bytes:
    """Seal what is no value but may name people: a document."""
    return VERSION + key.cipher.encrypt(data, _associated_data(binding, key.id))


def unseal_bytes(key: DataKey, sealed: bytes, binding: Binding) -> bytes:
    """Reverse `seal_bytes`; raises RecordDoesNotOpen."""
    if sealed[:1] != VERSION:
        raise RecordDoesNotOpen(token=str(binding.token))
    try:
        return key.cipher.decrypt(sealed[1:], _associated_data(binding, key.id))
    except aead.DoesNotOpen:
        raise RecordDoesNotOpen(token=str(binding.token)) from None
