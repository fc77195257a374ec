"""Plans: all selected values of one message, found at once, replaced at once.

Rules:
1. `find` either accounts for every selected value or raises. There is no partial plan.
2. Only the bytes of the spans are replaced; what is outside reaches the other side as it was sent.
3. A match with `of` belongs to the match of that selector that stands nearest in the tree.
4. This module is the only one of the package that may see plaintext again, in `fill`. Neither matches nor
   plans show what came in the message: values, paths (names can be data, too) and the body itself are left out
   of their repr.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import field as attribute
from dataclasses import replace

from proxy.rewrite import charsets, json
from proxy.rewrite.errors import ValueNotText
from proxy.rewrite.fields import KEPT, Field, Fields, Selecting
from proxy.rewrite.message import Message
from proxy.rewrite.owners import Owners
from proxy.rewrite.places import Path, Place
from proxy.rewrite.sections import Section, sections, unscanned, unscanned_data
from proxy.rewrite.selectors import Where
from vault.exposure import expose
from vault.frozen import frozen
from vault.sensitive import Sensitive

Encoder = Callable[[str], bytes]
_Found = tuple[int, Selecting, Place]
"""The number of a section, and a value in it."""


@frozen(eq=False)
class Match:
    """One selected value of section `section`; `start` and `end` are bytes of it.

    `of` is an index into the plan's matches, or None. A match without `kept` is replaced.
    """

    field: Field
    path: Path = attribute(repr=False)
    start: int
    end: int
    value: Sensitive
    of: int | None
    section: int
    encode: Encoder = attribute(repr=False)


@frozen(eq=False)
class Piece:
    """A piece of a message outside the spans: `data` of section `section`, from byte `start` on."""

    section: int
    start: int
    data: memoryview = attribute(repr=False)


@frozen(eq=False)
class Plan:
    """What was found in one message. `matches` are in order and never overlap; `kept` are spans that stay."""

    matches: tuple[Match, ...]
    message: Message
    sections: tuple[Section, ...] = attribute(repr=False)
    kept: tuple[tuple[int, int, int], ...] = ()

    def fill(self, replacements: Sequence[str | Sensitive]) -> Message:
        """Return the message with one replacement per match, in order, each encoded for its place.

        Raises ValueNotText if a replacement cannot be encoded, ValueError if there are too few or too many.
        """
        if len(replacements) != len(self.matches):
            raise ValueError(f"{len(replacements)} replacements for {len(self.matches)} matches")
        message, matches, done = self.message, self.matches, 0
        while done < len(matches):
            number, first = matches[done].section, done
            while done < len(matches) and matches[done].section == number:
                done += 1
            message = _put(message, self.sections[number], matches[first:done], replacements[first:done])
        return message

    def remainder(self) -> Iterator[Piece]:
        """The pieces of the sections outside the spans, in order; some may be empty."""
        for number, section in enumerate(self.sections):
            data = memoryview(section.data)
            for start, end in self._outside(number):
                yield Piece(number, start, data[start:end])

    def everything_else(self) -> list[bytes | memoryview]:
        """The bytes of all parts of the message outside the spans, of its headers too."""
        pieces: list[bytes | memoryview] = []
        for number, section in enumerate(self.sections):
            data = memoryview(section.data)
            for start, end in self._outside(number):
                pieces.append(data[start:end])
        return pieces + unscanned_data(self.message, self.sections)

    def _outside(self, number: int) -> list[tuple[int, int]]:
        """From where to where the pieces of a section outside the spans are, in order."""
        spans = [(match.start, match.end) for match in self.matches if match.section == number]
        if self.kept:
            spans = sorted([*spans, *((start, end) for section, start, end in self.kept if section == number)])
        pieces, done = [], 0
        for start, end in spans:
            pieces.append((done, start))
            done = end
        pieces.append((done, len(self.sections[number].data)))
        return pieces

    def unscanned(self) -> Iterator[Section]:
        """The sections in which no field can be."""
        return unscanned(self.message, self.sections)

    def with_all_sections(self) -> Plan:
        """Return the plan with those among its sections."""
        return replace(self, sections=(*self.sections, *self.unscanned()))

    def only(self, wanted: Callable[[Match], bool]) -> Plan:
        """Return the plan with those matches; the others stay as they are."""
        numbers = [number for number, match in enumerate(self.matches) if wanted(match)]
        if len(numbers) == len(self.matches):
            return self
        moved = {old: new for new, old in enumerate(numbers)}
        owned = [self.matches[number] for number in numbers]
        return replace(self, matches=tuple([m if m.of is None else replace(m, of=moved.get(m.of)) for m in owned]))

    def adding(self, matches: Iterable[Match]) -> Plan:
        """Return the plan with more matches, which lie in its remainder."""
        order = sorted([*enumerate(self.matches), *((-1, each) for each in matches)], key=_position)
        moved = {old: new for new, (old, _) in enumerate(order) if old >= 0}
        owned = [each if each.of is None else replace(each, of=moved[each.of]) for _, each in order]
        return replace(self, matches=tuple(owned))


def find(message: Message, fields: Fields) -> Plan:
    """Find every value that `fields` select in `message`.

    Raises BodyRejected (one of its kinds) or CharsetUnsupported if the message cannot be rewritten safely, and
    SelectorsConflict if two fields of different kinds select the same value, which is the configuration's fault.
    """
    found = sections(message, fields)
    places: list[_Found] = []
    kept = []
    for number, section in enumerate(found):
        for selecting, place in section.places:
            if selecting.field.kind == KEPT:
                kept.append((number, place.start, place.end))
            else:
                places.append((number, selecting, place))
    return Plan(_matches(places), message, found, tuple(kept))


def _matches(found: Sequence[_Found]) -> tuple[Match, ...]:
    owners: dict[int, Owners] = {}  # by the identity of their selector
    matches = []
    for section, selecting, (_, path, start, end, value, encode) in found:
        field = selecting.field
        if field.number and encode is json.encode:
            encode = json.encode_number  # noqa: PLW2901
        matches.append(
            Match(field, path, start, end, value, _owner(field, path, start, found, owners), section, encode)
        )
    return tuple(matches)


def _owner(field: Field, path: Path, start: int, found: Sequence[_Found], owners: dict[int, Owners]) -> int | None:
    """Return the index of the match that a value at `path` belongs to; raises BodyAmbiguous."""
    if field.of is None:
        return None
    known = owners.get(id(field.of))
    if known is None:
        known = owners[id(field.of)] = Owners(
            [(number, each.path) for number, (_, selecting, each) in enumerate(found) if field.of in selecting.ats]
        )
    return known.of(path, start)


def _encoded(match: Match, replacement: str | Sensitive) -> bytes:
    text = replacement if isinstance(replacement, str) else expose(replacement)
    if not text.isascii() and json.has_lone_surrogate(text):
        raise ValueNotText(selector=str(match.field.at), offset=match.start)
    return match.encode(text)


def _put(
    message: Message, section: Section, matches: Sequence[Match], replacements: Sequence[str | Sensitive]
) -> Message:
    data, done = memoryview(section.data), 0
    pieces: list[bytes | memoryview] = []
    for match, new in zip(matches, replacements, strict=True):
        pieces.append(data[done : match.start])
        pieces.append(_encoded(match, new))
        done = match.end
    pieces.append(data[done:])
    filled = b"".join(pieces)
    if section.where is Where.BODY:
        body = charsets.from_utf8(filled, section.charset, str(matches[0].field.at))
        return Message(body, message.media, message.path, message.query, message.headers)
    text = filled.decode("utf-8", "surrogateescape")
    if section.where is Where.PATH:
        return replace(message, path=text)
    if section.where is Where.QUERY:
        return replace(message, query=text)
    headers = list(message.headers)
    headers[section.header] = (headers[section.header][0], text)
    return replace(message, headers=tuple(headers))


def _position(numbered: tuple[int, Match]) -> tuple[int, int]:
    return numbered[1].section, numbered[1].start
