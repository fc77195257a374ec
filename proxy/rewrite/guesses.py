"""Guesses: values that an application sends beside its tokens in order to see which of them Panless takes out again.

What is taken out of an answer tells an application that it was there. So that this says nothing new:
1. A request that holds a number with the length, the first six and the last four digits of a card that it reveals is
   refused. An application may know these (PCI DSS 3.4.1), so the refusal tells it nothing about the others.
2. A verification code that the request holds anyway is not searched for in the answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from proxy.rewrite.scrub import Scrubber, Secret
from vault.exposure import expose

_CODE_DIGITS = 4
# Digits with up to three other characters, or an escape, between any two.
_NUMBER = re.compile(rb"[0-9](?:(?:[^0-9A-Za-z]|%[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}){0,3}[0-9]){9,}")
_ESCAPE = re.compile(rb"%[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}|[^0-9]")


def holds_guess(pieces: Iterable[bytes | memoryview], secrets: Sequence[Secret]) -> bool:
    """Tell whether a request's other parts hold a card that it reveals, or a number that could be meant for it."""
    cards = [each for each in secrets if not _is_code(each)]
    if not cards:
        return False
    data = b"\n".join(pieces)
    ends = {(number[:6], number[-4:], len(number)) for number in (expose(each.value).encode() for each in cards)}
    for match in _NUMBER.finditer(data):
        digits = _ESCAPE.sub(b"", match[0])
        if any(_holds(digits, *each) for each in ends):
            return True
    return Scrubber(cards).found_in(data)


def _holds(digits: bytes, first: bytes, last: bytes, length: int) -> bool:
    start = digits.find(first)
    while start >= 0:
        if digits[start : start + length].endswith(last) and len(digits) >= start + length:
            return True
        start = digits.find(first, start + 1)
    return False


def worth_searching(pieces: Iterable[bytes | memoryview], secrets: Sequence[Secret]) -> list[Secret]:
    """Return the secrets without the codes that the request's other parts hold anyway."""
    data = b"\n".join(pieces)
    return [each for each in secrets if not (_is_code(each) and Scrubber([each]).found_in(data))]


def _is_code(secret: Secret) -> bool:
    return len(expose(secret.value)) <= _CODE_DIGITS
