"""Card numbers in bytes, however their digits are written: escaped, encoded, full-width, grouped by any spaces."""

from __future__ import annotations

import re
from collections.abc import Iterator

from proxy.guard.numbers import card_numbers, has_digits_of_a_card
from proxy.guard.others import Span
from proxy.rewrite.written import View, decoded, is_plain

# Track 1 of a card begins like a percent-encoded byte.
_track = re.compile(rb"%(?:25)?[Bb](?=[0-9]{12,19}(?:\^|%(?:25)?5[Ee]))").sub

_with_exponent = re.compile(rb"([0-9])\.([0-9]+)[eE]\+?([0-9]{2})").fullmatch


def worth_searching(data: bytes) -> bool:
    """Tell whether the bytes have to be searched: most have no card's digits, however they are written."""
    return not is_plain(data) or has_digits_of_a_card(data)


def search(data: bytes, *, since: int = 0, begun: bool = False, goes_on: bool = False) -> Iterator[Span]:
    """Yield where card numbers stand in the bytes, as `card_numbers` does for text."""
    if is_plain(data):
        yield from card_numbers(data, since=since, begun=begun, goes_on=goes_on)
        return
    # A NUL is padding: UTF-16 has one beside each digit.
    characters = decoded(_track(_blank, data))
    view = View(characters)
    since -= characters.count(b"\0", 0, since)
    for start, end in card_numbers(view.text, since=since, begun=begun, goes_on=goes_on):
        yield view.place(start, end)


def _blank(match: re.Match[bytes]) -> bytes:
    return b"^" * len(match[0])


def digits_of(data: bytes) -> str:
    """Return the plain digits of a finding."""
    text = View(decoded(data)).text
    if match := _with_exponent(text):
        return (match[1] + match[2].rstrip(b"0")).decode().ljust(int(match[3]) + 1, "0")
    return re.sub(rb"[^0-9]", b"", text).decode()
