"""Card numbers in plain text: digits with the length, the first digits and the check digit of one.

Rules:
1. Digits count alone, or in groups: as a whole, or as neighbours that are grouped as cards are. With points between
   some of them only the latter: the points are those of decimals, versions and addresses.
2. What is part of something else is none: of a decimal fraction, a hash, a UUID, an IBAN, a parcel's number.
3. Work is linear in the text, and limited (MAX_CANDIDATES).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from proxy.guard.others import PARCEL_GROUPS, Span, is_parcel, part_of_another
from proxy.rewrite.errors import TooManyNumbers
from proxy.rewrite.glance import DIGITS, FEWEST, TO_DIGITS
from vault.issuers import issued
from vault.kinds import is_card_number

MAX_CANDIDATES = 250_000
"""Numbers of one text that are looked at one by one: about half a second's work."""
_CARD = 19
"""Candidates that one with a card number's digits counts as: what is around it has to be looked at."""
_EXPONENTIAL = 19
"""The same for a number with an exponent."""
MIN_DIGITS, MAX_DIGITS = FEWEST, 19  # ISO/IEC 7812, as the vault takes them

_GAPS = b" ._/+-"
# A pattern that counted digits and gaps would remember each of them: a gigabyte for some bodies.
_STRETCH = re.compile(rb"[0-9][0-9 ._/+-]{10,}[0-9]")
_MAX_GAP = 3
_AT_ONCE = 64 * 1024
_group = re.compile(rb"[0-9]+").finditer
# How cards are grouped, as sizes of groups; the lookahead finds those that overlap, too.
_GROUPINGS = tuple(
    bytes(sizes) for sizes in [(4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (4, 4, 4, 4, 3), (4, 4, 4, 1), (4, 4, 4), (8, 8)]
)
_grouped = [re.compile(b"(?=" + re.escape(sizes) + b")").finditer for sizes in _GROUPINGS]
_EXPONENT = re.compile(rb"\.(?<=(?<![0-9.])[0-9].)([0-9]{11,18})0*[eE]\+?(1[1-8])(?![0-9])")
_LONG_GROUP = 255
_PIECE = 4096  # groups of digits that are looked at together
# A text that can still change what a number before it is part of; a longer one cannot. It may end in half an escape.
_undecided = re.compile(rb"[0-9A-Za-fmpux ._/+\\%&#;\x80-\xff-]{0,64}\Z").match


def has_digits_of_a_card(text: bytes) -> bool:
    """Tell whether enough digits stand in a row in ASCII text, whatever gaps are between them: if not, no card does."""
    if len(text) <= _AT_ONCE:
        return text.translate(TO_DIGITS, _GAPS).find(DIGITS) >= 0
    before = b""
    for at in range(0, len(text), _AT_ONCE):  # large copies cost more than looking at them
        together = before + text[at : at + _AT_ONCE].translate(TO_DIGITS, _GAPS)
        if together.find(DIGITS) >= 0:
            return True
        before = together[1 - MIN_DIGITS :]
    return False


def card_numbers(text: bytes, *, since: int = 0, begun: bool = False, goes_on: bool = False) -> Iterator[Span]:
    """Yield where card numbers stand in ASCII text, some of them twice; raises TooManyNumbers.

    Only those that end after `since` are looked at. `begun` and `goes_on` say that the text is a piece of a longer one:
    what depends on the text that comes next is left for the next look, and what touches its beginning counts only where
    it would wherever it begins.
    """
    if not has_digits_of_a_card(text):
        return
    candidates = 0
    for groups, cut in _runs(text, begun=begun):
        if len(groups) in PARCEL_GROUPS and is_parcel([text[start:end] for start, end in groups]):
            continue
        for first, last in _candidates(text, groups, cut=cut):
            candidates += 1
            if candidates > MAX_CANDIDATES:
                raise TooManyNumbers(limit=MAX_CANDIDATES)
            span = groups[first][0], groups[last][1]
            if span[1] <= since or not _is_card(text, groups[first : last + 1]):
                continue
            candidates += _CARD
            if not (goes_on and _undecided(text, span[1])) and not part_of_another(text, span):
                yield span
    for span in _with_exponent(text, candidates):
        if span[1] > since and not (goes_on and _undecided(text, span[1])):
            yield span


def _runs(text: bytes, *, begun: bool) -> Iterator[tuple[Sequence[Span], bool]]:
    """Yield the groups of neighbouring digits, and whether there are more before or behind; long runs in pieces.

    Pieces overlap by more groups than one card number can have.
    """
    for stretch in _STRETCH.finditer(text):
        groups: list[Span] = []
        cut = begun and stretch.start() == 0
        for match in _group(text, *stretch.span()):
            if groups and match.start() - groups[-1][1] > _MAX_GAP:
                if groups[-1][1] - groups[0][0] >= MIN_DIGITS:
                    yield groups, cut
                groups, cut = [], False
            elif len(groups) == _PIECE:
                yield groups, True
                groups, cut = groups[-MAX_DIGITS:], True
            groups.append(match.span())
        if groups[-1][1] - groups[0][0] >= MIN_DIGITS:
            yield groups, cut


def _with_exponent(text: bytes, candidates: int) -> Iterator[Span]:
    for match in _EXPONENT.finditer(text):
        candidates += _EXPONENTIAL
        if candidates > MAX_CANDIDATES:
            raise TooManyNumbers(limit=MAX_CANDIDATES)
        start = match.start() - 1
        digits = (text[start : start + 1] + match[1]).ljust(int(match[2]) + 1, b"0").decode()
        if len(digits) == int(match[2]) + 1 and issued(digits) and is_card_number(digits):
            yield start, match.end()


def _candidates(text: bytes, groups: Sequence[Span], *, cut: bool) -> Iterator[tuple[int, int]]:
    """Yield which neighbouring groups could be one number, by first and last index."""
    sizes = bytes([min(end - start, _LONG_GROUP) for start, end in groups])
    if len(sizes) == 1:
        if sizes[0] <= MAX_DIGITS and not _is_fraction(text, groups[0]):
            yield 0, 0
        return
    if not cut and sum(sizes) <= MAX_DIGITS and b"." not in text[groups[0][1] : groups[-1][0]]:
        yield 0, len(sizes) - 1
    if max(sizes) >= MIN_DIGITS:
        for number, size in enumerate(sizes):
            if MIN_DIGITS <= size <= MAX_DIGITS and not _is_fraction(text, groups[number]):
                yield number, number
    for grouping, finditer in zip(_GROUPINGS, _grouped, strict=True):
        for match in finditer(sizes):
            yield match.start(), match.start() + len(grouping) - 1


def _is_fraction(text: bytes, group: Span) -> bool:
    return text[group[0] - 1 : group[0]] == b"." and text[group[0] - 2 : group[0] - 1].isdigit()


def _is_card(text: bytes, groups: Sequence[Span]) -> bool:
    digits = b"".join([text[start:end] for start, end in groups]).decode()
    return issued(digits) and is_card_number(digits)
