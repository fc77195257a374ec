"""Invented card numbers of all brands, and the forms in which they are written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

from tests.guard_corpus.numbers import digits, grouped, luhn

_BRANDS = [
    ("4", 16), ("4", 16), ("4", 13), ("4", 19), ("51", 16), ("55", 16), ("2221", 16), ("2720", 16), ("34", 15),
    ("37", 15), ("36", 14), ("3059", 14), ("3530", 16), ("6011", 16), ("65", 16), ("62", 16), ("62", 19), ("5018", 12),
    ("6759", 16), ("2200", 16), ("9792", 16), ("6521", 16),
]  # fmt: skip

_GROUPS = {13: (4, 4, 4, 1), 14: (4, 6, 4), 15: (4, 6, 5), 16: (4, 4, 4, 4), 19: (4, 4, 4, 4, 3), 12: (4, 4, 4)}


def card(random: Random) -> str:
    first, length = random.choice(_BRANDS)
    while True:
        number = luhn(digits(random, length - 1, first))
        if len(set(number)) > 1:
            return number


def _by(separator: str) -> Callable[[str], str]:
    return lambda number: grouped(number, _GROUPS[len(number)], separator)


def _each(form: str) -> Callable[[str], str]:
    return lambda number: "".join(form.format(ord(digit)) for digit in number)


# In a document's own encoding; `RAW` ones stand in it as they are.
FORMS: Mapping[str, Callable[[str], str]] = {
    "plain": str,
    "groups, space": _by(" "),
    "groups, dash": _by("-"),
    "groups, dot": _by("."),
    "groups, no-break space": _by("\u00a0"),
    "groups, thin space": _by("\u2009"),
    "full-width digits": lambda number: number.translate({48 + d: 0xFF10 + d for d in range(10)}),
    "with expiry and code": lambda number: f"{number} 12/30 123",
    "groups with expiry and code": lambda number: f"{_by(' ')(number)} 12/30 123",
    "after letters": lambda number: f"card{number}",
    "track 1": lambda number: f"%B{number}^DOE/JANE^3012201000000000?",
    "track 2": lambda number: f";{number}=30122010000000000000?",
    "decimal .0": lambda number: f"{number}.0",
    "exponent": lambda number: f"{number[0]}.{number[1:].rstrip('0')}e+{len(number) - 1}",
}
RAW: Mapping[str, Callable[[str], str]] = {
    "JSON escapes": _each("\\u{:04x}"),
    "percent-encoded": _each("%{:02X}"),
    "character references": _each("&#{};"),
}
