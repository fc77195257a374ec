"""AES-256-GCM with a random 96-bit nonce (NIST SP 800-38D).

Random nonces are safe for 2^32 messages under one key at a collision probability of 2^-32; keys here are
replaced after 2^24.
"""

from __future__ import annotations

import secrets

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


def encrypt(key: bytes, plaintext: bytes, associated_data: bytes) -> bytes:
    """Return `nonce(12) | ciphertext | tag(16)`."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plaintext, associated_data)


def decrypt(key: bytes, box: bytes, associated_data: bytes) -> bytes:
    """Reverse `encrypt`; raises DoesNotOpen."""
    if len(box) < NONCE_BYTES + TAG_BYTES:
        raise DoesNotOpen
    try:
        return AESGCM(key).decrypt(box[:NONCE_BYTES], box[NONCE_BYTES:], associated_data)
    except InvalidTag:
        raise DoesNotOpen from None
