"""Wrapping by a KEK that is held in this process's memory: AES-256-GCM, bound to its context."""

from __future__ import annotations

from vault.crypto import aead
from vault.errors import KeyUnavailable


def wrapped_by(secret: bytes, key: bytes, context: bytes) -> bytes:
    """Return a key, wrapped."""
    return aead.encrypt(secret, key, context)


def unwrapped_by(secret: bytes, kek: str, wrapped: bytes, context: bytes) -> bytes:
    """Return a key that was wrapped by KEK `kek`; raises KeyUnavailable if it was not."""
    try:
        return aead.decrypt(secret, wrapped, context)
    except aead.DoesNotOpen:
        raise KeyUnavailable(key=kek, reason="the data key was not wrapped by this KEK") from None
