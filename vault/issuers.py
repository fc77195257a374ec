"""Issuer identification numbers: which brand a card number belongs to, and how long its numbers are.

Source: ISO/IEC 7812-1 and the brands' published ranges. A range that is missing here costs no card its token: the vault
takes every number that passes the Luhn check. It costs the leak guard a find, so ranges are rather too wide.
"""

from __future__ import annotations

import re
from functools import lru_cache

# Order matters: the first prefix that fits is the brand.
_BRANDS = (
    ("amex", r"3[47]", {15}),
    ("diners", r"3(?:0[0-5]|095|[689])", {14, 16, 19}),
    ("jcb", r"35(?:2[89]|[3-8])", {16, 17, 18, 19}),
    ("discover", r"6(?:011|4[4-9]|5)", {16, 17, 18, 19}),
    ("unionpay", r"62|81", {16, 17, 18, 19}),
    ("mir", r"220[0-4]", {16, 17, 18, 19}),
    ("mastercard", r"5[1-5]|2(?:22[1-9]|2[3-9]|[3-6]|7[01]|720)", {16}),
    ("visa", r"4", {13, 16, 19}),
    ("rupay", r"508[5-9]|82|353|356", {16}),
    ("troy", r"9792", {16}),
    ("maestro", r"5[06-8]|6", {12, 13, 14, 15, 16, 17, 18, 19}),
)
_PREFIXES = [(name, re.compile(prefix, re.ASCII), frozenset(lengths)) for name, prefix, lengths in _BRANDS]


@lru_cache(maxsize=10_000)
def _known(first: str) -> tuple[str | None, frozenset[int]]:
    """Return the brand of a number's first four digits, and how many digits such numbers have."""
    found = [(name, lengths) for name, prefix, lengths in _PREFIXES if prefix.match(first)]
    return (found[0][0] if found else None), frozenset[int]().union(*(lengths for _, lengths in found))


def brand(digits: str) -> str | None:
    """Return the brand of a card number, by its first digits alone."""
    return _known(digits[:4])[0]


def issued(digits: str) -> bool:
    """Tell whether some brand has numbers of this length that begin like this one."""
    return len(digits) in _known(digits[:4])[1]
