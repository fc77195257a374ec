"""Kinds of sensitive data: how each is normalised, checked, described and allowed to be stored.

Sources: ISO/IEC 7812-1 (PAN, Luhn check digit), PCI DSS v4.0.1 requirement 3.3.1 (CVC is sensitive
authentication data and never stored after authorization), 3.4.1 (what of a PAN may be shown).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from vault.errors import NotACardNumber, NotACvc
from vault.exposure import expose
from vault.sensitive import Sensitive


class Storage(Enum):
    """Where a kind may be kept: sealed for good, or sealed in a lease that ends."""

    VAULT = "vault"
    LEASE = "lease"


@dataclass(frozen=True, slots=True)
class Description:
    """What may be shown of a value: the card's brand and its last four digits, where there are any."""

    brand: str | None = None
    last4: str | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind. `normalise(value, at)` returns the canonical value or raises the kind's ValueRejected."""

    name: str
    storage: Storage
    token_prefix: str
    normalise: Callable[[Sensitive, str], Sensitive]
    describe: Callable[[Sensitive], Description]


# What people and SDKs put between digits: space, dash, NBSP, thin, figure and narrow no-break spaces.
_SEPARATORS = " -\u00a0\u2009\u2007\u202f"
# Full-width digits are what an East Asian keyboard types. Other scripts' digits are refused: no issuer prints them.
_DIGITS = {ord("\uff10") + i: str(i) for i in range(10)}
_TO_PLAIN = str.maketrans({**dict.fromkeys(map(ord, _SEPARATORS)), **_DIGITS})
_PAN = re.compile(r"[0-9]{12,19}", re.ASCII)
_CVC = re.compile(r"[0-9]{3,4}", re.ASCII)


def luhn_valid(digits: str) -> bool:
    """Tell whether ASCII digits pass the Luhn check (ISO/IEC 7812-1, annex B)."""
    odd = sum(map(int, digits[-1::-2]))
    even = sum((0, 2, 4, 6, 8, 1, 3, 5, 7, 9)[int(digit)] for digit in digits[-2::-2])
    return (odd + even) % 10 == 0


def _normalise_pan(value: Sensitive, at: str) -> Sensitive:
    digits = expose(value).translate(_TO_PLAIN)
    # One repeated digit passes Luhn at some lengths, but ISO/IEC 7812 assigns no such number.
    if not _PAN.fullmatch(digits) or not luhn_valid(digits) or len(set(digits)) == 1:
        raise NotACardNumber(at=at)
    return Sensitive(digits)


def _normalise_cvc(value: Sensitive, at: str) -> Sensitive:
    digits = expose(value).translate(_TO_PLAIN)
    if not _CVC.fullmatch(digits):
        raise NotACvc(at=at)
    return Sensitive(digits)


_BRANDS = (
    ("amex", re.compile(r"3[47]")),
    ("diners", re.compile(r"3(?:0[0-5]|[689])")),
    ("jcb", re.compile(r"35(?:2[89]|[3-8])")),
    ("discover", re.compile(r"6(?:011|4[4-9]|5)")),
    ("unionpay", re.compile(r"62|81")),
    ("mastercard", re.compile(r"5[1-5]|2(?:22[1-9]|2[3-9]|[3-6]|7[01]|720)")),
    ("visa", re.compile(r"4")),
    ("maestro", re.compile(r"5[06-8]|6")),
)


def _describe_pan(value: Sensitive) -> Description:
    digits = expose(value)
    brand = next((name for name, prefix in _BRANDS if prefix.match(digits)), None)
    return Description(brand=brand, last4=digits[-4:])


def _describe_nothing(_value: Sensitive) -> Description:
    return Description()


PAN = Kind("pan", Storage.VAULT, "tok", _normalise_pan, _describe_pan)
CVC = Kind("cvc", Storage.LEASE, "cvc", _normalise_cvc, _describe_nothing)

KINDS: Mapping[str, Kind] = MappingProxyType({kind.name: kind for kind in (PAN, CVC)})
