"""Signatures of others: Ed25519, and RSA by a certificate that a trusted root stands behind. Nothing is secret."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

_MOST_IN_CHAIN = 8


def verifies_ed25519(key: bytes, data: bytes, signature: bytes) -> bool:
    """Tell whether a signature is that of the data by a public key of 32 bytes."""
    try:
        ed25519.Ed25519PublicKey.from_public_bytes(key).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True


def verifies_rsa_sha256(chain: bytes, name: str, roots: bytes, at: datetime, *, data: bytes, signature: bytes) -> bool:
    """Tell whether a signature (PKCS #1 v1.5, SHA-256) is that of the data by the first certificate of a PEM chain.

    That one has to be made out to the DNS name `name`, and to be trusted at that time by `roots` (PEM).
    """
    try:
        leaf, *between = x509.load_pem_x509_certificates(chain)
        if len(between) > _MOST_IN_CHAIN:
            return False
        policy = PolicyBuilder().store(_store(roots)).time(at)
        policy.build_server_verifier(x509.DNSName(name)).verify(leaf, between)
        key = leaf.public_key()
        if not isinstance(key, rsa.RSAPublicKey):
            return False
        key.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
    except (VerificationError, InvalidSignature, ValueError, TypeError, x509.ExtensionNotFound):
        return False
    return True


def is_roots(pem: bytes) -> bool:
    """Tell whether there are certificates in a PEM."""
    try:
        _store(pem)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=8)
def _store(roots: bytes) -> Store:
    return Store(x509.load_pem_x509_certificates(roots))
