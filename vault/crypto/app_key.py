"""Application keys: `plk_` + 52 characters of base32 (256 random bits) + 6 of a checksum.

The prefix lets secret scanners find a leaked key; the checksum tells a mistyped key from a wrong one without a
look-up. Only the SHA-256 digest is stored: 256 random bits need no slow hash.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import zlib

PREFIX = "plk_"
_SHAPE = re.compile(r"plk_[a-z2-7]{58}", re.ASCII)


def _base32(raw: bytes) -> str:
    return base64.b32encode(raw).decode().rstrip("=").lower()


def _checksum(body: str) -> str:
    return _base32(zlib.crc32(body.encode()).to_bytes(4, "big"))[:6]


def new_app_key() -> str:
    """Return a new key; show it once and store only its digest."""
    body = _base32(secrets.token_bytes(32))
    return PREFIX + body + _checksum(body)


def digest(key: str) -> bytes | None:
    """Return the stored form of a key, or None if the text cannot be one."""
    if not _SHAPE.fullmatch(key) or _checksum(key[4:56]) != key[56:]:
        return None
    return hashlib.sha256(key.encode()).digest()
