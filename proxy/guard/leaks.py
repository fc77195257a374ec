"""Leaks: what looks like a card number in the parts of a message that no field of the route covers."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Sequence

from proxy.guard.search import digits_of, search, worth_searching
from proxy.rewrite import json
from proxy.rewrite.fields import Field
from proxy.rewrite.media import BodyType
from proxy.rewrite.message import Message
from proxy.rewrite.plan import Encoder, Match, Piece, Plan
from proxy.rewrite.sections import Section, unscanned_data
from proxy.rewrite.selectors import FOUND, Where
from proxy.rewrite.spans import Span, as_numbers, merged
from vault.kinds import PAN
from vault.sensitive import Sensitive

_FIELD = Field(FOUND, PAN.name)
_QUOTED = b'""'
_AT_ONCE = 64 * 1024


def leaks(plan: Plan, known: Collection[str] = ()) -> tuple[Plan, Sequence[Match]]:
    """Return the leaks as matches, and the plan with the sections that they are in; raises TooManyNumbers.

    `known` are card-shaped tokens, which are none.
    """
    # One look at everything: nearly always it finds nothing.
    data = b"\n".join(plan.everything_else())
    if not worth_searching(data) or next(search(data), None) is None:
        return plan, ()
    whole = plan.with_all_sections()
    found = [match for piece in whole.remainder() for match in _in_piece(whole, piece, known)]
    return whole, found


def may_leak(message: Message) -> bool:
    """Tell whether there may be leaks in a message that has no fields. One that is large is not looked at here."""
    if len(message.body) > _AT_ONCE:
        return True
    return next(search(b"\n".join(unscanned_data(message, ()))), None) is not None


def part_of(plan: Plan, match: Match) -> str:
    """Name the part of the message that a leak is in, for an error: `body`, `path`, `query` or `header:NAME`."""
    section = plan.sections[match.section]
    if section.where is Where.HEADER:
        return f"header:{plan.message.headers[section.header][0]}"
    return str(section.where.value)


def _in_piece(plan: Plan, piece: Piece, known: Collection[str]) -> Iterable[Match]:
    section = plan.sections[piece.section]
    spans = merged((start + piece.start, end + piece.start, b"") for start, end in search(bytes(piece.data)))
    begins = [span[0] for span in spans]
    for start, end, new in _whole_values(plan, section, spans):
        # What is replaced may be more than the card number: `.0` after it, too.
        first = spans[bisect_left(begins, start)]
        digits = digits_of(section.data[first[0] : first[1]])
        if digits in known:
            continue
        encode: Encoder = json.encode if new == _QUOTED else str.encode
        yield Match(_FIELD, (), start, end, Sensitive(digits), None, piece.section, encode)


def _whole_values(plan: Plan, section: Section, spans: Sequence[Span]) -> Iterable[Span]:
    """Let JSON stay JSON: a number is replaced whole, by a string."""
    media = plan.message.media
    is_json = media is not None and media.type is BodyType.JSON
    if not spans or section.where is not Where.BODY or not (is_json or section.data.lstrip()[:1] in (b"{", b"[")):
        return spans
    return as_numbers(spans, json.without_escaped_quotes(section.data))
