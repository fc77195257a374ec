"""Verification codes in text: which digits could be one, and are no amount, date or id.

Rules:
1. In text: digits that stand alone (no part of a word, a longer number, a decimal, a time, a date, or an id such as
   order-123), or that follow a name of codes (cvc123, cvc:123:4).
2. In JSON, outside strings: a whole number, with a fraction of zeros at most, under a name that speaks of a code. That
   is the name of its member or of one around it, unless a name between them speaks of amounts or dates.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from proxy.rewrite.written import View, decoded

_NAME = re.compile(rb"cv|csc|cid|secur|verif|code", re.IGNORECASE)
_OTHER_NAME = re.compile(rb"amount|total|price|date|time|year|month|currency", re.IGNORECASE)
# Both begin with a byte that `re` can skip to; what has to stand before it comes second.
_alone = re.compile(
    rb"[0-9](?<![0-9A-Za-z_].)(?<![0-9][.,:/].)(?<![0-9A-Za-z_]-.)[0-9]{2,7}(?![0-9A-Za-z_])(?![.,:/-][0-9])", re.DOTALL
).finditer
_after_name = re.compile(
    rb"(?:cv[cvnd]|csc(?<![a-z]csc)|security.?code|verification.?(?:code|value))2?"
    rb"[^0-9a-z]{0,4}([0-9]{3,8})(?![0-9a-z])"
).finditer
_JSON = re.compile(
    rb"""("[^"]*+"?|'[^'"]{0,64}+'|[A-Za-z_$][0-9A-Za-z_$]*+)([ \t\r\n]*+:)?"""
    rb"|([\[{])|([\]}])|(-?[0-9][-+.0-9Ee]*+)"
)
_WHOLE = re.compile(rb"([0-9]{3,8})(?:\.0+)?")


def in_text(text: bytes) -> Iterator[tuple[int, int]]:
    """Where digits stand that could be a code."""
    for match in _alone(text):
        yield match.span()
    for match in _after_name(text.lower()):
        yield match.span(1)


def in_json(text: bytes) -> Iterator[tuple[int, int, bytes]]:
    """The same for numbers of JSON without escaped quotes: from where to where, and the digits."""
    around: list[bool] = []
    named = False
    for match in _JSON.finditer(text):
        kind = match.lastindex
        if kind == 2:
            named = _speaks(match[1], inside=bool(around) and around[-1])
        elif kind == 3:
            around.append(named)
        elif kind == 4:
            if around:
                around.pop()
            named = bool(around) and around[-1]
        elif kind == 5 and named and (whole := _WHOLE.fullmatch(match[5])):
            yield match.start(), match.end(), whole[1]


def _speaks(name: bytes, *, inside: bool) -> bool:
    if b"\\" in name:
        name = View(decoded(name)).text
    return _NAME.search(name) is not None or (inside and not _OTHER_NAME.search(name))
