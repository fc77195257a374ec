"""Token formats: mint and recognise.

A token is a TypeID (https://github.com/jetify-com/typeid, spec 0.3): a prefix, `_` and 26 characters of
Crockford's base32 over a UUIDv7 (RFC 9562). The UUID is what is stored: tokens made one after the other stay
neighbours in the index. 74 of its bits come from the operating system's generator.
"""

from __future__ import annotations

import os
import re
import time
from datetime import UTC, datetime
from uuid import UUID

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
# 26 characters are 130 bits, two zeros and the UUID: 13 pairs of characters, ten bits each.
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_LOW = (1 << 60) - 1
_ENTROPY = 10  # bytes, of which 74 bits are used
_VERSION, _VARIANT = 7, 0b10
_LAST_MILLISECOND = 253_402_214_400_000  # 9999-12-31
# To the digits that `int` reads in base 32.
_TO_INT = str.maketrans(_ALPHABET, "0123456789abcdefghijklmnopqrstuv")
# 26 characters carry 130 bits; the first one holds only three, so it is 7 at most.
_ENCODED = re.compile(r"[0-7][0-9a-hjkmnp-tv-z]{25}", re.ASCII)
_TOKEN = re.compile(rf"(tok|cvc)_({_ENCODED.pattern})", re.ASCII)


class Token:
    """An opaque reference to one sealed value. Not sensitive: it may be shown, stored and logged. It is never changed.

    `digits` is how an application gets it where the token has to look like a card number or a code; two tokens are the
    same whatever their digits are. What is told of it often is made out once.
    """

    __slots__ = ("_id", "_text", "digits", "number", "prefix")

    def __init__(self, prefix: str, id: UUID, digits: str | None = None) -> None:  # noqa: A002  # a field's name
        self.prefix = prefix
        self.number = id.int
        self.digits = digits
        self._id: UUID | None = id
        self._text: str | None = None

    @classmethod
    def numbered(cls, prefix: str, number: int, text: str | None = None) -> Token:
        """Return the token whose UUID is this number; `text` is its TypeID, where that is known."""
        made = object.__new__(cls)
        made.prefix, made.number, made.digits, made._id, made._text = prefix, number, None, None, text
        return made

    @property
    def id(self) -> UUID:
        if self._id is None:
            self._id = UUID(int=self.number)
        return self._id

    @property
    def raw(self) -> bytes:
        """The UUID, as it is bound to what is sealed."""
        return self.number.to_bytes(16, "big")

    @property
    def hex(self) -> str:
        """The UUID, as PostgreSQL reads it."""
        return f"{self.number:032x}"

    def __str__(self) -> str:
        if self._text is None:
            self._text = _type_id(self.prefix, self.number)
        return self._text

    def __repr__(self) -> str:
        return f"Token(prefix={self.prefix!r}, id={self.id!r}, digits={self.digits!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Token):
            return NotImplemented
        return self.number == other.number and self.prefix == other.prefix

    def __hash__(self) -> int:
        return hash(self.number)

    def with_digits(self, digits: str) -> Token:
        """Return the same token as an application gets it in this form."""
        made = Token.numbered(self.prefix, self.number, self._text)
        made.digits = digits
        return made

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
    return _numbered(time.time_ns() // 1_000_000, os.urandom(_ENTROPY))


def _numbered(milliseconds: int, random: bytes) -> int:
    entropy = int.from_bytes(random, "big")
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
    pairs, high, low = _PAIRS, number >> 60, number & _LOW
    return (
        f"{prefix}_{pairs[high >> 60]}{pairs[high >> 50 & 1023]}{pairs[high >> 40 & 1023]}{pairs[high >> 30 & 1023]}"
        f"{pairs[high >> 20 & 1023]}{pairs[high >> 10 & 1023]}{pairs[high & 1023]}{pairs[low >> 50]}"
        f"{pairs[low >> 40 & 1023]}{pairs[low >> 30 & 1023]}{pairs[low >> 20 & 1023]}{pairs[low >> 10 & 1023]}"
        f"{pairs[low & 1023]}"
    )


def mint(prefix: str) -> Token:
    """Make a new token with the prefix of its kind."""
    return Token.numbered(prefix, _uuid7())


def mint_many(prefix: str, count: int) -> list[Token]:
    """Make new tokens, with one call to the operating system's generator."""
    now, random = time.time_ns() // 1_000_000, os.urandom(_ENTROPY * count)
    starts = range(0, len(random), _ENTROPY)
    return [Token.numbered(prefix, _numbered(now, random[at : at + _ENTROPY])) for at in starts]


def recognise(text: str) -> Token | None:
    """Return the token that `text` is, or None if it is anything else."""
    if (match := _TOKEN.fullmatch(text)) is None:
        return None
    prefix, encoded = match.groups()
    number = _read(encoded)
    return None if number is None else Token.numbered(prefix, number, text)


def read_type_id(prefix: str, text: str) -> UUID | None:
    """Reverse `type_id` for a UUIDv7; None for anything else."""
    name, _, encoded = text.rpartition("_")
    number = _read(encoded) if name == prefix and _ENCODED.fullmatch(encoded) else None
    return None if number is None else UUID(int=number)


def _read(encoded: str) -> int | None:
    """Return the number that a UUIDv7 in base32 is; None for any other UUID."""
    number = int(encoded.translate(_TO_INT), 32)
    return number if number >> 76 & 15 == _VERSION and number >> 62 & 3 == _VARIANT else None
