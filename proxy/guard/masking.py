"""Masking of log lines: rather too much than too little, as nothing depends on them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from proxy.guard.numbers import MAX_DIGITS, MIN_DIGITS
from proxy.rewrite.glance import DIGITS, TO_DIGITS
from vault.kinds import is_card_number

# Digits, also full-width ones and as JSON escapes them, with at most two separators between any two.
_DIGIT = r"(?:[0-9]|[\uff10-\uff19]|\\uff1[0-9])"
_SEPARATOR = r"(?:[ \t._:/+=@\-\u00a0\u2007\u2009\u202f]|\\t|\\u00a0|\\u2007|\\u2009|\\u202f)"
_LONG_NUMBER = re.compile(rf"{_DIGIT}(?:{_SEPARATOR}{{0,2}}{_DIGIT}){{11,}}")
_ESCAPE = re.compile(r"\\u(?:00a0|2007|2009|202f|ff1(?=[0-9]))")
_GAPS = b" \t._:/+=@-"
_WIDE = {0xFF10 + digit: str(digit) for digit in range(10)}


def mask(text: str) -> str:
    """Return the text with every long number replaced that is a PAN, or groups of which are one (length, Luhn)."""
    if text.isascii() and "\\" not in text and text.encode().translate(TO_DIGITS, _GAPS).find(DIGITS) < 0:
        return text  # nearly every line: no twelve digits in a row, even without what may stand between them
    return _LONG_NUMBER.sub(_masked, text)


def _masked(match: re.Match[str]) -> str:
    plain = _ESCAPE.sub(lambda found: "" if found[0].endswith("ff1") else " ", match[0]).translate(_WIDE)
    groups = re.findall("[0-9]+", plain)
    return "[masked]" if any(map(is_card_number, _candidates(groups))) else match[0]


def _candidates(groups: list[str]) -> Iterator[str]:
    """Yield what neighbouring groups of digits are together, and every part of a group that is too long for a PAN."""
    for first in range(len(groups)):
        number = ""
        for group in groups[first:]:
            number += group
            if len(number) > MAX_DIGITS:
                break
            yield number
    for group in groups:
        for start in range(max(0, len(group) - MAX_DIGITS) and len(group) - MIN_DIGITS + 1):
            yield from (group[start : start + length] for length in range(MIN_DIGITS, MAX_DIGITS + 1))
