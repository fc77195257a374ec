"""Encrypting a key to a process that is known by its public key: X25519 (RFC 7748), HKDF-SHA-256 (RFC 5869), AES-GCM.

    encrypted = sender's public key(32) | nonce(12) | ciphertext(32) | tag(16)

The sender's key pair is made for one message. Both public keys go into the derivation, and what the key is for is
authenticated. Vectors: tests/vectors/sharing.json.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from vault.crypto import aead

PUBLIC_KEY_BYTES = 32
_LABEL = b"panless lease key"


@dataclass(frozen=True, slots=True)
class Peer:
    """Another running process."""

    id: UUID
    public_key: bytes
    mac: bytes | None


@dataclass(frozen=True, slots=True)
class Copy:
    """A key on its way to one process."""

    key: UUID
    process: UUID
    encrypted: bytes
    expires_at: datetime


class PrivateKey:
    """A key pair whose private half exists in this process alone."""

    def __init__(self) -> None:
        self._private = X25519PrivateKey.generate()
        self.public = self._private.public_key().public_bytes_raw()

    def decrypt(self, encrypted: bytes, context: bytes) -> bytes:
        """Return the key; raises aead.DoesNotOpen."""
        sender = encrypted[:PUBLIC_KEY_BYTES]
        try:
            shared = self._private.exchange(X25519PublicKey.from_public_bytes(sender))
        except ValueError:  # too short, or a point of small order
            raise aead.DoesNotOpen from None
        return aead.decrypt(_derived(shared, sender, self.public), encrypted[PUBLIC_KEY_BYTES:], context)


def encrypt_to(public_key: bytes, key: bytes, context: bytes) -> bytes:
    """Encrypt a key to the holder of a public key; raises ValueError if that is none."""
    private = X25519PrivateKey.generate()
    sender = private.public_key().public_bytes_raw()
    shared = private.exchange(X25519PublicKey.from_public_bytes(public_key))
    return sender + aead.encrypt(_derived(shared, sender, public_key), key, context)


def _derived(shared: bytes, sender: bytes, receiver: bytes) -> bytes:
    return HKDF(hashes.SHA256(), aead.KEY_BYTES, salt=None, info=_LABEL + sender + receiver).derive(shared)
