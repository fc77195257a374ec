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
from dataclasses import dataclass, replace
from dataclasses import field as attribute

from proxy.rewrite import charsets, json
from proxy.rewrite.errors import ValueNotText
from proxy.rewrite.fields import KEPT, Field, Fields, chosen
from proxy.rewrite.message import Message
from proxy.rewrite.owners import Owners
from proxy.rewrite.places import Path, Place
from proxy.rewrite.sections import Section, sections, unscanned, unscanned_data
from proxy.rewrite.selectors import Selector, Where
from vault.exposure import expose
from vault.sensitive import Sensitive

Encoder = Callable[[str], bytes]


@dataclass(frozen=True, slots=True, eq=False)
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


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A piece of a message outside the spans: `data` of section `section`, from byte `start` on."""

    section: int
    start: int
    data: memoryview = attribute(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
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
        if not self.matches:
            return self.message
        changes = [(match, _encoded(match, new)) for match, new in zip(self.matches, replacements, strict=True)]
        message = self.message
        for number, section in enumerate(self.sections):
            mine = [(match, new) for match, new in changes if match.section == number]
            if mine:
                message = _put(message, section, mine)
        return message

    def remainder(self) -> Iterator[Piece]:
        """The pieces of the sections outside the spans, in order; some may be empty."""
        spans = sorted([*((m.section, m.start, m.end) for m in self.matches), *self.kept])
        for number, section in enumerate(self.sections):
            data = memoryview(section.data)
            done = 0
            for _, start, end in (span for span in spans if span[0] == number):
                yield Piece(number, done, data[done:start])
                done = end
            yield Piece(number, done, data[done:])

    def everything_else(self) -> Iterator[bytes | memoryview]:
        """The bytes of all parts of the message outside the spans, of its headers too."""
        if self.sections:
            yield from (piece.data for piece in self.remainder())
        yield from unscanned_data(self.message, self.sections)

    def unscanned(self) -> Iterator[Section]:
        """The sections in which no field can be."""
        return unscanned(self.message, self.sections)

    def with_all_sections(self) -> Plan:
        """Return the plan with those among its sections."""
        return replace(self, sections=(*self.sections, *self.unscanned()))

    def only(self, wanted: Callable[[Match], bool]) -> Plan:
        """Return the plan with those matches; the others stay as they are."""
        numbers = [number for number, match in enumerate(self.matches) if wanted(match)]
        moved = {old: new for new, old in enumerate(numbers)}
        owned = [self.matches[number] for number in numbers]
        return replace(self, matches=tuple([replace(m, of=moved.get(m.of)) if m.of is not None else m for m in owned]))

    def adding(self, matches: Iterable[Match]) -> Plan:
        """Return the plan with more matches, which lie in its remainder."""
        order = sorted([*enumerate(self.matches), *((-1, each) for each in matches)], key=_position)
        moved = {old: new for new, (old, _) in enumerate(order) if old >= 0}
        owned = [replace(each, of=None if each.of is None else moved[each.of]) for _, each in order]
        return replace(self, matches=tuple(owned))


def find(message: Message, fields: Fields) -> Plan:
    """Find every value that `fields` select in `message`.

    Raises BodyRejected (one of its kinds) or CharsetUnsupported if the message cannot be rewritten safely, and
    SelectorsConflict if two fields of different kinds select the same value, which is the configuration's fault.
    """
    found = tuple(sections(message, fields))
    places = [_Found(number, *each) for number, section in enumerate(found) for each in section.places]
    kept = tuple((each.section, each.place.start, each.place.end) for each in places if each.field.kind == KEPT)
    return Plan(tuple(_matches([each for each in places if each.field.kind != KEPT])), message, found, kept)


class _Found:
    """A place, the fields that select it, and the one of them that counts."""

    __slots__ = ("field", "place", "section", "selecting")

    def __init__(self, section: int, selecting: Sequence[Field], place: Place) -> None:
        self.section = section
        self.selecting = selecting
        self.place = place
        self.field = chosen(selecting)


def _matches(found: Sequence[_Found]) -> Iterator[Match]:
    owners: dict[Selector, Owners] = {}
    for each in found:
        field, place, owner = each.field, each.place, None
        if field.of is not None:
            if field.of not in owners:
                owners[field.of] = _owners(field.of, found)
            owner = owners[field.of].of(place)
        yield Match(field, place.path, place.start, place.end, place.value, owner, each.section, _encoder(field, place))


def _owners(selector: Selector, found: Sequence[_Found]) -> Owners:
    return Owners([(i, each.place) for i, each in enumerate(found) if any(f.at == selector for f in each.selecting)])


def _encoder(field: Field, place: Place) -> Encoder:
    return json.encode_number if field.number and place.encode is json.encode else place.encode


def _encoded(match: Match, replacement: str | Sensitive) -> bytes:
    text = expose(replacement) if isinstance(replacement, Sensitive) else replacement
    if json.has_lone_surrogate(text):
        raise ValueNotText(selector=str(match.field.at), offset=match.start)
    return match.encode(text)


def _put(message: Message, section: Section, changes: Sequence[tuple[Match, bytes]]) -> Message:
    pieces: list[bytes] = []
    done = 0
    for match, new in changes:
        pieces += (section.data[done : match.start], new)
        done = match.end
    filled = b"".join([*pieces, section.data[done:]])
    if section.where is Where.BODY:
        return replace(message, body=charsets.from_utf8(filled, section.charset, str(changes[0][0].field.at)))
    if section.where is Where.PATH:
        return replace(message, path=filled.decode("utf-8", "surrogateescape"))
    if section.where is Where.QUERY:
        return replace(message, query=filled.decode("utf-8", "surrogateescape"))
    headers = list(message.headers)
    headers[section.header] = (headers[section.header][0], filled.decode("utf-8", "surrogateescape"))
    return replace(message, headers=tuple(headers))


def _position(numbered: tuple[int, Match]) -> tuple[int, int]:
    return numbered[1].section, numbered[1].start
