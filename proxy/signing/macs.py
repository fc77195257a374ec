"""Message authentication codes and digests, and how they are written."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

ENCODINGS: Mapping[str, Callable[[bytes], str]] = {
    "hex": bytes.hex,
    "hex-upper": lambda raw: raw.hex().upper(),
    "base64": lambda raw: base64.b64encode(raw).decode(),
    "base64url": lambda raw: base64.urlsafe_b64encode(raw).decode().rstrip("="),
}


@dataclass(frozen=True, slots=True)
class Secrets:
    """What the application signs with, and the gateway's; `key_id` is what the gateway knows its own by."""

    app: bytes = field(repr=False)
    gateway: bytes = field(repr=False)
    key_id: str | None = None


def mac(secret: bytes, data: bytes, algorithm: str, encoding: str) -> str:
    return ENCODINGS[encoding](hmac.digest(secret, data, algorithm))


def digest(data: bytes, algorithm: str, encoding: str) -> str:
    return ENCODINGS[encoding](hashlib.new(algorithm, data, usedforsecurity=False).digest())


def same(one: str, other: str) -> bool:
    """Compare in constant time, as text: of base64, one spelling only is right."""
    return hmac.compare_digest(to_bytes(one), to_bytes(other))


def to_bytes(text: str) -> bytes:
    """Return the bytes that a header, a path or a query came in."""
    return text.encode("utf-8", "surrogateescape")
