"""Signatures of others, for those who may not see the vault's cryptography: gateways sign webhooks in these ways."""

from __future__ import annotations

from datetime import datetime

from vault.crypto.foreign import is_roots, verifies_ed25519, verifies_rsa_sha256

__all__ = ["is_ed25519", "is_roots", "is_rsa_sha256"]


def is_ed25519(key: bytes, data: bytes, signature: bytes) -> bool:
    """Tell whether a signature is that of the data by a public key of 32 bytes."""
    return verifies_ed25519(key, data, signature)


def is_rsa_sha256(chain: bytes, name: str, roots: bytes, at: datetime, *, data: bytes, signature: bytes) -> bool:
    """Tell whether a signature is that of the data by the first certificate of a PEM chain.

    It has to be made out to the DNS name `name` and, at that time, to be trusted by one of `roots` (PEM).
    """
    return verifies_rsa_sha256(chain, name, roots, at, data=data, signature=signature)
