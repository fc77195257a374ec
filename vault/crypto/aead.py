"""AES-256-GCM with a random 96-bit nonce (NIST SP 800-38D).

Random nonces are safe for 2^32 messages under one key at a collision probability of 2^-32; keys here are
replaced after 2^24.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16


class DoesNotOpen(Exception):
    """The ciphertext, its key or its associated data is not what was sealed."""


def new_key() -> bytes:
    """Return 256 random bits."""
    return secrets.token_bytes(KEY_BYTES)


class Cipher:
    """AES-256-GCM under one key, set up once for all that it seals and opens."""

    __slots__ = ("_aes",)

    def __init__(self, key: bytes) -> None:
        self._aes = AESGCM(key)

    def encrypt(self, plaintext: bytes, associated_data: bytes) -> bytes:
        """Return `nonce(12) | ciphertext | tag(16)`."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._aes.encrypt(nonce, plaintext, associated_data)

    def encrypt_all(self, plaintexts: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
        """Encrypt many, each given with its associated data, with one call to the operating system's generator."""
        nonces = os.urandom(NONCE_BYTES * len(plaintexts))
        boxes = []
        for number, (plaintext, associated_data) in enumerate(plaintexts):
            nonce = nonces[number * NONCE_BYTES : (number + 1) * NONCE_BYTES]
            boxes.append(nonce + self._aes.encrypt(nonce, plaintext, associated_data))
        return boxes

    def decrypt(self, box: bytes, associated_data: bytes) -> bytes:
        """Reverse `encrypt`; raises DoesNotOpen."""
        if len(box) < NONCE_BYTES + TAG_BYTES:
            raise DoesNotOpen
        try:
            return self._aes.decrypt(box[:NONCE_BYTES], box[NONCE_BYTES:], associated_data)
        except InvalidTag:
            raise DoesNotOpen from None


def encrypt(key: bytes, plaintext: bytes, associated_data: bytes) -> bytes:
    """Return `nonce(12) | ciphertext | tag(16)`."""
    return Cipher(key).encrypt(plaintext, associated_data)


def decrypt(key: bytes, box: bytes, associated_data: bytes) -> bytes:
    """Reverse `encrypt`; raises DoesNotOpen."""
    return Cipher(key).decrypt(box, associated_data)
