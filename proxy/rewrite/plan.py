"""Plans: all selected values of one body, found at once, replaced at once.

Rules:
1. `find` either accounts for every selected value or raises. There is no partial plan.
2. Only the bytes of the spans are replaced; what is outside reaches the other side as it was sent.
3. A match with `of` belongs to the match of that selector that stands nearest in the tree: the longest
   common path. Two that are equally near are refused rather than guessed.
4. This module is the only one of the package that may see plaintext again, in `fill`. Neither matches nor
   plans show what came in the body: values, paths (names can be data, too) and the body itself are left out
   of their repr.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as attribute
from enum import Enum

from proxy.rewrite import form, json
from proxy.rewrite.errors import BodyAmbiguous, SelectorsConflict, ValueNotText
from proxy.rewrite.places import Path, Place
from proxy.rewrite.selectors import Selector, State, automaton
from vault.exposure import expose
from vault.sensitive import Sensitive


class BodyType(Enum):
    """How a body is read; the value is its media type."""

    JSON = "application/json"
    FORM = "application/x-www-form-urlencoded"


# A new type of body is a module with such a function, and a line here.
_SCANNERS: Mapping[BodyType, Callable[[bytes, State], list[Place]]] = {
    BodyType.JSON: json.scan,
    BodyType.FORM: form.scan,
}


@dataclass(frozen=True, slots=True)
class Field:
    """One protected field of a route: where it is, its kind (`pan`, `cvc`, ...), and whose it is.

    `of` equals the `at` of another field of the route, for example the card number's for a verification code.
    """

    at: Selector
    kind: str
    of: Selector | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Match:
    """One selected value. `start` and `end` are bytes; `of` is an index into the plan's matches, or None."""

    field: Field
    path: Path = attribute(repr=False)
    start: int
    end: int
    value: Sensitive
    of: int | None


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What was found in one body. `matches` are in body order and never overlap."""

    matches: tuple[Match, ...]
    _body: bytes = attribute(repr=False)
    _encoders: tuple[Callable[[str], bytes], ...] = attribute(repr=False)

    def fill(self, replacements: Sequence[str | Sensitive]) -> bytes:
        """Return the body with one replacement per match, in order, each encoded for its place.

        Raises ValueNotText if a replacement cannot be encoded, ValueError if there are too few or too many.
        """
        pieces: list[bytes | memoryview] = []
        done = 0
        for match, encode, replacement in zip(self.matches, self._encoders, replacements, strict=True):
            text = expose(replacement) if isinstance(replacement, Sensitive) else replacement
            if json.has_lone_surrogate(text):
                raise ValueNotText(selector=str(match.field.at), offset=match.start)
            pieces += (self._body[done : match.start], encode(text))
            done = match.end
        pieces.append(self._body[done:])
        return b"".join(pieces)

    def remainder(self) -> Iterator[memoryview]:
        """The pieces of the body outside the spans, in order; some may be empty."""
        body = memoryview(self._body)
        done = 0
        for match in self.matches:
            yield body[done : match.start]
            done = match.end
        yield body[done:]


def find(body: bytes, body_type: BodyType, fields: Sequence[Field]) -> Plan:
    """Find every value that `fields` select in `body`.

    Raises BodyRejected (one of its kinds) if the body cannot be rewritten safely, and SelectorsConflict if two
    fields of different kinds select the same value, which is the configuration's fault.
    """
    start = automaton(tuple([each.at for each in fields])).start()
    places = _SCANNERS[body_type](body, start)
    for place in places:
        if len(place.selectors) > 1:
            _refuse_conflict([fields[number] for number in place.selectors])
    matches = _matches(places, fields)
    return Plan(matches, body, tuple([place.encode for place in places]))


def _refuse_conflict(selecting: Sequence[Field]) -> None:
    for other in selecting[1:]:
        if other.kind != selecting[0].kind:
            raise SelectorsConflict(first=str(selecting[0].at), second=str(other.at))


def _matches(places: Sequence[Place], fields: Sequence[Field]) -> tuple[Match, ...]:
    owners: dict[Selector, _Owners] = {}
    found = []
    for place in places:
        chosen = fields[place.selectors[0]]
        owner = None
        if chosen.of is not None:
            if chosen.of not in owners:
                owners[chosen.of] = _Owners(chosen.of, places, fields)
            owner = owners[chosen.of].of(place)
        found.append(Match(chosen, place.path, place.start, place.end, place.value, owner))
    return tuple(found)


_TIED = -1


class _Owners:
    """The places that one selector selects, by every path that leads towards them."""

    def __init__(self, selector: Selector, places: Sequence[Place], fields: Sequence[Field]) -> None:
        self._nearest: dict[Path, int | None] = {(): None}
        for index, place in enumerate(places):
            if any(fields[number].at == selector for number in place.selectors):
                self._add(place.path, index)

    def _add(self, path: Path, index: int) -> None:
        for length in range(len(path), -1, -1):
            prefix = path[:length]
            known = self._nearest.get(prefix)
            if known == _TIED:  # then so are all shorter ones: the work stays linear
                return
            self._nearest[prefix] = index if known is None else _TIED

    def of(self, place: Place) -> int | None:
        """The index of the place nearest to `place`; None if there is none. Raises BodyAmbiguous on a tie."""
        missing = []
        path = place.path
        while path not in self._nearest:
            missing.append(path)
            path = path[:-1]
        owner = self._nearest[path]
        for longer in missing:  # siblings need not look as far again
            self._nearest[longer] = owner
        if owner == _TIED:
            raise BodyAmbiguous(offset=place.start)
        return owner
