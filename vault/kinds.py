"""Kinds of sensitive data: how each is normalised, checked, described and allowed to be stored.

Sources: ISO/IEC 7812-1 (PAN, Luhn check digit), ISO 13616-1 (IBAN), ABA routing number policy; PCI DSS v4.0.1
requirement 3.3.1 (CVC and cryptograms are sensitive authentication data and never stored after authorization), 3.4.1
(what of a PAN may be shown).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from vault import issuers
from vault.errors import NotACardNumber, NotACvc, NotOfItsKind
from vault.exposure import expose
from vault.frozen import frozen
from vault.sensitive import Sensitive

MAX_TEXT = 10_000


class Storage(Enum):
    """How a kind may be kept: sealed for good, sealed in a lease that ends, or not at all."""

    VAULT = "vault"
    LEASE = "lease"
    NONE = "none"


@frozen
class Description:
    """What may be shown of a value: the card's brand, its first six and last four digits, and how many it has."""

    brand: str | None = None
    last4: str | None = None
    bin: str | None = None
    length: int | None = None


def _describe_nothing(_value: Sensitive) -> Description:
    return Description()


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind. `normalise(value, at)` returns the canonical value or raises the kind's ValueRejected.

    `reusable`: the same value may get the same token. Not for values of which there are few: one that is known would
    tell them all. `card`: its tokens may look like card numbers. `withheld`: once revealed, it is taken out of the
    answer; not for values that stand in any answer, such as a year, or that applications have anyway.
    """

    name: str
    storage: Storage
    token_prefix: str
    normalise: Callable[[Sensitive, str], Sensitive]
    describe: Callable[[Sensitive], Description] = _describe_nothing
    reusable: bool = False
    card: bool = False
    withheld: bool = True


# What people and SDKs put between digits: space, dash, NBSP, thin, figure and narrow no-break spaces.
_SEPARATORS = " -\u00a0\u2009\u2007\u202f"
# Full-width digits are what an East Asian keyboard types. Other scripts' digits are refused: no issuer prints them.
_DIGITS = {ord("\uff10") + i: str(i) for i in range(10)}
_TO_PLAIN = str.maketrans({**dict.fromkeys(map(ord, _SEPARATORS)), **_DIGITS})
# What a digit counts if it is doubled: the sum of the digits of that. All are too high by the code of "0".
_DOUBLED = bytes.maketrans(b"0123456789", b"0246813579")
_PAN = re.compile(r"[0-9]{12,19}", re.ASCII)
_CVC = re.compile(r"[0-9]{3,4}", re.ASCII)
# A month, a year, or both in any order, with or without a sign between them.
_EXPIRY = re.compile(r"[0-9]{1,4}(?: ?[/.-] ?[0-9]{2,4}| [0-9]{2,4})?|[0-9]{6}", re.ASCII)
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[0-9A-Z]{8,30}", re.ASCII)
_ACCOUNT = re.compile(r"[0-9A-Za-z]{4,34}", re.ASCII)
_ROUTING = re.compile(r"[0-9]{9}", re.ASCII)
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def luhn_valid(digits: str) -> bool:
    """Tell whether ASCII digits pass the Luhn check (ISO/IEC 7812-1, annex B)."""
    codes = digits.encode("ascii")
    return (sum(codes[-1::-2]) + sum(codes[-2::-2].translate(_DOUBLED)) - ord("0") * len(codes)) % 10 == 0


def iban_valid(iban: str) -> bool:
    """Tell whether an IBAN, in capitals without spaces, has its right check digits (ISO 13616-1, ISO/IEC 7064)."""
    return int("".join(str(int(char, 36)) for char in iban[4:] + iban[:4])) % 97 == 1


def is_card_number(digits: str) -> bool:
    """Tell whether plain digits could be a PAN. ISO/IEC 7812 assigns no number of one repeated digit."""
    return _PAN.fullmatch(digits) is not None and luhn_valid(digits) and digits.count(digits[0]) < len(digits)


def _normalise_pan(value: Sensitive, at: str) -> Sensitive:
    given = expose(value)
    if is_card_number(given):
        return value
    digits = given.translate(_TO_PLAIN)
    if not is_card_number(digits):
        raise NotACardNumber(at=at)
    return Sensitive(digits)


def _normalise_cvc(value: Sensitive, at: str) -> Sensitive:
    digits = expose(value).translate(_TO_PLAIN)
    if not _CVC.fullmatch(digits):
        raise NotACvc(at=at)
    return Sensitive(digits)


def _normalise_expiry(value: Sensitive, at: str) -> Sensitive:
    text = expose(value).strip().translate(_DIGITS)
    if not _EXPIRY.fullmatch(text):
        raise NotOfItsKind(at=at, kind="expiry", expected="a month, a year, or both, such as 05/2030")
    return Sensitive(text)


def _normalise_name(value: Sensitive, at: str) -> Sensitive:
    text = expose(value)
    if not text.strip() or len(text) > 255 or _CONTROLS.search(text):
        raise NotOfItsKind(at=at, kind="cardholder_name", expected="1 to 255 characters without line ends")
    return value


def _normalise_iban(value: Sensitive, at: str) -> Sensitive:
    text = expose(value).translate(_TO_PLAIN).upper()
    if not _IBAN.fullmatch(text) or not iban_valid(text):
        raise NotOfItsKind(at=at, kind="iban", expected="an IBAN with its right check digits")
    return Sensitive(text)


def _normalise_account(value: Sensitive, at: str) -> Sensitive:
    text = expose(value).translate(_TO_PLAIN)
    if not _ACCOUNT.fullmatch(text):
        raise NotOfItsKind(at=at, kind="bank_account", expected="4 to 34 digits and letters")
    return Sensitive(text)


def _normalise_routing(value: Sensitive, at: str) -> Sensitive:
    digits = expose(value).translate(_TO_PLAIN)
    if not _ROUTING.fullmatch(digits) or sum(w * int(d) for w, d in zip((3, 7, 1) * 3, digits, strict=True)) % 10:
        raise NotOfItsKind(at=at, kind="routing_number", expected="9 digits with their right check digit")
    return Sensitive(digits)


def _normalise_text(value: Sensitive, at: str) -> Sensitive:
    if not 0 < len(expose(value)) <= MAX_TEXT:
        raise NotOfItsKind(at=at, kind="text", expected=f"1 to {MAX_TEXT} characters")
    return value


def _describe_pan(value: Sensitive) -> Description:
    digits = expose(value)
    return Description(issuers.brand(digits), digits[-4:], digits[:6], len(digits))


def _describe_account(value: Sensitive) -> Description:
    text = expose(value)
    return Description(last4=text[-4:] if len(text) > 8 else None)


def code_length(value: Sensitive) -> int:
    """Return how many digits a verification code has; the brand tells as much."""
    return len(expose(value))


def _vaulted(name: str, normalise: Callable[[Sensitive, str], Sensitive], *, withheld: bool = False) -> Kind:
    return Kind(name, Storage.VAULT, "tok", normalise, withheld=withheld)


PAN = Kind("pan", Storage.VAULT, "tok", _normalise_pan, _describe_pan, reusable=True, card=True)
CVC = Kind("cvc", Storage.LEASE, "cvc", _normalise_cvc)
NETWORK_TOKEN = Kind("network_token", Storage.VAULT, "tok", _normalise_pan, _describe_pan, reusable=True, card=True)
IBAN = Kind("iban", Storage.VAULT, "tok", _normalise_iban, _describe_account, reusable=True)
BANK_ACCOUNT = Kind("bank_account", Storage.VAULT, "tok", _normalise_account, _describe_account, reusable=True)
# Sensitive authentication data that is good for one payment: it passes, and is neither stored nor logged.
CRYPTOGRAM = Kind("cryptogram", Storage.NONE, "", _normalise_text)

KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            PAN,
            CVC,
            NETWORK_TOKEN,
            IBAN,
            BANK_ACCOUNT,
            CRYPTOGRAM,
            _vaulted("expiry", _normalise_expiry),
            _vaulted("cardholder_name", _normalise_name),
            _vaulted("routing_number", _normalise_routing),
            _vaulted("text", _normalise_text, withheld=True),
        )
    }
)
