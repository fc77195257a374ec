"""What applications and operators are known by: keys, and client certificates.

A key is `plk_` (an application's) or `plo_` (an operator's) + 52 characters of base32 (256 random bits) + 6 of a
checksum. The prefix lets secret scanners find a leaked key; the checksum tells a mistyped key from a wrong one without
a look-up. Only the SHA-256 digest is stored: 256 random bits need no slow hash. Of a certificate it is that of its DER.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import zlib
from dataclasses import field
from datetime import datetime
from enum import StrEnum

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from vault.frozen import frozen

PREFIX = "plk_"
OPERATOR_PREFIX = "plo_"
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_SHAPE = re.compile(r"pl[ko]_[a-z2-7]{58}", re.ASCII)


class CredentialKind(StrEnum):
    KEY = "key"
    CERTIFICATE = "certificate"


@frozen
class Credential:
    """The stored form of what somebody is known by; `ends` is when a certificate does by itself."""

    kind: CredentialKind
    digest: bytes = field(repr=False)
    ends: datetime | None = None


def _base32(raw: bytes) -> str:
    return base64.b32encode(raw).decode().rstrip("=").lower()


def _checksum(body: str) -> str:
    """Return the first 30 bits of the CRC-32 in base32."""
    crc = zlib.crc32(body.encode())
    return _PAIRS[crc >> 22] + _PAIRS[crc >> 12 & 1023] + _PAIRS[crc >> 2 & 1023]


def _new(prefix: str) -> str:
    body = _base32(secrets.token_bytes(32))
    return prefix + body + _checksum(body)


def new_app_key() -> str:
    """Return a new key; show it once and store only its digest."""
    return _new(PREFIX)


def new_operator_key() -> str:
    """Return a new key; show it once and store only its digest."""
    return _new(OPERATOR_PREFIX)


def digest(key: str, prefix: str = PREFIX) -> bytes | None:
    """Return the stored form of a key, or None if the text cannot be one."""
    if not key.startswith(prefix) or not _SHAPE.fullmatch(key) or _checksum(key[4:56]) != key[56:]:
        return None
    return hashlib.sha256(key.encode()).digest()


def credential_of(key: str, certificate: bytes | None, prefix: str = PREFIX) -> Credential | None:
    """Return what a request is to be known by: its key or, without one, its certificate (DER). None: by nothing."""
    if certificate is not None and not key.startswith(prefix):
        return Credential(CredentialKind.CERTIFICATE, hashlib.sha256(certificate).digest())
    stored = digest(key, prefix)
    return None if stored is None else Credential(CredentialKind.KEY, stored)


def read_certificate(pem: bytes) -> Credential:
    """Return the stored form of the first certificate of a PEM; raises ValueError."""
    try:
        certificate = x509.load_pem_x509_certificate(pem)
    except ValueError:
        raise ValueError("it holds no certificate in PEM") from None
    return Credential(
        CredentialKind.CERTIFICATE, certificate.fingerprint(hashes.SHA256()), certificate.not_valid_after_utc
    )
