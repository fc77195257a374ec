"""Keyed fingerprints: the same value gives the same 32 bytes, and nobody without the key can try values.

HMAC-SHA-256 (RFC 2104) under a key of the tenant's own. PCI DSS v4.0.1 requirement 3.5.1.1 asks for keyed
cryptographic hashes of the entire PAN.
"""

from __future__ import annotations

from functools import lru_cache

from vault.crypto.data_key import DataKey
from vault.crypto.encoding import length_prefixed
from vault.exposure import expose
from vault.sensitive import Sensitive


def fingerprint(key: DataKey, kind: str, value: Sensitive) -> bytes:
    """Return the fingerprint of a normalised value."""
    plain = expose(value).encode()
    return key.mac(_before(kind, len(plain)) + plain)


@lru_cache(maxsize=1000)
def _before(kind: str, length: int) -> bytes:
    """Return what stands before a value of so many bytes in `length_prefixed(kind, value)`."""
    return length_prefixed(kind.encode(), bytes(length))[: len(kind.encode()) + 4]


def derived(key: DataKey, label: str, *parts: bytes) -> bytes:
    """Return 32 bytes that only holders of the key can tell from random ones: HMAC as a PRF (NIST SP 800-108)."""
    return key.mac(length_prefixed(b"derived", label.encode(), *parts))
