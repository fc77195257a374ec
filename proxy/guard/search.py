"""Card numbers in bytes, however their digits are written: escaped, encoded, full-width, grouped by any spaces."""

from __future__ import annotations

import re
from collections.abc import Iterator

from proxy.guard.numbers import Span, card_numbers
from proxy.rewrite.written import View, decoded

# What may hide a digit or stand between two of them. Where there is none of it, the bytes are the text.
_ESCAPES = (b"\\", b"%", b"&", b"\0")


def search(data: bytes, *, begun: bool = False, goes_on: bool = False) -> Iterator[Span]:
    """Yield where card numbers stand in the bytes, as `card_numbers` does for text."""
    if data.isascii() and not any(escape in data for escape in _ESCAPES):
        yield from card_numbers(data, begun=begun, goes_on=goes_on)
        return
    # A NUL is padding: UTF-16 has one beside each digit.
    view = View(decoded(data))
    for start, end in card_numbers(view.text, begun=begun, goes_on=goes_on):
        yield view.place(start, end)


def digits_of(data: bytes) -> str:
    """Return the plain digits of a finding."""
    return re.sub(rb"[^0-9]", b"", View(decoded(data)).text).decode()
