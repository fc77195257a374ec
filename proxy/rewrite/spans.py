"""Spans of a body and what replaces them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

Span = tuple[int, int, bytes]
"""From where to where, and what goes there."""

_NUMBER = b"0123456789+-.Ee"
_rest_of_number = re.compile(rb"[-+.0-9Ee]*+").match


def merged(spans: Iterable[Span]) -> list[Span]:
    """In order; of spans that overlap, the first one covers them all, so that no part of a value is left."""
    whole: list[Span] = []
    for start, end, new in sorted(spans, key=lambda span: (span[0], -span[1])):
        if whole and start < whole[-1][1]:
            first, last, known = whole[-1]
            whole[-1] = first, max(last, end), known
        else:
            whole.append((start, end, new))
    return whole


def replaced(data: bytes, spans: Iterable[Span]) -> bytes:
    """The data with its spans, as `merged` gives them, replaced; without spans it is the same object."""
    pieces = []
    done = 0
    for start, end, new in spans:
        pieces += [data[done:start], new]
        done = end
    return b"".join([*pieces, data[done:]]) if pieces else data


def in_strings(spans: Iterable[Span], quotes: bytes) -> Iterator[tuple[Span, bool]]:
    """Each span with whether it starts in a string of JSON in which every `"` opens or closes one."""
    at = 0
    inside = False
    for span in spans:
        inside ^= quotes.count(b'"', at, span[0]) % 2 == 1
        at = span[0]
        yield span, inside


def as_numbers(spans: Iterable[Span], quotes: bytes) -> Iterator[Span]:
    """Spans such that JSON stays JSON: one outside a string takes the whole number, and what replaces it is quoted."""
    done = 0
    for (start, end, new), inside in in_strings(spans, quotes):
        if inside:
            yield start, end, new
        if inside or end <= done:  # the number before took this one, too
            continue
        start = done + len(quotes[done:start].rstrip(_NUMBER))  # noqa: PLW2901
        done = _rest_of_number(quotes, end).end()  # type: ignore[union-attr]  # it always matches
        yield start, done, b'"%s"' % new
