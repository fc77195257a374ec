"""Numbers that are part of something else: of a hash, a UUID, an IBAN, a telephone or a parcel's number.

Each is told by its own check digits or form, so that a card number beside it, or in the same words, is still found.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from vault.kinds import iban_valid

Span = tuple[int, int]

_LONG_WORD = 8  # hexadecimal digits beside a number, from which it is part of a hash
_before = re.compile(rb"[0-9A-Fa-f]{0,16}\Z").search
_after = re.compile(rb"[0-9A-Fa-f]{0,16}").match
_is_track = re.compile(rb"[Dd][0-9]{7,21}[Ff]?(?![0-9A-Za-z])").match  # track 2 of a card, as chips give it
_UUID = re.compile(rb"(?<![0-9A-Za-z])[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(?![0-9A-Za-z])")
_IBAN = re.compile(rb"(?<![0-9A-Za-z])[A-Z]{2}[0-9]{2}(?:[ +-]?[0-9A-Z]){8,30}(?![0-9A-Za-z])")
_UPS = re.compile(rb"(?<![0-9A-Za-z])1Z[0-9A-Z]{16}(?![0-9A-Za-z])")
_after_plus = re.compile(rb"(?:\A|[^0-9A-Za-z])\+\Z").search
_MAX_UUID, _MAX_IBAN, _UPS_LENGTH = 36, 72, 18
_IBAN_LENGTH = 34  # the longest that ISO 13616-1 allows
_MAX_PHONE = 14  # digits; ITU-T E.164 allows one more, which no country uses
_PARCEL_DIGITS, PARCEL_GROUPS = (20, 22), (5, 6)


def part_of_another(text: bytes, span: Span) -> bool:
    """Tell whether the digits at `span` belong to something that is no card number."""
    return (
        _in_hash(text, span)
        or _within(_UUID, _MAX_UUID, text, span)
        or _within(_UPS, _UPS_LENGTH, text, span)
        or _in_iban(text, span)
        or _is_phone(text, span)
    )


def is_parcel(groups: Sequence[bytes]) -> bool:
    """Tell whether groups of digits are a parcel's number as USPS prints it: fours, and GS1's check digit."""
    digits = b"".join(groups).decode()
    if len(digits) not in _PARCEL_DIGITS or not "91" <= digits[:2] <= "95" or {*map(len, groups[:5])} != {4}:
        return False
    return (sum(map(int, digits[::-2])) + 3 * sum(map(int, digits[-2::-2]))) % 10 == 0


def _in_hash(text: bytes, span: Span) -> bool:
    before = _before(text[max(0, span[0] - 16) : span[0]])
    after = _after(text, span[1])
    around = len(before[0] if before else b"") + len(after[0] if after else b"")
    return around > _LONG_WORD and not _is_track(text, span[1])


def _within(form: re.Pattern[bytes], length: int, text: bytes, span: Span) -> bool:
    found = form.finditer(text, max(0, span[0] - length), span[1] + length)
    return any(match.start() <= span[0] and span[1] <= match.end() for match in found)


def _is_phone(text: bytes, span: Span) -> bool:
    """Tell whether a plus stands right before the digits that is not a form's way to write a space after a word."""
    digits = len(re.sub(rb"[^0-9]", b"", text[slice(*span)]))
    return digits <= _MAX_PHONE and _after_plus(text[max(0, span[0] - 2) : span[0]]) is not None


def _in_iban(text: bytes, span: Span) -> bool:
    found = _IBAN.finditer(text, max(0, span[0] - _MAX_IBAN), span[1] + _MAX_IBAN)
    return any(match.start() <= span[0] and _iban_until(match[0], span[1] - match.start()) for match in found)


def _iban_until(written: bytes, end: int) -> bool:
    """Tell whether an IBAN with its right check digits reaches at least to `end`; what follows may be another word."""
    ends = [match.end() for match in re.finditer(rb"[0-9A-Z](?![0-9A-Z])", written) if match.end() >= end]
    ibans = (written[:each].translate(None, b" +-").decode() for each in ends)
    return any(len(iban) <= _IBAN_LENGTH and iban_valid(iban) for iban in ibans)
