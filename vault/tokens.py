"""Token formats: mint and recognise.

A token is a TypeID (https://github.com/jetify-com/typeid, spec 0.3): a prefix, `_` and 26 characters of
Crockford's base32 over a UUIDv7 (RFC 9562). The UUID is what is stored: tokens made one after the other stay
neighbours in the index. 74 of its bits come from the operating system's generator.
"""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
# 26 characters are 130 bits, two zeros and the UUID: 13 pairs of characters, ten bits each.
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_SHIFTS = range(120, -1, -10)
_LAST_MILLISECOND = 253_402_214_400_000  # 9999-12-31
_VALUES = {char: number for number, char in enumerate(_ALPHABET)}
# 26 characters carry 130 bits; the first one holds only three, so it is 7 at most.
_ENCODED = re.compile(r"[0-7][0-9a-hjkmnp-tv-z]{25}", re.ASCII)
_TOKEN = re.compile(rf"(tok|cvc)_({_ENCODED.pattern})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Token:
    """An opaque reference to one sealed value. Not sensitive: it may be shown, stored and logged.

    `digits` is how an application gets it where the token has to look like a card number or a code.
    """

    prefix: str
    id: UUID
    digits: str | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return type_id(self.prefix, self.id)

    @property
    def shown(self) -> str:
        """What an application gets."""
        return self.digits or str(self)

    @property
    def minted_at(self) -> datetime:
        """When the token says that it was made, to the millisecond; a made-up one may say anything."""
        return minted_at(self.id)


def uuid7() -> UUID:
    """Return a new UUIDv7: 48 bits of milliseconds, 74 random bits (RFC 9562, section 5.7)."""
    return UUID(int=_uuid7())


def new_type_id(prefix: str) -> str:
    """Return the TypeID of a new UUIDv7."""
    return _type_id(prefix, _uuid7())


def _uuid7() -> int:
    milliseconds = time.time_ns() // 1_000_000
    entropy = int.from_bytes(os.urandom(10), "big")
    high = (milliseconds << 16) | 0x7000 | (entropy >> 68)
    low = (0b10 << 62) | (entropy & ((1 << 62) - 1))
    return (high << 64) | low


def minted_at(identifier: UUID) -> datetime:
    """Return when a UUIDv7 says that it was made, to the millisecond."""
    return datetime.fromtimestamp(min(identifier.int >> 80, _LAST_MILLISECOND) / 1000, UTC)


def type_id(prefix: str, identifier: UUID) -> str:
    """Return the TypeID of a UUID."""
    return _type_id(prefix, identifier.int)


def _type_id(prefix: str, number: int) -> str:
    return f"{prefix}_{''.join([_PAIRS[number >> shift & 1023] for shift in _SHIFTS])}"


def mint(prefix: str) -> Token:
    """Make a new token with the prefix of its kind."""
    return Token(prefix, uuid7())


def recognise(text: str) -> Token | None:
    """Return the token that `text` is, or None if it is anything else."""
    match = _TOKEN.fullmatch(text)
    token_id = _read(match[2]) if match else None
    return Token(match[1], token_id) if match and token_id else None


def read_type_id(prefix: str, text: str) -> UUID | None:
    """Reverse `type_id` for a UUIDv7; None for anything else."""
    name, _, encoded = text.rpartition("_")
    return _read(encoded) if name == prefix and _ENCODED.fullmatch(encoded) else None


def _read(encoded: str) -> UUID | None:
    number = 0
    for char in encoded:
        number = (number << 5) | _VALUES[char]
    identifier = UUID(int=number)
    return identifier if identifier.version == 7 else None
