"""Guesses: values that an application sends beside its tokens in order to see which of them Panless takes out again.

What is taken out of an answer tells an application that it was there. So that this says nothing new:
1. A request that holds a number with the length, the first six and the last four digits of a card that it reveals is
   refused. An application may know these (PCI DSS 3.4.1), so the refusal tells it nothing about the others.
2. A verification code that the request holds anyway is not searched for in the answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from proxy.rewrite.glance import FEWEST, may_hold_number
from proxy.rewrite.written import decoded, is_plain
from proxy.scrub.scrubber import Scrubber, Secret
from vault.exposure import expose

_CODE_DIGITS = 4
# Digits and what may stand between them; what was written in another way is followed by NULs once it is decoded.
_BETWEEN = b"\0 \t\r\n\v\f.,/+_:=@()-"
_RUN = re.compile(rb"[0-9%b]{10,}" % re.escape(_BETWEEN))
_NO_DIGITS = bytes(set(range(256)) - set(b"0123456789"))


def without(secrets: Sequence[Secret], pieces: Iterable[bytes | memoryview]) -> bytes:
    """Return the pieces as lines, without the card-shaped tokens of the secrets: they begin and end as cards may."""
    data = b"\n".join(pieces)
    for each in secrets:
        if each.token.isdigit():
            data = data.replace(each.token.encode(), b"-")
    return data


def holds_guess(data: bytes, secrets: Sequence[Secret]) -> bool:
    """Tell whether a request's other parts hold a card that it reveals, or a number that could be meant for it."""
    if not may_hold_number(data) and all(map(_is_code_or_long_number, secrets)):  # nearly always
        return False
    cards = [each for each in secrets if not _is_code(each)]
    if not cards:
        return False
    return _holds_number(data, _ends(cards)) or Scrubber(cards).found_in(data)


def _holds_number(data: bytes, ends: dict[bytes, dict[int, set[bytes]]]) -> bool:
    text = data if is_plain(data) else decoded(data)
    together = text.translate(None, _BETWEEN)
    if max([together.find(first) for first in ends]) < 0:  # nearly always
        return False
    runs = (match[0].translate(None, _NO_DIGITS) for match in _RUN.finditer(text))
    return any(_could_mean(digits, ends) for digits in runs)


def _ends(cards: Sequence[Secret]) -> dict[bytes, dict[int, set[bytes]]]:
    """Return the last four digits of the cards, by their first six and their length."""
    ends: dict[bytes, dict[int, set[bytes]]] = {}
    for number in (expose(each.value).encode() for each in cards):
        ends.setdefault(number[:6], {}).setdefault(len(number), set()).add(number[-4:])
    return ends


def _could_mean(digits: bytes, ends: dict[bytes, dict[int, set[bytes]]]) -> bool:
    for at in range(len(digits) - 9):
        for length, lasts in ends.get(digits[at : at + 6], {}).items():
            # A slice that is cut short by the end of the digits is none of the last four.
            if digits[at + length - 4 : at + length] in lasts:
                return True
    return False


def worth_searching(data: bytes, secrets: Sequence[Secret]) -> list[Secret]:
    """Return the secrets without the codes that the request's other parts hold anyway."""
    codes = [each for each in secrets if _is_code(each)]
    if not codes:
        return list(secrets)
    return [*(each for each in secrets if not _is_code(each)), *Scrubber(codes).not_in(data)]


def _is_code(secret: Secret) -> bool:
    return len(expose(secret.value)) <= _CODE_DIGITS


def _is_code_or_long_number(secret: Secret) -> bool:
    value = expose(secret.value)
    return len(value) <= _CODE_DIGITS or (len(value) >= FEWEST and value.isascii() and value.isdigit())
